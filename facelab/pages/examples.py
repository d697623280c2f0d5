"""The gallery of examples: what runs found, with what made them, as one page.

In: `examples.yaml`, the figures, tables and stamps kept beside it; finished runs to keep. Out:
`index.html` and `README.md`. `python -m facelab.pages.examples [FOLDER] [--keep RUN]` writes them.
"""

import argparse
import html
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from facelab import files
from facelab.audits.arms import FIGURES, readable_arms
from facelab.errors import BadInput, FacelabError, there_are
from facelab.faces.cells import from_csv
from facelab.pages.allowed import Allowed
from facelab.pages.documents import render
from facelab.pages.records import record_of, shown_of, values_of
from facelab.rates.tables import interval, number, points, readable_changes, with_interval
from facelab.shown import digest
from facelab.words import read

__all__ = ["build", "keep"]
_NUMBER = re.compile(r"\{([^{}|]+?)(?:\s*\|\s*(\w+))?\}")
_OPENING = (
    "Examples of what the workbench finds, each with the run that made it. Nobody in them is real: "
    "faces are rendered, group names are rendering parameters and claim nothing about people. "
    "In brackets stand 95% intervals."
)


# ---- keeping a run


def keep(run: str | Path, folder: str | Path) -> None:
    """Take what examples show, and their stamps, from a finished run of their name (or `run`).

    Parameters
    ----------
    run
        A run folder, such as `experiments/runs/mix-ratio/latest`.
    folder
        The gallery, with its `examples.yaml`.

    Raises
    ------
    BadInput
        There is no finished run or it is quick, no example is of its name, or the run kept no such
        figure, table or number.
    """
    run, folder = Path(run), Path(folder)
    examples = _read(folder / "examples.yaml")
    record = record_of(run, "keep")
    if record["quick"]:
        raise BadInput(
            f"the run in {run} is quick, and what it found means nothing: keep a whole one"
        )
    name = record["name"]
    made = {key: one for key, one in examples.items() if one.get("run", key) == name}
    if not made:
        raise BadInput(f"no example is called {name!r}{there_are(name, examples)}")
    stamp = {key: record[key] for key in ("run_id", "notebook", "facelab", "commit", "dirty")}
    stamp |= {"date": record["started"][:10], "parameters": values_of(run, "params.yaml")}
    metrics, safe = values_of(run, "metrics.json"), shown_of(run).safe
    parts, stamps = {}, {}
    for key, example in made.items():
        figure = run / "figures" / f"{example['figure']}.png"
        kept = {f"{key}.png": figure, f"{key}.csv": run / "tables" / f"{example['table']}.csv"}
        for file in kept.values():
            if not file.is_file():
                raise BadInput(
                    f"the run kept no {file.relative_to(run)}: name another in the example"
                )
        if digest(figure.read_bytes()) not in safe:
            raise BadInput(
                f"{figure.relative_to(run)} may show real people: the gallery keeps charts and "
                "rendered faces that facelab drew in this run"
            )
        parts |= kept
        said = {m[1].strip(): _found(metrics, m[1]) for m in _NUMBER.finditer(example["says"])}
        stamps[key] = {**stamp, "numbers": said, "alt": _alt(run, example["figure"])}
    for target, file in parts.items():
        files.write_bytes(folder / target, file.read_bytes())
    before = _read(folder / "stamps.json") if (folder / "stamps.json").is_file() else {}
    files.write_json(folder / "stamps.json", {**before, **stamps})


def _found(metrics: Mapping[str, Any], path: str) -> list[float | None]:
    """A number of `metrics.json`; with the ends of its interval, where it has one."""
    *way, last = (part.strip() for part in path.split(" > "))
    row: Any = metrics
    for part in way:
        row = row.get(part) if isinstance(row, Mapping) else None
    if not isinstance(row, Mapping) or not isinstance(row.get(last), int | float):
        raise BadInput(f"the run kept no number {path.strip()!r} in its metrics.json")
    plain = last in ("value", "difference")
    ends = [row.get(end if plain else f"{last}_{end}") for end in ("low", "high")]
    return [row[last]] if ends == [None, None] else [row[last], *ends]


def _alt(run: Path, figure: str) -> str:
    """What the executed notebook says to those who cannot see the figure."""
    file = run / "notebook.ipynb"
    for cell in read(file.read_bytes(), file, "json")["cells"]:
        if f'record.figure("{figure}"' not in "".join(cell["source"]):
            continue
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                return output["metadata"]["image/png"]["alt"]
    raise BadInput(f"no cell of the notebook in {run} shows the figure {figure!r}")


def _read(file: Path) -> Any:
    if not file.is_file():
        raise BadInput(f"there is no {file}: give the folder of the gallery, or a whole run")
    return files.read_values(file)


# ---- building the page


def build(folder: str | Path) -> list[Path]:
    """Write `index.html` and `README.md` from what is kept in the gallery.

    Raises
    ------
    BadInput
        An example lacks its stamp, a picture, or a number that its sentence names.
    """
    folder = Path(folder)
    examples, stamps = _read(folder / "examples.yaml"), _read(folder / "stamps.json")
    shown = []
    for name, example in examples.items():
        if name not in stamps:
            raise BadInput(f"nothing says what made {name!r}: keep a run of it (--keep RUN)")
        shown.append(_Example(folder, name, example, stamps[name]))
    allowed = Allowed(
        pictures=[example.picture for example in shown],
        links=[link for one in shown for link in (one.picture, *one.links.values())],
    )
    page = render("gallery.html", allowed, opening=_OPENING, examples=shown)
    files.write_text(folder / "index.html", page)
    opening = f"{_OPENING} `make gallery` writes this page and `index.html` from `examples.yaml`."
    sections = [example.section() for example in shown]
    files.write_text(folder / "README.md", "\n\n".join(["# gallery/", opening, *sections]) + "\n")
    return [folder / "index.html", folder / "README.md"]


