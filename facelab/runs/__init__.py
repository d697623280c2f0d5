"""Runs: notebooks executed with parameters, alone, in sweeps and on schedules, and what they keep.

Read `experiments.py` first: `run` makes a folder that is whole or not there.
"""
