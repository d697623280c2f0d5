"""Services that one can only call: which pairs to buy, calling them, their saved answers.

Read `plans.py` first: `plan_pairs`. `calling.py` buys what it chose and `reading.py` reads what
came back; `vendors.py` says what each vendor's answer means. `auditing.py` brings it together.
"""
