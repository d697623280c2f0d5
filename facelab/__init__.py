"""facelab: find out whom a face recogniser fails, retrain it on balanced data, prove what changed.

Everything public is one name away (`import facelab as fl`); `__init__.pyi` lists the names, in the
order of the work. A name's module is imported when the name is first used: `import facelab` costs
nothing and drags in neither torch nor matplotlib.
"""

import lazy_loader

from facelab.caches import find_places

find_places()  # before a library looks for its own

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
