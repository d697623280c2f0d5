"""The steps of `facelab.synthetic.bake_styles`, one module each; nothing here runs when rendering.

In: MakeHuman's core assets and the mesh they are made for. Out: the arrays of `styles.npz`.
"""
