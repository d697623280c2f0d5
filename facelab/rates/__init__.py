"""Rates: from counts of errors to rates with intervals, and what may be said of groups.

Read `counts.py` first: `ErrorCounts` holds the errors of every pair of subjects, from which all
else follows. `indices.py` is disparity, `contrasts.py` group against group, `planning.py` how many
subjects a question needs.
"""
