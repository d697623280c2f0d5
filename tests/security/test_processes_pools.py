"""Every pool of the house, killed while it starts and while it works: nothing is left of it."""

import os
import sys
import textwrap
from pathlib import Path

import pytest
from outliving import command_of, family, worked

pytestmark = [
    pytest.mark.security(area="processes"),
    pytest.mark.skipif(sys.platform != "linux", reason="who is left is read from /proc"),
]
TESTS = Path(__file__).parents[1]

# What is done is enough for minutes, so that a kill finds it at work on any machine.
FACES = """
    faces = fl.FaceSet.from_arrays(
        pd.DataFrame({"subject": np.arange(200_000) // 4, "image": np.arange(200_000)}),
        np.lib.stride_tricks.as_strided(
            np.zeros((64, 64, 3), np.uint8), (200_000, 64, 64, 3), (0, 192, 3, 1)
        ), name="none", synthetic=True,
    )
"""
PEOPLE = "    people, _ = fl.crowd(20_000, images=4, dim=256)\n"
PATTERNS = """
    from training_sets import TINY, patterns
    import dataclasses
    long = dataclasses.replace(TINY, steps=1_000_000)
"""
NOTEBOOK = """
    from nbformat import v4 as nb
    cell = nb.new_code_cell("n = 1", metadata={"tags": ["parameters"]})
    work = nb.new_code_cell("while n: pass")
    (place / "n.ipynb").write_text(nb.writes(nb.new_notebook(cells=[cell, work])))
    (place / "n.yaml").write_text("{notebook: n.ipynb, grid: {n: [1, 2, 3, 4]}}")
"""
POOLS = {
    "synthesis": "    fl.synthesize(500, 40, size=224, jobs=2)",
    "embedding": FACES
    + "    fl.embedder_of(slow, size=64, workers='processes').embed(faces, jobs=2)",
    "all pairs": PEOPLE + "    fl.compare_all(people, by='group', jobs=2).cross_group(0.2)",
    "overlaps": PEOPLE + "    fl.near_duplicates(people, 0.9, jobs=2)",
    "measures": FACES + "    fl.measure(faces, jobs=2)",
    "coverage": "    fl.coverage(subjects=[500], trials=1_000_000, jobs=2)",
    "coverage of everything": "    fl.coverage_by_quantity(runs=100_000, jobs=2)",
    "preparing": """
    from PIL import Image
    import os
    os.makedirs(place / "photos" / "a")
    Image.effect_noise((2000, 2000), 90).convert("RGB").save(place / "photos" / "a" / "0.png")
    for number in range(1, 5000):
        (place / "photos" / "a" / f"{number}.png").hardlink_to(place / "photos" / "a" / "0.png")
    fl.prepare(fl.datasets.folder(place / "photos"), place / "out", aligned=True, jobs=2)
    """,
    "arms": PATTERNS
    + "    fl.train_arms({'a': patterns(), 'b': patterns(seed=1)}, long, [0], jobs=2)",
    "a sweep": NOTEBOOK + "    fl.sweep(place / 'n.yaml', out=place / 'runs', jobs=2)",
    "a sweep on dask": NOTEBOOK
    + "    fl.sweep(place / 'n.yaml', out=place / 'runs', jobs=2, cluster='local')",
    "a run": NOTEBOOK + "    fl.run(place / 'n.ipynb', out=place / 'runs')",
    "torchrun": PATTERNS
    + """
    patterns().save(place / "faces")
    long.to_yaml(place / "long.yaml")
    os.execv(sys.executable, [sys.executable, *"-m torch.distributed.run --standalone".split(),
        "--nproc-per-node=2", "-m", "facelab", "train", str(place / "faces"), "--recipe",
        str(place / "long.yaml"), "--device", "cpu", "-o", str(place / "model")])
    """,
}
HEAD = f"""
import os, sys, time
from pathlib import Path
sys.path.insert(0, {str(TESTS)!r})
import numpy as np
import pandas as pd
import facelab as fl
place = Path(sys.argv[1])

def slow(crops):
    time.sleep(0.2)
    return crops.reshape(len(crops), -1)[:, :8] + np.float32(1)

if __name__ == "__main__":
"""
WORKERS = ("popen_loky", "ipykernel_launcher", "-m facelab", "spawn_main")


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 0.2, 1.0, 4.0])
@pytest.mark.parametrize("pool", POOLS)
def test_nothing_outlives_a_pool_that_is_killed(tmp_path, pool, seconds):
    """Aimed by how long a worker has worked: none, its first imports, its task's, its task."""
    code = HEAD + textwrap.indent(textwrap.dedent(POOLS[pool]), "    ")
    before = set(os.listdir("/dev/shm"))

    def there(one):
        workers = [who for who in one.members() if any(w in command_of(who) for w in WORKERS)]
        return any(worked(who) >= seconds for who in workers)

    with family(code, tmp_path, TMPDIR=str(tmp_path)) as one:
        one.until(there, 300)
        one.kill()
        assert one.survivors() == []
        mine = [name for name in set(os.listdir("/dev/shm")) - before if str(one.head.pid) in name]
    assert mine == []
