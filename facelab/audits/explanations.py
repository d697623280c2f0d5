"""What explains errors: groups, or what their photos have in common?

In: embeddings, a threshold or an audit, group columns and covariates. Out: an `Explanation`: what
each covariate does, and how much of each group's difference remains when it is taken into account.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.audits import covariates as known
from facelab.audits.by_group import Audit
from facelab.audits.explained import effect_sentences, group_sentences, readable
from facelab.audits.sampled import Sampled, sampled
from facelab.audits.standardised import Told
from facelab.comparisons.given import as_cosine, as_share, check_embeddings
from facelab.embedders.embeddings import Embeddings
from facelab.errors import BadInput, check_option, how_many, there_are
from facelab.faces.groups import SEPARATOR, group_keys, group_labels
from facelab.rates.contrasts import ERRORS
from facelab.rates.regression import Compared, Model, Unfitted, effective_errors
from facelab.rates.tables import table

LEAST = 5  # people who err, of each group and for each coefficient


@dataclass(frozen=True, eq=False)
class Explanation:
    """What covariates and groups have to do with errors, as `explain_errors` finds it.

    Attributes
    ----------
    error
        "fmr" or "fnmr".
    by, threshold, confidence
        The group columns, the threshold taken as given, and the confidence of all intervals.
    reference
        What groups are compared with; None is the mean of the other groups.
    facts
        `comparisons errors subjects coefficients effective_errors seen`: `seen` is how many
        comparisons were looked at one by one; fewer than there are where they are many.
    effects
        A row a term: `covariate rule change difference low high ratio ratio_low ratio_high p
        p_corrected joint_low joint_high`: the mean change of the error rate when this term alone
        changes, as a difference and as a ratio.
    groups
        A row a group: `group subjects comparisons errors rate adjusted before before_low
        before_high before_p before_joint_low before_joint_high after ... remains remains_low
        remains_high note`. `before` and `after` are differences of FNMR, ratios of FMR; the p are
        corrected.
    notes
        What was left out, and what limits the figures, one sentence each.

    Notes
    -----
    `low` and `high` are each row's own interval. `joint_low` and `joint_high` hold all true values
    of the result together, and the corrected p-values belong to them: sentences and figures take
    these. They are of the difference for FNMR and of the ratio for FMR.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> people.table["blur"] = [row % 4 for row in range(400)]
    >>> found = fl.explain_errors(people, 0.55, "group", ["blur"], error="fnmr")
    >>> found.facts["errors"], len(found.effects), found.groups["group"].tolist()
    (99, 2, ['a', 'b', 'c', 'd'])
    """

    error: str
    by: list[str]
    threshold: float
    confidence: float
    reference: str | None
    facts: dict[str, Any]
    effects: pd.DataFrame
    groups: pd.DataFrame
    notes: list[str]

    def findings(self) -> list[str]:
        """What can be told of the covariates, then of the groups, a sentence each."""
        alpha = 1 - self.confidence
        groups = self.groups.assign(order=self._sizes())
        groups = groups.sort_values("order", ascending=False, kind="stable")
        names = list(dict.fromkeys(self.effects["covariate"]))
        against = self.reference or "the other groups"
        return [
            *effect_sentences(self.effects, self.error, alpha),
            *group_sentences(groups, self.error, alpha, names, against),
        ]

    def _sizes(self) -> pd.Series:
        """How far each group's own figure lies from none."""
        before = self.groups["before"].astype(float)
        return np.log(before).abs() if self.error == "fmr" else before.abs()

    def summary(self) -> str:
        """The findings, after what they rest on, and with what they do not say."""
        facts, name = self.facts, ERRORS[self.error]
        kind = "mated" if self.error == "fnmr" else "non-mated"
        begin = (
            f"At threshold {self.threshold:.4f}, {facts['errors']:,} of {facts['comparisons']:,} "
            f"{kind} comparisons within the groups compared were {name}; they tell as much as "
            f"{facts['effective_errors']:.0f} independent ones, from "
            f"{how_many(facts['subjects'], 'subject')}."
        )
        end = (
            "What a covariate goes along with need not be its doing, and one that is not named "
            "here may be behind it."
        )
        limits = [f"{note[0].upper()}{note[1:]}." for note in self.notes]
        return " ".join([begin, *self.findings(), *limits, end])

    def readable(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Effects and groups as people read them, with the joint intervals; all text."""
        return readable(self.effects, self.groups, self.error)

    def _repr_html_(self) -> str:
        parts = [f"<p>{escape(self.summary())}</p>"]
        if self.notes:
            items = "".join(f"<li>{escape(text)}</li>" for text in self.notes)
            parts.append(f"<p>What limits it:</p><ul>{items}</ul>")
        effects, groups = self.readable()
        parts.append(table(effects, "What goes along with errors").data)
        parts.append(table(groups, "Groups, before and after").data)
        return "".join(parts)


@as_annotated
def explain_errors(
    embeddings: Embeddings,
    threshold: float | Audit,
    by: str | list[str] | None = None,
    covariates: str | Sequence[str] | Mapping[str, str | Sequence[str]] = (),
    error: str = "fmr",
    confidence: float = 0.95,
    reference: str | None = None,
    seed: int = 0,
    jobs: int | None = None,
) -> Explanation:
    """Explain errors by what is known of the photos, and say how much is left of the groups.

    A logistic regression of every comparison's error on its group and on the covariates, within
    groups as in an audit: mated comparisons for FNMR, non-mated ones for FMR. From it follow the
    rates that the groups would have if their photos were alike in the covariates.

    Parameters
    ----------
    embeddings
        Unit rows and their table.
    threshold
        A match is a score >= this; or an audit, whose threshold (and `by`) is taken.
    by
        A group column, or several for their intersection.
    covariates
        Columns of the table. Two images make one comparison by a rule: of numbers "difference" and
        "mean", or "lower", "higher"; of labels "different" (are the two not the same?) and
        "levels" (both of one label, against both of the most frequent one). Names alone take
        the first two of their kind, `quality` of `fl.quality` takes "lower"; names with rules
        choose: ``{"age": "difference", "sharpness": ["lower", "higher"]}``. Of a pose in degrees to
        both sides give the absolute value.
    error
        "fmr" or "fnmr".
    confidence
        Of all intervals.
    reference
        A group to compare the others with; None compares each with the mean of the others
        (of FMR, the geometric mean).
    seed
        Of the sample, where there are more than 500,000 comparisons: all errors and an equal number
        of others in each group, weighted by what they stand for.
    jobs
        Processes, as `compare_all` takes them.

    Returns
    -------
    Explanation
        `.effects`, `.groups`, `.findings()`, `.summary()`; `fl.plots.explained_errors` draws it.

    Raises
    ------
    BadInput
        An unknown column, one that does not vary or that cannot be told from the groups, a level
        without errors, fewer than five subjects who err for each coefficient, fewer than two groups
        with as many.

    Notes
    -----
    Effects are averages over all comparisons, each group counting alike, of the change in the
    predicted rate (delta method). Variances allow for comparisons that share a subject, of which
    non-mated ones have two (Aronow, Samii and Assenova 2015), each subject's part being what it
    would change to leave that subject out; intervals are Student's with Satterthwaite's degrees of
    freedom. P-values are corrected for all figures of the result together by their joint
    distribution (max-t). The share that remains has Fieller's interval, and is told only where
    there is a difference to share.
    In simulated tests of 30 to 200 subjects with five images (400 a cell: no effect, or a
    difference wholly due to a covariate among 80 subjects or more) single intervals held the truth
    in 93 to 98.5 %, and all of a result together in 94 to 98 %.
    The threshold is taken as given. FaVFA (WACV 2025) does the same on rows, as if comparisons
    were independent.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(60, 4, size=32)
    >>> whole = fl.embedder_of(lambda x: x.reshape(len(x), -1) - 127.5, size=32)  # all pixels
    >>> found = fl.explain_errors(whole.embed(faces), 0.7, "gender", ["yaw"], error="fnmr")
    >>> print(found.findings()[0])
    Effects on FNMR cannot be told from none: for +10 in the difference of yaw (+3.19 points [-3.51,
    9.9]), for +10 in the mean of yaw (-0.248 points [-9.94, 9.44]).
    """
    check_embeddings(embeddings, "fl.explain_errors")
    check_option("error", error, ERRORS)
    confidence = as_share(confidence, "the confidence", "confidence")
    if isinstance(threshold, Audit):
        by, threshold = threshold.by if by is None else by, threshold.threshold
    if by is None:
        raise BadInput("fl.explain_errors needs `by`: name the columns that make the groups")
    threshold, by = as_cosine(threshold), group_keys(by)
    columns = known.covariates_of(embeddings.table, covariates, by)
    labels = group_labels(embeddings.table, by)
    lacking, notes = known.without(columns, labels, SEPARATOR.join(by))
    subject = pd.factorize(embeddings.table["subject"])[0]
    group = np.where(lacking, -1, labels.cat.codes.to_numpy().astype(np.int64))
    vectors = np.asarray(embeddings.vectors)
    seen = sampled(vectors, subject, group, error == "fnmr", threshold, seed, jobs)
    names = list(map(str, labels.cat.categories))
    groups, used = _groups(seen, subject, names, error)
    _check_reference(reference, groups, used)
    place = np.full(len(names), -1)
    place[used] = np.arange(len(used))
    inside = np.flatnonzero(place[seen.group] >= 0)
    a, b = seen.a[inside], seen.b[inside]
    terms, changes, still = known.terms_of(columns, a, b)
    compared = _compared(seen, inside, place, terms, subject)
    used_names = [names[one] for one in used]
    known.check_apart(terms, compared.group)
    _check_errors(compared, len(used) + len(terms), error)
    try:
        model = Model(compared, changes)
        found = Told(model, error, confidence, _weights(used_names, reference), changes)
    except Unfitted as why:
        raise _why(why, used_names, terms, compared, error) from None
    between = _between_labels(subject, group)
    if between and error == "fnmr":
        notes.append(
            f"{how_many(between, 'mated comparison')} of one subject's two groups left out"
        )
    notes += still + known.mostly_groups(terms, compared.group, used_names)
    facts = {
        "comparisons": int(seen.number[used].sum()),
        "errors": int(groups["errors"].to_numpy()[used].sum()),
        "subjects": len(np.union1d(compared.a, compared.b)),
        "coefficients": len(used) + len(terms),
        "effective_errors": effective_errors(compared),
        "seen": len(a),
    }
    return Explanation(
        error, by, threshold, confidence, reference, facts,
        found.effects(terms), found.groups(groups, used_names), notes,
    )  # fmt: skip


def _between_labels(subject: np.ndarray, group: np.ndarray) -> int:
    """Mated comparisons that lie in no group, because one subject has labels of two."""
    known_group = group >= 0

    def pairs(*keys: np.ndarray) -> int:
        images = pd.DataFrame(dict(enumerate(keys)))[known_group].value_counts().to_numpy()
        return int((images * (images - 1) // 2).sum())

    return pairs(subject) - pairs(subject, group)


def _groups(
    seen: Sampled, subject: np.ndarray, names: list[str], error: str
) -> tuple[pd.DataFrame, list[int]]:
    """Counts by group, and the groups that a model can be made of."""
    mated, rows, used = error == "fnmr", [], []
    wrong = ERRORS[error]
    for place, name in enumerate(names):
        own = seen.group == place
        people, erring = (
            len(np.union1d(subject[seen.a[rows_of]], subject[seen.b[rows_of]]))
            for rows_of in (own, own & seen.errors)
        )
        errors = round(float((seen.weights * seen.errors)[own].sum()))
        tries, note = int(seen.number[place]), ""
        if not tries:
            note = f"no {'mated' if mated else 'non-mated'} comparisons: left out"
        elif not errors or errors == tries:
            note = f"{'no' if not errors else 'nothing but'} {wrong}: no model, left out"
        elif erring < LEAST:
            note = f"{wrong} of {how_many(erring, 'subject')}: too few for a model, left out"
        else:
            used.append(place)
        rate = errors / tries if tries else np.nan
        row = {"group": name, "subjects": people, "comparisons": tries, "errors": errors}
        rows.append(row | {"rate": rate, "note": note})
    if len(used) < 2:
        told = "; ".join(f"{row['group']}: {row['note'] or 'enough'}" for row in rows)
        raise BadInput(
            f"explaining the difference of groups needs two with {wrong}; there is {len(used)} "
            f"({told})"
        )
    return pd.DataFrame(rows), used


def _check_reference(reference: str | None, groups: pd.DataFrame, used: list[int]) -> None:
    if reference is None:
        return
    names = groups["group"].tolist()
    if reference not in names:
        raise BadInput(
            f"there is no group {reference!r}{there_are(reference, names, 'the groups are')}"
        )
    if names.index(reference) not in used:
        note = groups["note"].iloc[names.index(reference)]
        raise BadInput(f"group {reference!r} cannot be the reference: {note}")


def _compared(
    seen: Sampled, inside: np.ndarray, place: np.ndarray, terms: list[known.Term], subject: Any
) -> Compared:
    """The comparisons as the model takes them, their subjects numbered without gaps."""
    first, second = subject[seen.a[inside]], subject[seen.b[inside]]
    codes = np.unique(np.concatenate([first, second]), return_inverse=True)[1]
    a, b = np.split(codes, 2)
    if (a == b).all():
        b = a
    values = np.column_stack([term.values for term in terms])
    weights = seen.weights[inside]
    return Compared(seen.errors[inside], place[seen.group[inside]], values, weights, a, b)


def _check_errors(compared: Compared, coefficients: int, error: str) -> None:
    """Refuse errors of too few people.

    People are counted, not how much their errors are worth by `effective_errors`: that is an
    estimate of the variance, and what is let pass by it has too low a one (in simulations at three
    for a coefficient, intervals then held in 92 instead of 96 %).
    """
    wrong = compared.errors
    people = len(np.union1d(compared.a[wrong], compared.b[wrong]))
    if people < LEAST * coefficients:
        number, one = round(float(compared.weights @ wrong)), ERRORS[error].removesuffix("es")
        raise BadInput(
            f"{how_many(number, one, ERRORS[error])} of {how_many(people, 'subject')} are too few "
            f"for {coefficients} coefficients, which need {LEAST * coefficients} subjects who err: "
            "name fewer covariates, or join groups"
        )


def _weights(names: list[str], reference: str | None) -> np.ndarray:
    """What each group is compared with: (groups, groups), each row adding up to zero."""
    size = len(names)
    if reference is None:
        return np.eye(size) - (1 - np.eye(size)) / (size - 1)
    weights = np.eye(size)
    weights[:, names.index(reference)] -= 1
    return weights


def _why(
    why: Unfitted,
    names: list[str],
    terms: list[known.Term],
    compared: Compared,
    error: str,
) -> BadInput:
    """What keeps the model from being fitted, in one sentence."""
    what = why.column - len(names)
    about = known.told(terms[what]) if what >= 0 else names[why.column]
    if why.subject >= 0:
        return BadInput(
            f"all that is known of {about} comes from one subject, who says nothing of others: "
            "leave it out"
        )
    advice = "leave the column out, or join its labels"
    if what >= 0 and terms[what].rule in known.LABELS:
        own = terms[what].values > 0
        number, errors = int(own.sum()), int(compared.errors[own].sum())
        return BadInput(
            f"{errors} of {how_many(number, 'comparison')} with {about} are {ERRORS[error]}, so "
            f"that its effect has no bound: {advice}"
        )
    return BadInput(
        f"{about} tells {ERRORS[error]} from all other comparisons without exception, so that its "
        f"effect has no bound: {advice}"
    )
