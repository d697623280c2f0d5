"""Speed, side by side: each of the core's jobs beside the bare operation it cannot beat, or a peer.

Read `core.py` first; `python -m facelab.bench`, which `make bench` runs, does all of it. And truth:
`printed.py` tells how often each figure that facelab prints holds, by simulation; `population.py`
what models that have only seen photos of real people make of the rendered ones.
"""
