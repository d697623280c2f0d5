"""Comparisons: every face with every other, as exact counts.

Read `counted.py` first: `compare_all` and `Comparisons`. `all_pairs.py` cuts the work into tiles,
`kernels.py` holds the loops over one.
"""
