"""A finished run as one page reads it: its numbers, each with where it stands.

In: a run folder. Out: numbers as HTML that say where in `metrics.json` they were found.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from facelab.pages.records import record_of, values_of
from facelab.rates.tables import number


@dataclass
class FinishedRun:
    """A finished run: its numbers, parameters and record; `label` names it on the page."""

    folder: Path
    label: str
    metrics: dict[str, Any] = field(init=False)
    parameters: dict[str, Any] = field(init=False)
    record: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.record = record_of(self.folder, "summarise")
        self.metrics = values_of(self.folder, "metrics.json")
        self.parameters = values_of(self.folder, "params.yaml")

    def at(self, *path: str) -> Any:
        value: Any = self.metrics
        for name in path:
            value = value[name]
        return value

    def told(self, *path: str, scale: float = 1, form: str = ".3g") -> Markup:
        """A number as HTML that says where in `metrics.json` it stands; `form` may be "ratio"."""
        value = self.at(*path)
        if value is None:
            return Markup("unknown")
        if form == "ratio":
            form = ".2g" if abs(value) < 100 else ",.0f"
        where = "/".join((self.label, *path)).replace(" ", "_")
        return Markup('<data value="{!r}" data-from="{}">{}</data>').format(
            value, where, number(scale * value, form)
        )

    def estimate(self, *path: str, columns: tuple[str, str, str], **shown: Any) -> Markup:
        """A number and the two ends of its interval, by the columns that hold them.

        JSON has no infinity: where one end is missing, there is none.
        """
        value, low, high = (self.told(*path, one, **shown) for one in columns)
        without = [self.at(*path, one) is None for one in columns[1:]]
        if all(without):
            return Markup("{} [no interval]").format(value)
        low, high = "no lower end" if without[0] else low, "no upper end" if without[1] else high
        return Markup("{} [{}, {}]").format(value, low, high)

    def way(self, quantity: str) -> str:
        """What became of a quantity: it fell or rose where its interval holds no 1.

        Of groups it is the interval that allows for all of them; older runs have none.
        """
        row = self.at("differences", quantity)
        low, high = (row.get(f"family_{end}", row[f"ratio_{end}"]) for end in ("low", "high"))
        if low is not None and low > 1:
            return "rose"
        return "fell" if high is not None and high < 1 else "shows no clear change"

    @property
    def made(self) -> str:
        """What made the run, in a line."""
        record = self.record
        commit = (record["commit"] or "unknown")[:10] + (" with changes" if record["dirty"] else "")
        told = ", ".join(f"{name} = {value}" for name, value in self.parameters.items())
        return (
            f"{record['name']} {record['run_id']}: {record['notebook']}, "
            f"facelab {record['facelab']} {commit}, {record['started'][:10]}. {told}."
        )
