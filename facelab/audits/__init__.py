"""Audits: error rates by group at one threshold, and what changed between two recognisers.

Read `by_group.py` first: `audit` makes an `Audit`. `differences.py` compares audits in pairs,
`studies.py` carries a study of many trainings through, `overlaps.py` looks for wrong labels.
"""
