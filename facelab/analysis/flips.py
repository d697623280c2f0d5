"""Twins before an analyser: the same face with one thing changed, and what is said of it then.

In: predictions of photos and of their twins. Out: how often the answer flips, towards what, and
whether that is chance, with people as what is drawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from facelab.analysis.labelled import Words, as_labels, check_frame
from facelab.analysis.tallies import means, shares
from facelab.arguments import as_annotated
from facelab.errors import BadInput, how_many
from facelab.faces.groups import group_keys, group_labels
from facelab.faces.names import in_markdown
from facelab.rates.cautions import FEW_SUBJECTS
from facelab.rates.contrasts import holm
from facelab.rates.tables import interval, rate_words

BASE = "base"


@dataclass(frozen=True, eq=False)
class PredictionFlips:
    """What one change does to an analyser's answers.

    Attributes
    ----------
    flips
        By change and group: `factor level group pairs subjects unprocessed flipped flip_rate` and
        its interval. A pair is a photo and its twin, of which both were processed.
    labels
        By change, group and label: `factor level group label pairs subjects base twin` (shares of
        the pairs that are called so), `difference low high`, `gained lost` (pairs that come to be
        called so, and that cease to be), `p` and `p_holm`, which allows for all rows.
    what
        What was predicted.
    confidence
        Of all intervals.
    """

    flips: pd.DataFrame
    labels: pd.DataFrame
    what: str
    confidence: float = field(default=0.95, repr=False)

    def summary(self, label: str | None = None) -> str:
        """The finding in markdown: how often answers flip, and whether towards a label."""
        told = []
        every = self.flips[self.flips["group"] == "all"]
        for row in every.to_dict("records"):
            change = f"{row['factor']} {row['level']}"
            rate = rate_words(*(row[f"flip_rate{end}"] for end in ("", "_low", "_high")))
            told.append(
                f"- **{in_markdown(change)}**: {rate} of {how_many(row['pairs'], 'answer')} flip; "
                f"{self._towards(row, label)}."
            )
        return "\n".join(told)

    def _towards(self, change: dict, label: str | None) -> str:
        """Which label is said more or less often, and no more than its p-value bears."""
        rows = self.labels[
            (self.labels["group"] == "all")
            & (self.labels["factor"] == change["factor"])
            & (self.labels["level"] == change["level"])
        ]
        rows = rows if label is None else rows[rows["label"] == label]
        if rows.empty:
            return f"nobody is called {in_markdown(label)}" if label else "nothing was said"
        row = rows.sort_values(["p_holm", "p"]).iloc[0]
        name = in_markdown(row["label"])
        if row["p_holm"] >= 1 - self.confidence:
            p = f"(p = {row['p_holm']:.2g}, by Holm)"
            if label:
                return f"that {name} is said more or less often cannot be told from chance {p}"
            return f"that any label is said more or less often cannot be told from chance {p}"
        way = "more" if row["difference"] > 0 else "less"
        points = interval(row["low"], row["high"], lambda x: f"{100 * x:+.3g}")
        p = "p < 0.001" if row["p_holm"] < 1e-3 else f"p = {row['p_holm']:.2g}"
        return (
            f"{name} is said {way} often: {100 * row['base']:.3g}% before, "
            f"{100 * row['twin']:.3g}% after, {100 * row['difference']:+.3g} points {points} "
            f"({p}, by Holm over all rows)"
        )


@as_annotated
def prediction_flips(
    predictions: pd.DataFrame,
    what: str = "expression",
    by: str | list[str] | None = None,
    subject: str = "subject",
    confidence: float = 0.95,
) -> PredictionFlips:
    """Does the same face get another answer when one thing about it is changed?

    Parameters
    ----------
    predictions
        What an analyser said of twins (`analyser.predict(fl.synthesize_twins(...))`): the table has
        `factor` ("base" for an unchanged photo), `level`, `twin` (the image of its unchanged
        photo), `image` and `predicted_<what>`; `status` where something failed.
    what
        What was predicted. Spellings of one perceived expression or gender (anger, ANGRY) are told
        as one: angry, happy, sad, fear, disgust, surprise, contempt, neutral; female, male.
    by
        Group columns, read from the unchanged photos: rows for each group, besides `all`.
    subject
        The column that says whose face it is. Intervals and p-values are over people.
    confidence
        Of all intervals.

    Returns
    -------
    PredictionFlips

    Raises
    ------
    BadInput
        A column is missing, a twin has no unchanged photo, or nothing was processed twice.

    Notes
    -----
    Identity, pose, light and expression are the same in both photos, so that the change is the
    cause. `p` is McNemar's exact test with people for pairs: were the change without effect, all
    pairs of a person could be swapped; it is the share of all ways to swap people that move the
    label as far. With one pair a person it is McNemar's own (1947); its idea for clustered pairs is
    Obuchowski's (1998). Where no answer came or went, the interval's ends are the bound on what may
    do so among people not seen.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> images = [f"p{row}" for row in range(40)]
    >>> base = pd.DataFrame({"image": images, "twin": images, "level": "as drawn"})
    >>> base["factor"] = "base"
    >>> dark = base.assign(image=[f"{name}/d" for name in images], factor="melanin", level="0.8")
    >>> said = ["happy"] * 40 + ["angry"] * 10 + ["happy"] * 30
    >>> table = pd.concat([base, dark]).assign(predicted_expression=said)
    >>> found = fl.prediction_flips(table.assign(subject=images * 2))
    >>> found.flips[["factor", "level", "flip_rate"]].values.tolist()
    [['melanin', '0.8', 0.25]]
    >>> found.labels[["label", "gained", "lost", "p"]].round(3).values.tolist()
    [['angry', 10, 0, 0.002], ['happy', 0, 10, 0.002]]
    """
    column = f"predicted_{what}"
    keys = group_keys(by) if by is not None else []
    needed = ["factor", "level", "twin", "image", column, subject, *keys]
    frame = check_frame(predictions, needed)
    said, _ = as_labels(frame[column], column, {})
    words = Words(said, said)
    if words.family:  # so that anger and ANGRY are one, and so are those of several analysers
        said = said.map(words.key, na_action="ignore")
    if "status" in frame:
        said = said.where(frame["status"].astype(str).str.casefold() == "ok")
    base = frame.index[frame["factor"] == BASE]
    place = dict(zip(frame.loc[base, "image"], base, strict=True))
    twins = frame.index[frame["factor"] != BASE]
    if not len(base) or not len(twins):
        raise BadInput(
            "these are no twins: the column 'factor' must say \"base\" of unchanged photos and "
            "name the change of the others, as fl.synthesize_twins has it"
        )
    home = frame.loc[twins, "twin"].map(place)
    if home.isna().any():
        lost = frame.loc[twins, "twin"][home.isna()].iloc[0]
        raise BadInput(f"the unchanged photo {str(lost)!r} of a twin is not in the table")
    home = home.to_numpy(np.int64)
    pairs = pd.DataFrame(
        {
            "factor": frame.loc[twins, "factor"].astype(str).to_numpy(object),
            "level": frame.loc[twins, "level"].astype(str).to_numpy(object),
            "subject": pd.factorize(frame.loc[home, subject])[0],
            "before": said.loc[home].to_numpy(object),
            "after": said.loc[twins].to_numpy(object),
        }
    )
    groups = {"all": np.ones(len(pairs), bool)}
    if keys:
        of = group_labels(frame, keys).loc[home].reset_index(drop=True)
        groups |= {str(name): (of == name).to_numpy() for name in of.cat.categories}
    flips, labels = [], []
    for (factor, level), part in pairs.groupby(["factor", "level"], sort=False):
        for group, inside in groups.items():
            own = part[inside[part.index]]
            if own.empty:
                continue
            named = {"factor": factor, "level": level, "group": group}
            both = own[own["before"].notna() & own["after"].notna()]
            flips.append(named | _flipped(own, both, confidence))
            labels += [named | row for row in _by_label(both, confidence)]
    if not labels:
        raise BadInput("no photo was processed together with its twin: there is nothing to compare")
    table = pd.DataFrame(labels)
    table["p_holm"] = holm(table["p"].to_numpy())
    return PredictionFlips(pd.DataFrame(flips), table, what, confidence)


def _flipped(own: pd.DataFrame, both: pd.DataFrame, confidence: float) -> dict:
    """How many answers of a change differ from those before."""
    changed = (both["before"] != both["after"]).to_numpy(bool)
    column = np.zeros(len(both), np.int64)
    found = shares(both["subject"].to_numpy(), column, changed, 1, confidence)
    return {
        "pairs": len(both),
        "subjects": int(found.subjects[0]),
        "unprocessed": len(own) - len(both),
        "flipped": int(changed.sum()),
        **{name: float(value[0]) for name, value in found.columns("flip_rate").items()},
        "note": "" if found.subjects[0] >= FEW_SUBJECTS else f"few subjects ({found.subjects[0]})",
    }


def _by_label(both: pd.DataFrame, confidence: float) -> Iterator[dict]:
    who = both["subject"].to_numpy()
    column = np.zeros(len(both), np.int64)
    for label in sorted(set(both["before"]) | set(both["after"])):
        before, after = ((both[side] == label).to_numpy() for side in ("before", "after"))
        change = after.astype(np.int64) - before
        found = means(who, column, change.astype(np.float64), 1, confidence)
        low, high = float(found.low[0]), float(found.high[0])
        if not change.any():
            high = float(shares(who, column, change > 0, 1, confidence).high[0])
            low = -high
        yield {
            "label": label,
            "pairs": len(both),
            "subjects": int(found.subjects[0]),
            "base": float(before.mean()),
            "twin": float(after.mean()),
            "difference": float(change.mean()),
            "low": max(low, -1.0),
            "high": min(high, 1.0),
            "gained": int((change > 0).sum()),
            "lost": int((change < 0).sum()),
            "p": swapped(np.bincount(who, change)),
        }


def swapped(change: np.ndarray) -> float:
    """The two-sided p-value of a sum of people's changes, were each as likely to be its opposite.

    Exact: the distribution of the sum over all ways of turning people's changes round.

    Parameters
    ----------
    change
        (n,), whole numbers: how many of a person's pairs gained less how many lost.
    """
    steps = np.abs(np.rint(change).astype(np.int64))
    steps = steps[steps > 0]
    reach = int(steps.sum())
    chance = np.zeros(2 * reach + 1)
    chance[reach] = 1.0
    for step in steps:
        chance = (np.roll(chance, step) + np.roll(chance, -step)) / 2
    at = abs(int(np.rint(np.sum(change))))
    return min(2 * float(chance[reach + at :].sum()), 1.0) if at else 1.0
