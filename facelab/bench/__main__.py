"""`python -m facelab.bench`: every table of speed, one after the other."""

from facelab.bench import core, search

core.main()
search.main()
