"""Names that are formulas, commands of a terminal or mathematics: shown and kept as text."""

import csv
import io
import re
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.cli.app import _fail
from facelab.cli.shared import say
from facelab.errors import printable
from facelab.faces.cells import as_csv, from_csv
from facelab.progress import tell

pytestmark = pytest.mark.security(area="bounds")

FORMULAS = [
    "=1+1", "=cmd|' /C calc'!A0", "@SUM(A1:A9)", "+1+1", "-1+1", "-", "=", "\t=1", "\r=1",
    "a;=1", "a\t=1", "a\r=1", "\n=1",
    "=HYPERLINK(\"http://x\",\"y\")", "'=1", "''=1", "'", "''", "'ada", "＝1+1",
    "＋1", "－1", "＠A",
    "-5", "+5", "a=b", " =1", "ada", "1,5", '"=1"', "é", "=\n1",
]  # fmt: skip
STARTS = tuple("=+-@\t\r\n＝＋－＠")
ESCAPES = [
    *("\x1b[2Jada", "\x1b]0;title\x07", "a\rb", "a\x08\x08b", "\x9b31m", "a\u202eb", "a\x00b"),
    *("\x1b]8;;http://x\x1b\\here\x1b]8;;\x1b\\", "a\x7fb", "a\u2066b", "\x1b(0", "\x0cada"),
]
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def cells_of(text):
    return [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]


def is_number(cell):
    return bool(re.fullmatch(r"-?[0-9.]+(e-?[0-9]+)?", cell))


# ---- csv


@pytest.mark.parametrize("kind", [object, "str", "category"])
def test_text_is_text_in_a_spreadsheet_and_comes_back_as_it_was(kind, tried):
    table = pd.DataFrame({"group": pd.Series(FORMULAS, dtype=kind), "low": -1.5, "n": -3})
    text = as_csv(table)
    bad = [cell for cell in cells_of(text) if cell.startswith(STARTS) and not is_number(cell)]
    assert bad == []
    named = [row[0] for row in csv.reader(io.StringIO(text, newline=""))][1:]
    assert not any(cell.startswith(STARTS) for cell in named), "a label that is a number is text"
    again = from_csv(text.encode())
    assert again["group"].tolist() == FORMULAS
    assert again["low"].tolist() == ["-1.5"] * len(FORMULAS), "numbers stay numbers"
    tried(len(FORMULAS))


def test_names_of_columns_and_of_an_index_are_text_too(tried):
    for name in FORMULAS:
        index = pd.Index([name], name=name)
        text = as_csv(pd.DataFrame({name + "x": [1.0]}, index=index), index=True)
        assert not [cell for cell in cells_of(text) if cell.startswith(STARTS)], name
        again = from_csv(text.encode())
        assert [*again.columns] == [name, name + "x"] and again[name].tolist() == [name]
    tried(2 * len(FORMULAS))


@pytest.fixture(scope="module")
def evil():
    """Embeddings of people whose groups are formulas."""
    rng = np.random.default_rng(0)
    groups = [name for name in dict.fromkeys(one.strip() for one in FORMULAS) if name][:8]
    subject = np.repeat([f"=s{number}" for number in range(48)], 3)
    centre = np.repeat(rng.normal(size=(48, 8)), 3, axis=0)
    table = pd.DataFrame({"subject": subject, "gender": np.repeat(groups, 18)})
    return fl.Embeddings.from_arrays(centre + 0.3 * rng.normal(size=centre.shape), table)


