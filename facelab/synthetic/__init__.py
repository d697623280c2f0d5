"""The built-in population: rendered people, so that nobody real is needed to learn or to test.

Read `produce.py` first: `synthesize` plans, renders and stores. `population.py` says who is drawn,
`render.py` draws one face, `baking/` makes the data files that come with the package.
"""
