"""The built-in population: rendered people, so that nobody real is needed to learn or to test.

In: counts, shares and a seed. Out: a FaceSet whose table holds every label and capture value.
"""

from facelab.synthetic.produce import synthesize

__all__ = ["synthesize"]
