"""Embedders: faces in, unit vectors out.

Read `opening.py` first: `load_embedder` opens every kind there is. All have `.name`, `.dim`,
`.size` and `.embed(faces, flip=True, batch=..., jobs=None, progress=True)`, which returns
`Embeddings`. Ours are folders that `train` saved (`trained.py`); others' are ONNX files, dlib's
network, models of timm and the hub, and any function on crops.
"""
