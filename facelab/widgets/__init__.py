"""Dials: a few controls in a notebook, and what they mean for each group.

Read `dial.py` first, then `threshold.py`.

In: comparisons, audits, FaceSets. Out: ipywidgets that show a figure and a table, give their state
as plain values (`.value`), and are a still figure and table where no kernel runs.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
