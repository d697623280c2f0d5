"""Figures: every picture, in one style.

Read `style.py` first: `Picture`, and the look of groups and arms. `plots.py` lists what
`facelab.plots` offers; every other file draws the results of one room.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=["plots"])
