"""What a net's output means: chances of labels, logits, a number, or chances of numbers.

In: what is stated of an output, and its values. Out: columns `predicted_<what>` and
`score_<label>`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax

from facelab.embedders.outputs import no_output
from facelab.errors import BadInput, check_option

KINDS = ("softmax", "logits", "number", "expected")
_CHANCE = 1e-3  # by which chances may miss a sum of one


@dataclass(frozen=True)
class Output:
    """One output: which of its columns, what they are of, how they are to be read."""

    name: str
    what: str
    kind: str
    labels: tuple[str, ...] = ()
    columns: tuple[int, int] | None = None
    scale: float = 1.0
    first: float | None = None

    def read(self, values: np.ndarray, count: int, model: str) -> dict[str, np.ndarray]:
        """Columns of a prediction table of raw values."""
        values = np.asarray(values, np.float64).reshape(len(values), -1)
        if self.columns:
            values = values[:, slice(*self.columns)]
        wanted = 1 if self.kind == "number" else len(self.labels) or values.shape[1]
        if values.shape != (count, wanted):
            raise BadInput(
                f"{model} gives {values.shape[1]} numbers a face ({len(values)} rows for {count} "
                f"faces) as {self.what}, where {wanted} are meant: give labels for each of them"
            )
        if self.kind == "number":
            return {f"predicted_{self.what}": values[:, 0] * self.scale}
        if self.kind == "logits":
            with np.errstate(invalid="ignore"):  # what is not finite is no prediction
                values = softmax(values, axis=1)
        self._check_chances(values, model)
        if self.kind == "expected":
            return {f"predicted_{self.what}": values @ self._numbers(values.shape[1])}
        # A row that is not finite has no likeliest label.
        likeliest = np.where(np.isfinite(values).all(axis=1), values.argmax(axis=1), 0)
        said = np.array(self.labels, object)[likeliest]
        scores = {
            f"score_{name}": column for name, column in zip(self.labels, values.T, strict=True)
        }
        return {f"predicted_{self.what}": said, **scores}

    def _numbers(self, count: int) -> np.ndarray:
        if self.labels:
            return np.array([float(label) for label in self.labels])
        numbers = np.arange(count, dtype=np.float64)
        numbers[0] = self.first if self.first is not None else 0
        return numbers

    def _check_chances(self, values: np.ndarray, model: str) -> None:
        sums = values.sum(axis=1)
        known = np.isfinite(sums)
        if (values[known] < -_CHANCE).any() or (np.abs(sums[known] - 1) > _CHANCE).any():
            raise BadInput(
                f"{model} gives no chances of {self.what} (a row sums to {sums[known][0]:.3g}): "
                'say kind="logits"'
            )


def as_output(told: Mapping[str, Any], names: Sequence[str], model: str) -> Output:
    """An output as it is stated, held against those that the model has."""
    name = told.get("output")
    if name is None and len(names) > 1:
        raise BadInput(f"{model} has several outputs ({', '.join(names)}): give output")
    if name is not None and name not in names:
        raise BadInput(no_output(model, name, names))
    absent = [key for key in ("what", "kind") if key not in told]
    if absent:
        raise BadInput(
            f'what {model} says is not stated ({", ".join(absent)}): give such as what="gender", '
            'kind="softmax", labels=["male", "female"]'
        )
    check_option("kind", told["kind"], KINDS)
    if not isinstance(told["what"], str) or not told["what"].isidentifier():
        raise BadInput(f"what= names columns: a word such as 'expression', not {told['what']!r}")
    labels = told.get("labels", ())
    if not isinstance(labels, list | tuple) or len(set(map(str, labels))) < len(labels):
        raise BadInput(f"labels must be a list of different labels, not {labels!r}")
    if told["kind"] in ("softmax", "logits") and len(labels) < 2:
        raise BadInput(f"the labels of {told['what']} are not stated: give labels, in their order")
    return Output(
        name or names[0],
        told["what"],
        told["kind"],
        tuple(map(str, labels)),
        tuple(told["columns"]) if told.get("columns") else None,
        float(told.get("scale", 1)),
        told.get("first"),
    )
