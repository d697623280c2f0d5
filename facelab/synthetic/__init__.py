"""The built-in population: rendered people, so that nobody real is needed to learn or to test.

In: counts, shares and a seed, or a `Population`. Out: a FaceSet whose table holds every label and
capture value.
"""

from facelab.synthetic.population import Population
from facelab.synthetic.produce import synthesize
from facelab.synthetic.twins import synthesize_twins

__all__ = ["Population", "synthesize", "synthesize_twins"]
