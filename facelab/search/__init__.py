"""Search: one photo against many people, and what its errors do to whom.

Read `gallery.py` first: `Gallery` enrols and searches. `identification.py` reads FPIR and FNIR by
group, `experiment.py` searches people among strangers, `false_matches.py` says what a rate comes to
in a year.
"""
