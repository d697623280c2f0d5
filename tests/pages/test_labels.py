"""Labels are other people's words: on every kind of page they are text, never elements."""

import json
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from bs4 import BeautifulSoup
from test_one_page import flagship, keep

import facelab as fl
from facelab.pages import examples
from facelab.pages.allowed import Allowed
from facelab.pages.notebooks import save_report
from facelab.pages.summary import summary_page

LABEL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def audit() -> fl.Audit:
    """Two groups, one of them named by the label."""
    rng, people = np.random.default_rng(0), np.repeat(np.arange(40), 3)
    table = pd.DataFrame(
        {
            "subject": [f"{LABEL} {person}" for person in people],
            "image": [f"{LABEL} {number}" for number in range(120)],
            "race": np.where(people % 2, LABEL, "asian"),
        }
    )
    vectors = rng.normal(size=(40, 8))[people] + 0.5 * rng.normal(size=(120, 8))
    return fl.audit(fl.Embeddings.from_arrays(vectors, table), ["race"], fmr=0.05)


def executed(audit):
    """A notebook whose only cell shows the audit and prints the label."""
    new = nbformat.v4
    cell = new.new_code_cell(f"print({LABEL!r})")
    cell.outputs = [
        new.new_output("display_data", {"text/html": audit._repr_html_()}),
        new.new_output("stream", text=LABEL),
    ]
    return new.new_notebook(cells=[new.new_markdown_cell(f"# `{LABEL}`"), cell])


def audit_page(folder, audit):
    return audit.to_html(folder / "audit.html")


def report(folder, audit):
    told = {"run": LABEL}
    return save_report(executed(audit), folder / "report.html", Allowed(), told, footer=LABEL)


def shared(folder, audit):
    run = keep(folder / "run", LABEL, {}, {"group": LABEL})
    nbformat.write(executed(audit), run / "notebook.ipynb")
    return fl.share(fl.seal(run))


def summary(folder, audit):
    return summary_page(flagship(folder / "run", groups=[LABEL, "asian"], note=LABEL))


def gallery(folder, audit):
    example = {"question": LABEL, "says": LABEL, "note": LABEL, "table": "rates"}
    made = {"command": LABEL, "facelab": "0", "commit": "0" * 40, "dirty": True, "numbers": {}}
    made |= {"date": "2026-01-02", "parameters": {"by": LABEL}, "alt": LABEL}
    (folder / "examples.yaml").write_text(yaml.safe_dump({"rates": example}))
    (folder / "stamps.json").write_text(json.dumps({"rates": made}))
    (folder / "rates.png").write_bytes(b"png")
    pd.DataFrame({"group": [LABEL], LABEL: ["x"]}).to_csv(folder / "rates.csv", index=False)
    return examples.build(folder)[0]


@pytest.mark.parametrize("make", [audit_page, report, shared, summary, gallery])
def test_a_label_is_text_on_every_kind_of_page(make, audit, tmp_path):
    page = BeautifulSoup(Path(make(tmp_path, audit)).read_text(), "html.parser")
    assert page.body.get_text().count(LABEL) > 2
    assert not page.select("[onerror], [src=x]")
