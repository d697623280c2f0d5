"""The public names of `facelab.datasets`; `__init__.py` loads them from here when used."""

from .bfw import bfw as bfw
from .bfw import bfw_scores as bfw_scores
from .bupt import bupt as bupt
from .casual_conversations import casual_conversations as casual_conversations
from .celeba import celeba as celeba
from .fairface import fairface as fairface
from .fer2013 import fer2013 as fer2013
from .folder import folder as folder
from .huggingface import huggingface as huggingface
from .insightface_bin import insightface_bin as insightface_bin
from .insightface_bin import insightface_bin_pairs as insightface_bin_pairs
from .insightface_rec import insightface_rec as insightface_rec
from .lfw import lfw as lfw
from .lfw import lfw_pairs as lfw_pairs
from .morph import morph as morph
from .reader import Reader as Reader
from .rfw import rfw as rfw
from .rfw import rfw_pairs as rfw_pairs
from .tabular import table as table
from .utkface import utkface as utkface
from .vggface2 import vggface2 as vggface2
from .webdataset import webdataset as webdataset
