"""Dials: a few controls in a notebook, and what they mean for each group.

Read `dial.py` first, then `threshold.py`.

In: comparisons, audits, FaceSets. Out: ipywidgets that show a figure and a table, give their state
as plain values (`.value`), and are a still figure and table where no kernel runs.
"""

from facelab.widgets.browser import face_browser
from facelab.widgets.comparer import audit_comparer
from facelab.widgets.grouping import cluster_browser
from facelab.widgets.mix import mix_composer
from facelab.widgets.monitor import training_monitor
from facelab.widgets.studio import population_studio
from facelab.widgets.threshold import threshold_explorer

__all__ = [
    "audit_comparer",
    "cluster_browser",
    "face_browser",
    "mix_composer",
    "population_studio",
    "threshold_explorer",
    "training_monitor",
]
