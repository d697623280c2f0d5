"""Face analysis: perceived gender, age and expression, and whom an analyser errs about.

Read `by_group.py` first: `analysis_audit` holds any table of predictions against labels, by group.
`nets.py` runs analysers, `reading.py` reads what others have saved.
"""
