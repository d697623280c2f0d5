"""What limits an error rate: no errors, few of them, one person in most comparisons.

In: sums behind rates. Out: what a reader must know before quoting them.
"""

import numpy as np

from facelab.rates.intervals import Sums

FEW_ERRORS = 30  # Doddington's rule of 30: below, the rate is known to no better than +-30%
FEW_SUBJECTS = 10
RULE_OF_THREE = 3.0

# Shares of the comparisons from which on one person is named; in FMR everybody is in 2 / n of them.
_DOMINANT = {"fmr": 0.4, "fnmr": 0.2}
COLUMNS = {"fmr": ("false_matches", "non_mated"), "fnmr": ("false_non_matches", "mated")}


def note_of(people: int, non_mated: list[str], mated: list[str]) -> str:
    """What a reader must know before quoting a row."""
    notes = ["one subject: no non-mated comparisons"] if people == 1 else list(non_mated)
    notes += mated
    if 1 < people < FEW_SUBJECTS:
        notes.append(f"few subjects ({people}): intervals are rough")
    return "; ".join(notes)


def notes_of(
    sums: Sums,
    high: np.ndarray,
    error: str,
    people: np.ndarray,
    seen: np.ndarray | None = None,
) -> list[list[str]]:
    """What limits each rate: no errors, few independent ones, one person in most comparisons.

    `seen` are the errors as they were counted, where those of `sums` are weighted.
    """
    seen = sums.errors if seen is None else seen
    errors, tries = (name.replace("_", " ") for name in COLUMNS[error])
    tries = f"{tries.replace('non ', 'non-')} comparisons"
    errors = errors.replace("non ", "non-")
    found = []
    worth = sums.rate * sums.number
    for place, (n, wrong) in enumerate(zip(sums.comparisons, sums.errors, strict=True)):
        notes = []
        if n == 0:
            notes.append(f"no {tries}")
        elif wrong == 0:
            most = float(f"{100 * high[place]:.2g}")
            notes.append(f"no {errors}: a rate up to {most:g}% would show none as well")
        elif told := few_errors(seen[place], worth[place], errors):
            notes.append(told)
        if people[place] >= FEW_SUBJECTS - 2 and sums.largest[place] > _DOMINANT[error]:
            share = min(sums.largest[place], 0.995)
            notes.append(f"one person makes up {share:.0%} of the {tries}")
        found.append(notes)
    return found


def few_errors(errors: float, worth: float, name: str, where: str = "") -> str:
    """A caution where errors tell as much as fewer than thirty independent ones, else ""."""
    if worth >= FEW_ERRORS:
        return ""
    worth = max(round(worth), 1)
    less = f", which tell as much as {worth}" if worth < round(errors) else ""
    name = name if round(errors) > 1 else name.removesuffix("es")
    return f"few errors: {errors:,.0f} {name}{where}{less}"
