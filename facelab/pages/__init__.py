"""Pages: every document for people who do not run code, self-contained.

Read `documents.py` first: `render` makes a page from one of `templates/`, all of which fill the
blocks of `base.html`.
"""