class _Example:
    """An example as it is shown."""

    def __init__(
        self, folder: Path, name: str, example: Mapping[str, Any], stamp: Mapping[str, Any]
    ) -> None:
        self.name, self.stamp, self.question = name, stamp, example["question"]
        self.run = example.get("run", name)
        self.picture = example.get("picture", f"{name}.png")
        if not (folder / self.picture).is_file():
            raise BadInput(f"the picture {self.picture} of {name!r} is not in {folder}")
        self.sentence = _NUMBER.sub(self._number, example["says"])
        self.alt = stamp.get("alt") or self.sentence
        self.table = None
        if "table" in example:
            arms = example.get("arms", ["a", "b"])
            self.table = _table(folder / f"{name}.csv", arms).reset_index()
        self.note = example.get("note", "")
        self.links = self._links(folder, example.get("page"))

    def _number(self, found: re.Match) -> str:
        path, unit = found[1].strip(), found[2]
        if path not in self.stamp["numbers"]:
            raise BadInput(f"{self.name!r} says {path!r}, which was not kept: keep its run again")
        scale = 100 if unit in ("percent", "points") else 1
        sign = "+" if unit == "points" else ""
        after = {"percent": "%", "points": " points"}.get(unit, "")

        def words(value: float) -> str:
            return number(scale * value, f"{sign}.3g")

        value, *ends = self.stamp["numbers"][path]
        if not ends:
            return f"{words(value)}{after}"
        low, high = ends  # JSON has no infinity: where one end is missing, there is none
        if (low is None) != (high is None):
            low, high = -math.inf if low is None else low, math.inf if high is None else high
        return f"{words(value)}{after} {interval(low, high, words)}"

    def _links(self, folder: Path, page: str | None) -> dict[str, str]:
        links = {}
        if "run_id" in self.stamp:
            notebook = _read(folder.parent / f"{self.run}.yaml")["notebook"]
            links = {"notebook": f"../{notebook}", "experiment": f"../{self.run}.yaml"}
        if page:
            links["one page"] = page
        for words, target in links.items():
            if not (folder / target).resolve().is_file():
                raise BadInput(f"the {words} of {self.name!r} is not there: {target}")
        return links

    @property
    def made(self) -> str:
        """What made it, in a line."""
        stamp = self.stamp
        changed = " with changes" if stamp["dirty"] else ""
        words = f"run {stamp['run_id']} of {stamp['notebook']}" if "run_id" in stamp else ""
        given = ", ".join(f"{key} = {value}" for key, value in stamp["parameters"].items())
        return (
            f"Made by {words or stamp['command']}, facelab {stamp['facelab']} "
            f"{stamp['commit'][:7]}{changed}, {stamp['date']}: {given}. {self.note}".strip()
        )

    def section(self) -> str:
        links = " · ".join(f"[{words}]({to})" for words, to in self.links.items())
        parts = [f"## {self.question}", self.sentence, f"![{self.question}]({self.picture})"]
        if self.table is not None:
            parts.append(_markdown(self.table))
        return "\n\n".join([*parts, *filter(None, [links]), f"<sub>{html.escape(self.made)}</sub>"])


def _table(file: Path, arms: list[str]) -> pd.DataFrame:
    """A kept table as people read it; `arms` are those of paired differences."""
    frame = from_csv(file, encoding="utf-8")
    if "factor" in frame:
        return _effects(frame[frame["quantity"] == "fnmr"], arms)
    if "figure" in frame:
        return readable_arms(frame[frame["figure"].isin(FIGURES)])
    if "quantity" in frame:
        kinds = frame["quantity"].str.partition(":")[0]
        frame = frame[kinds.isin(["fmr", "fnmr", "max_min_ratio", "garbe"])]
        shown = readable_changes(frame, arms)
        shown = shown.loc[:, (shown != "").any()]  # a column of notes only where there are some
        return shown.set_index(frame["arm"], append=True) if "arm" in frame else shown
    shown = frame.drop(columns="note", errors="ignore").map(
        lambda value: f"{value:.4g}" if isinstance(value, float) else str(value)
    )
    shown = shown.replace("nan", "")
    return shown.set_index(shown.columns[0])


def _effects(table: pd.DataFrame, arms: list[str]) -> pd.DataFrame:
    """What twins' changes do to FNMR in both arms, in percentage points."""
    rows = table.to_dict("records")
    change = [f"{row['factor'].replace('_', ' ')} {row['level']}" for row in rows]
    shown = {"changed alone": change}
    for of, ends, name in (
        ("a", "a_", arms[0]),
        ("b", "b_", arms[1]),
        ("difference", "", "change"),
    ):
        names = (f"{ends}low", f"{ends}high")
        shown[f"{name}, points of FNMR"] = [with_interval(row, of, points, *names) for row in rows]
    return pd.DataFrame(shown).set_index("changed alone")


def _markdown(frame: pd.DataFrame) -> str:
    lines = [list(frame.columns), ["---"] * frame.shape[1], *frame.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def main() -> None:
    """The command line: which gallery, and runs to keep first."""
    parser = argparse.ArgumentParser(description="Write the gallery's index.html and README.md.")
    parser.add_argument("folder", nargs="?", default="experiments/gallery")
    parser.add_argument("--keep", metavar="RUN", action="append", default=[], help="repeatable")
    given = parser.parse_args()
    try:
        for run in given.keep:
            keep(run, given.folder)
        for path in build(given.folder):
            print(path)
    except FacelabError as error:
        parser.exit(1, f"facelab: {error}\n")


if __name__ == "__main__":
    main()
