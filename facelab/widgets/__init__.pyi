"""The public names of `facelab.widgets`; `__init__.py` loads them from here when used."""

from .browser import face_browser as face_browser
from .comparer import audit_comparer as audit_comparer
from .confidence import confidence_explorer as confidence_explorer
from .cutoff import class_threshold_explorer as class_threshold_explorer
from .grouping import cluster_browser as cluster_browser
from .mix import mix_composer as mix_composer
from .monitor import training_monitor as training_monitor
from .studio import population_studio as population_studio
from .threshold import threshold_explorer as threshold_explorer
