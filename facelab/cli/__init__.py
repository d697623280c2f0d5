"""The `facelab` command: each of its commands a thin skin over the function of that name.

Read `app.py` first: it joins the commands of the other files and turns errors into one sentence.
"""

from facelab.cli.app import main as main
