"""Search: one photo against many people, and what its errors do to whom.

`Gallery` enrols and searches, `identify` reads FPIR and FNIR by group, `search_experiment` searches
people among strangers, `expected_false_matches` says what a rate comes to in a year.
"""
