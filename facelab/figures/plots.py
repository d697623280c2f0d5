"""Every picture by its name: what `facelab.plots` offers. `plots.pyi` lists them.

In: FaceSets, histories, comparisons, tables of rates. Out: one figure a call, which shows itself in
a notebook and carries a text (`alt`) for those who cannot see it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub("facelab.figures", __file__)
