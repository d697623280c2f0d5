"""Photos: decoded, a face found in each, cut out and laid on the template.

Read `preparing.py` first: `prepare` makes a FaceSet of a reader's photos and says what was lost.
"""
