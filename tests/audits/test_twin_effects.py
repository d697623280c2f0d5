"""Twin effects: estimates by plain counting, intervals against slow formulas and a bootstrap."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.audits.tallies import tallies

THRESHOLD = 0.4
RATES = ("fnmr", "fmr")


def made(subjects=24, photos=3, shift=0.5, own=0.0, seed=0, levels=("0.2", "0.8"), dim=12):
    """Photos and twins: every twin is pushed along one axis, the same for all but for `own`."""
    rng = np.random.default_rng(seed)
    people = rng.normal(size=(subjects, dim))
    axis = np.eye(dim)[0] * np.sqrt(dim)
    push = shift * (1 + own * rng.normal(size=subjects))
    rows, vectors = [], []
    for subject in range(subjects):
        for photo in range(photos):
            image = f"s{subject:03d}/{photo}"
            plain = people[subject] + 0.8 * rng.normal(size=dim)
            known = {"subject": f"s{subject:03d}", "group": "ab"[subject % 2], "twin": image}
            rows.append({**known, "image": image, "factor": "base", "level": ""})
            vectors.append(plain)
            for level in levels:
                name = f"{image}/melanin={level}"
                rows.append({**known, "image": name, "factor": "melanin", "level": level})
                vectors.append(plain + float(level) * push[subject] * axis)
    order = rng.permutation(len(rows))
    table = pd.DataFrame(rows).iloc[order].reset_index(drop=True)
    return fl.Embeddings.from_arrays(np.array(vectors)[order], table)


@pytest.fixture(scope="module")
def twins():
    return made()


def row(frame, quantity, level="0.8", group="all"):
    found = frame[(frame[["quantity", "level", "group"]] == [quantity, level, group]).all(axis=1)]
    assert len(found) == 1
    return found.iloc[0]


def tallied(twins, references):
    _, levels = tallies(twins, THRESHOLD, None, references)
    return next(one for one in levels if one.level == "0.8")


def counted(twins, level, group, references):
    """(base, changed) scores of mated and of non-mated comparisons, one by one."""
    by_name = dict(zip(twins.table["image"], twins.vectors.astype(float), strict=True))
    base = twins.table[twins.table["factor"] == "base"]
    found = {True: [], False: []}
    for a in base.itertuples():
        for b in base.itertuples():
            if a.image == b.image or (group != "all" and {a.group, b.group} != {group}):
                continue
            if references == "changed" and a.image > b.image:
                continue
            twin = by_name[f"{a.image}/melanin={level}"]
            other = b.image if references == "unchanged" else f"{b.image}/melanin={level}"
            scores = (by_name[a.image] @ by_name[b.image], twin @ by_name[other])
            found[a.subject == b.subject].append(scores)
    return {mated: np.array(values) for mated, values in found.items()}


@pytest.mark.parametrize("references", ["unchanged", "changed"])
@pytest.mark.parametrize("group", ["all", "b"])
def test_every_number_is_that_of_comparing_photo_by_photo(twins, references, group):
    frame = fl.twin_effects(twins, THRESHOLD, by="group", references=references)
    scores = counted(twins, "0.8", group, references)
    for mated, name, error in ((True, "mated_score", "fnmr"), (False, "non_mated_score", "fmr")):
        base, changed = scores[mated].T
        one = row(frame, name, group=group)
        assert one["comparisons"] == len(base)
        assert one["subjects"] == (24 if group == "all" else 12)
        assert one["base"] == pytest.approx(base.mean(), abs=1e-6)
        assert one["changed"] == pytest.approx(changed.mean(), abs=1e-6)
        assert one["difference"] == pytest.approx((changed - base).mean(), abs=1e-6)
        one = row(frame, error, group=group)
        wrong = [(part >= THRESHOLD) != mated for part in (base, changed)]
        assert one["base"] == pytest.approx(wrong[0].mean())
        assert one["changed"] == pytest.approx(wrong[1].mean())
        assert one["difference"] == pytest.approx(wrong[1].mean() - wrong[0].mean())


def test_the_base_rates_are_those_of_comparing_all_unchanged_photos(twins):
    base = twins[(twins.table["factor"] == "base").to_numpy()]
    rates = fl.compare_all(base).error_rates(THRESHOLD).iloc[0]
    frame = fl.twin_effects(twins, THRESHOLD, references="changed")
    for error in RATES:
        one = row(frame, error)
        ends = [one["base"], one["base_low"], one["base_high"]]
        assert ends == pytest.approx([rates[error], rates[f"{error}_low"], rates[f"{error}_high"]])


def test_variances_are_those_of_summing_every_covariance():
    """Two comparisons covary when they share a subject: all pairs of pairs, one by one."""
    twins = made(subjects=9)
    level = tallied(twins, "unchanged")
    frame = fl.twin_effects(twins, THRESHOLD)
    quantile = 2.306004  # Student's t, 8 degrees of freedom, 97.5 %
    for tally, name in ((level.mated, "mated_score"), (level.non_mated, "non_mated_score")):
        change = tally.scores[1] - tally.scores[0]
        mean = change.sum() / tally.comparisons.sum()
        y = change - mean * tally.comparisons
        people = [{a, b} for a, b in zip(tally.a, tally.b, strict=True)]
        total = sum(v**2 for v in y)
        total += 2 * sum(
            y[i] * y[j] for i, j in combinations(range(len(y)), 2) if people[i] & people[j]
        )
        error = np.sqrt(total) / tally.comparisons.sum()
        one = row(frame, name)
        assert one["low"] == pytest.approx(mean - quantile * error, abs=1e-6)
        assert one["high"] == pytest.approx(mean + quantile * error, abs=1e-6)


@pytest.mark.parametrize("references", ["unchanged", "changed"])
def test_intervals_are_as_wide_as_a_bootstrap_over_subjects(references):
    """Where people differ in how the change moves them, both see the same uncertainty."""
    twins = made(subjects=150, own=0.8, seed=3)
    frame = fl.twin_effects(twins, THRESHOLD, references=references)
    level = tallied(twins, references)
    # A bootstrap of subjects: each counts twice or not at all.
    weights = 2.0 * np.random.default_rng(0).integers(0, 2, size=(1500, 150), dtype=np.int8)
    for tally in (level.mated, level.non_mated):
        together = weights[:, tally.a] * (1 if tally.mated else weights[:, tally.b])
        for part, names in (("scores", ("mated_score", "non_mated_score")), ("errors", RATES)):
            before, after = getattr(tally, part)
            spread = np.std(together @ (after - before) / (together @ tally.comparisons))
            one = row(frame, names[0 if tally.mated else 1])
            half = (one["high"] - one["low"]) / 2
            assert half == pytest.approx(1.96 * spread, rel=0.17)


@pytest.mark.slow
def test_intervals_cover_the_truth_as_often_as_they_say():
    truth = fl.twin_effects(made(subjects=1500, own=0.5, seed=99), THRESHOLD)
    covered = {name: 0 for name in ("mated_score", "non_mated_score", *RATES)}
    for seed in range(300):
        frame = fl.twin_effects(made(subjects=40, own=0.5, seed=seed), THRESHOLD)
        for name in covered:
            one, true = row(frame, name), row(truth, name)["difference"]
            covered[name] += one["low"] <= true <= one["high"]
    # 95 % of 300 less three standard errors is 274.
    assert min(covered.values()) >= 274, covered


def test_a_push_that_all_share_makes_strangers_alike_when_all_are_pushed():
    twins = made(shift=3)
    frame = fl.twin_effects(twins, THRESHOLD, references="changed")
    for name in ("non_mated_score", "fmr"):
        assert row(frame, name)["low"] > 0
        assert row(frame, name, "0.8")["difference"] > row(frame, name, "0.2")["difference"]
    frame = fl.twin_effects(twins, THRESHOLD, references="unchanged")
    assert row(frame, "mated_score")["high"] < 0, "against the enrolled photo people are lost"
    assert row(frame, "fnmr")["low"] > 0


def test_a_twin_that_is_the_same_has_no_effect():
    still = made(shift=0)
    frame = fl.twin_effects(still, THRESHOLD)
    assert frame["difference"].abs().max() < 1e-7
    scores = frame[frame["quantity"].str.endswith("score")]
    assert (scores["high"] - scores["low"]).max() < 1e-6
    rates = frame[~frame["quantity"].str.endswith("score")]
    assert (rates["low"] <= 0).all() and (rates["high"] >= 0).all()
    assert row(frame, "fnmr")["high"] < 3 / 20, "24 subjects bound it by the rule of three"


def test_no_error_seen_is_no_error_rate_of_zero(twins):
    """24 subjects, none missed: by the rule of three up to about 3/24 may be, and it says so."""
    frame = fl.twin_effects(twins, -1.0)
    one = row(frame, "fnmr")
    assert one["base"] == one["changed"] == one["difference"] == 0
    assert 0.1 < one["changed_high"] < 0.2
    assert one["low"] < 0 < one["high"] < 0.25
    assert "no false non-matches before" in one["note"]
    assert "no false non-matches after" in one["note"]
    assert row(frame, "fmr")["changed"] == 1


def test_only_those_who_were_changed_are_compared(twins):
    """A change that leaves some as they are (a woman made female) has twins of the others only."""
    part = twins[(twins.table["factor"].eq("base") | twins.table["group"].eq("a")).to_numpy()]
    frame = fl.twin_effects(part, THRESHOLD, by="group")
    assert row(frame, "fnmr")["subjects"] == 12
    assert row(frame, "fmr")["subjects"] == 24, "strangers are compared with everybody"
    assert row(frame, "fnmr", group="b")["note"] == "no such comparisons"
    assert np.isnan(row(frame, "fnmr", group="b")["difference"])
    same = row(fl.twin_effects(twins, THRESHOLD, by="group"), "fnmr", group="a")
    assert row(frame, "fnmr", group="a").equals(same.rename(row(frame, "fnmr", group="a").name))


def test_one_subject_says_nothing_about_others():
    frame = fl.twin_effects(made(subjects=1), THRESHOLD)
    assert "one subject" in row(frame, "mated_score")["note"]
    assert np.isnan(row(frame, "mated_score")["low"])
    assert row(frame, "fmr")["note"] == "no such comparisons"


def test_rows_come_in_the_order_of_the_changes():
    frame = fl.twin_effects(made(levels=("10", "9", "-0.5")), THRESHOLD, by="group")
    assert len(frame) == 3 * 3 * 4
    assert list(dict.fromkeys(frame["level"])) == ["-0.5", "9", "10"]
    assert list(dict.fromkeys(frame["group"])) == ["all", "a", "b"]
    known = dict.fromkeys(frame["quantity"])
    assert list(known) == ["mated_score", "fnmr", "non_mated_score", "fmr"]


def test_two_arms_differ_by_the_difference_of_their_effects(twins):
    other = made(shift=2)
    a, b = (fl.twin_effects(one, THRESHOLD, by="group") for one in (twins, other))
    both = fl.compare_twin_effects(
        {"skewed": [(twins, THRESHOLD)], "balanced": [(other, THRESHOLD)]}, by="group"
    )
    keys = ["factor", "level", "group", "quantity"]
    a, b = (frame.set_index(keys)["difference"] for frame in (a, b))
    both = both.set_index(keys)
    assert both["a"].to_numpy() == pytest.approx(a.loc[both.index].to_numpy())
    assert both["b"].to_numpy() == pytest.approx(b.loc[both.index].to_numpy())
    assert both["difference"].to_numpy() == pytest.approx((both["b"] - both["a"]).to_numpy())
    assert (both["low"] <= both["difference"]).all()
    alone = fl.twin_effects(twins, THRESHOLD, by="group").set_index(keys).loc[both.index]
    for end in ("low", "high"):
        assert both[f"a_{end}"].to_numpy() == pytest.approx(alone[end].to_numpy())


def test_an_arm_is_the_mean_of_its_seeds(twins):
    other = made(shift=2)
    arms = {"a": [(twins, THRESHOLD), (other, THRESHOLD)], "b": [(twins, THRESHOLD)] * 2}
    both = row(fl.compare_twin_effects(arms), "mated_score")
    effects = [row(fl.twin_effects(one, THRESHOLD), "mated_score") for one in (twins, other)]
    assert both["a"] == pytest.approx(np.mean([one["difference"] for one in effects]))
    assert both["b"] == pytest.approx(effects[0]["difference"])


def test_an_arm_compared_with_itself_does_not_differ(twins):
    both = fl.compare_twin_effects({"a": [(twins, THRESHOLD)], "b": [(twins, THRESHOLD)]})
    assert both["difference"].abs().max() == 0
    with pytest.raises(fl.BadInput, match="two arms can be compared, not 1"):
        fl.compare_twin_effects({"a": [(twins, THRESHOLD)]})
    some = twins[:-1]
    with pytest.raises(fl.BadInput, match="'b' are of other photos"):
        fl.compare_twin_effects({"a": [(twins, THRESHOLD)], "b": [(some, THRESHOLD)]})


def changed(twins, edit):
    table = twins.table.astype({name: object for name in ("factor", "level", "twin")})
    edit(table)
    return fl.Embeddings(twins.vectors, table)


def a_twin(table):
    return table.index[table["factor"] == "melanin"][0]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.__delitem__("twin"), "lack the column twin"),
        (lambda t: t.__setitem__("factor", "melanin"), "no photo is unchanged"),
        (lambda t: t.__setitem__("factor", "base"), "every row is an unchanged photo"),
        (lambda t: t.__setitem__((a_twin(t), "twin"), "x"), "of 'x', which is not among"),
        (lambda t: t.__setitem__("level", "0.2"), "has two twins with melanin 0.2"),
    ],
)
def test_twins_that_cannot_be_are_named(twins, edit, message):
    def at(table):
        if message.startswith("of 'x'"):
            table.loc[a_twin(table), "twin"] = "x"
        else:
            edit(table)

    with pytest.raises(fl.BadInput, match=message):
        fl.twin_effects(changed(twins, at), THRESHOLD)


def test_bad_arguments_are_named(twins):
    with pytest.raises(fl.BadInput, match="references must be 'unchanged' or 'changed'"):
        fl.twin_effects(twins, THRESHOLD, references="none")
    with pytest.raises(fl.BadInput, match="threshold must be a number, not nan"):
        fl.twin_effects(twins, np.nan)
    with pytest.raises(fl.BadInput, match="lie in several groups"):
        fl.twin_effects(twins, THRESHOLD, by="image")
