"""Grouping: faces sorted into people, and how right that is for whom.

Read `clusters.py` first: `group_faces` makes a `Grouping`; `measures.py` measures it.
"""