@pytest.mark.filterwarnings("ignore")
def test_every_csv_that_is_written_is_harmless_and_an_audit_is_read_back(evil, tmp_path, tried):
    audit = fl.audit(evil, by="gender", fmr=0.05)
    audit.save(tmp_path / "audit")
    again = fl.Audit.load(tmp_path / "audit")
    assert again.rates["group"].tolist() == audit.rates["group"].tolist()
    pd.testing.assert_frame_equal(again.disparity, audit.disparity)
    record = fl.Record(tmp_path)
    record.table("t", audit.rates.set_index("group"))
    gallery = fl.Gallery().enrol(evil[np.arange(0, 72, 3)])
    fl.identify(gallery, evil[np.arange(1, 144, 3)], by="gender", fpir=0.1).save(tmp_path / "id")
    made = sorted(tmp_path.rglob("*.csv"))
    assert len(made) > 5
    for path in made:
        text = path.read_bytes().decode()
        cells = [cell for cell in cells_of(text) if cell.startswith(STARTS)]
        assert all(map(is_number, cells)), (path.name, cells)
    tried(len(made))


# ---- terminals


def test_what_is_printed_moves_no_cursor(capsys, tried):
    for name in ESCAPES:
        say(f"audit of {name}")
        say(f"audit of {name}", err=True)
        tell(f"audit of {name}")
        _fail(f"there is no subject {name}", 1, False)
        seen = capsys.readouterr()
        assert not UNSEEN.search(seen.out + seen.err), name
        assert "ada" in seen.out or "ada" not in name
    tried(4 * len(ESCAPES))


def test_errors_spell_it_out_wherever_they_are_shown(evil, tried):
    for name in ESCAPES:
        for error in (fl.BadInput(f"no {name}"), fl.FacelabError(f"no {name}")):
            assert not UNSEEN.search(str(error)) and not UNSEEN.search(repr(error))
        with pytest.raises(fl.BadInput) as caught:
            fl.audit(evil, by=name)
        assert not UNSEEN.search(str(caught.value))
    tried(3 * len(ESCAPES))
    assert printable("ada\tb\nc") == "ada\tb\nc"
    assert printable("\x1b[1m") == "\\x1b[1m"


def test_the_command_prints_none_of_it(evil, tmp_path):
    table = evil.table.assign(gender=np.where(np.arange(len(evil)) % 2, "\x1b[31mred", "a\u202eb"))
    table["gender"] = table["gender"].where(table["subject"] != "=s1", "\x9b2J")
    table["gender"] = table.groupby("subject")["gender"].transform("first")
    fl.Embeddings.from_arrays(evil.vectors, table).save(tmp_path / "e")
    code = "from facelab.cli.app import main; main()"
    attacks = [
        [
            "audit",
            str(tmp_path / "e"),
            "--by",
            "gender",
            "--fmr",
            "0.05",
            "-o",
            str(tmp_path / "a"),
        ],
        ["audit", str(tmp_path / "\x1b[2Jx")],
    ]
    for words in attacks:
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True)
        said = (done.stdout + done.stderr).decode()
        assert not UNSEEN.search(said), said
        assert said.strip()


# ---- pictures


MATHS = [
    *("$x$", "$\\frac{1}{0}$", "$", "$$", "$\\unknown$", "a_b^c", "\\alpha", "{", "%", "#"),
    *("$\\mathdefault{$", "_hidden", "\x1b[2J", "a\0b", "$" * 500, "x" * 3000, "\u202eada", "<b>"),
]


def test_labels_are_drawn_as_they_are_written(tmp_path, tried):
    rng = np.random.default_rng(1)
    centre = np.repeat(rng.normal(size=(36, 8)), 3, axis=0)
    vectors = centre + 0.3 * rng.normal(size=centre.shape)
    for start in range(0, len(MATHS), 6):
        groups = np.resize(MATHS[start : start + 6], 6)
        table = pd.DataFrame(
            {"subject": np.repeat([f"s{n}" for n in range(36)], 3), "gender": np.repeat(groups, 18)}
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            audit = fl.audit(fl.Embeddings.from_arrays(vectors, table), by="gender", fmr=0.05)
            figure = audit.plot()
            figure.savefig(tmp_path / "a.png", dpi=40)
    tried(len(MATHS))
