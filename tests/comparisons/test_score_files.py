"""Score files as people have them: which way scores point, their unit, and whose they are."""

import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import facelab as fl

ROWS = 90
GROUP = np.array(list("xxyyzz"))


def scored(seed=0):
    """Pairs of six people, of whom two and two are of one group; mated scores are higher."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 6, ROWS)
    b = np.where(np.arange(ROWS) % 3 == 0, a, (a + 1 + rng.integers(0, 5, ROWS)) % 6)
    score = np.where(a == b, 0.6, 0.3) + rng.normal(0, 0.15, ROWS)
    frame = pd.DataFrame({"score": score, "mated": a == b, "subject_a": a, "subject_b": b})
    return frame.assign(group_a=GROUP[a], group_b=GROUP[b])


FRAME = scored()
T = 0.45


def rates(frame, higher="similar", t=T):
    return fl.Comparisons.from_scores(frame, higher).error_rates(t)


def same_rates(frame, **more):
    pd.testing.assert_frame_equal(rates(frame, **more), rates(FRAME))


# ---- direction


def test_distances_are_read_in_their_own_unit_and_direction():
    alike, apart = fl.Comparisons.from_scores(FRAME), -FRAME["score"]
    distances = fl.Comparisons.from_scores(FRAME.assign(score=apart), higher="different")
    assert distances.higher == "different"
    with pytest.warns(UserWarning, match="uncertain"):
        t = distances.threshold(fmr=0.1)
        assert t == -alike.threshold(fmr=0.1)
        assert distances.threshold(0.1, "x") == -alike.threshold(0.1, "x")
    # By hand: a distance up to the threshold is a match.
    wrong = (apart <= t) & ~FRAME["mated"]
    found = distances.error_rates(t)
    assert found.loc[0, "false_matches"] == wrong.sum()
    assert found.loc[0, "fmr"] <= 0.1 < ((apart <= np.nextafter(t, 1)) & ~FRAME["mated"]).mean() * 2
    assert distances.counts(t).threshold == t
    pd.testing.assert_frame_equal(found, alike.error_rates(-t))
    pd.testing.assert_frame_equal(distances.cross_group(t), alike.cross_group(-t))
    assert (distances.eer(), distances.area_under_roc()) == (alike.eer(), alike.area_under_roc())


def test_curves_and_histograms_of_distances_are_those_of_scores_turned_round():
    alike = fl.Comparisons.from_scores(FRAME)
    apart = fl.Comparisons.from_scores(FRAME.assign(score=-FRAME["score"]), higher="different")
    ours, theirs = alike.det(), apart.det()
    np.testing.assert_array_equal(theirs["threshold"], -ours["threshold"])
    pd.testing.assert_frame_equal(theirs[["group", "fmr", "fnmr"]], ours[["group", "fmr", "fnmr"]])
    for group, (edges, mated, non_mated) in apart.histograms().items():
        expected = alike.histograms()[group]
        np.testing.assert_array_equal(edges, -expected[0][::-1])
        np.testing.assert_array_equal(mated, expected[1][::-1])
        np.testing.assert_array_equal(non_mated, expected[2][::-1])
    figures = (
        fl.plots.det_curves(theirs),
        fl.plots.threshold_sweep(theirs, -T),
        fl.plots.score_distributions(apart.histograms(), -T),
    )
    assert all(figure.alt for figure in figures)


@pytest.mark.parametrize(
    ("frame", "higher", "advice"),
    [
        (FRAME.assign(score=1 - FRAME["score"]), "similar", 'pass higher="different"'),
        (FRAME, "different", 'pass higher="similar"'),
    ],
)
def test_scores_that_point_the_other_way_are_refused_with_what_to_pass(frame, higher, advice):
    with pytest.raises(fl.BadInput, match=advice):
        fl.Comparisons.from_scores(frame, higher)


def test_scores_that_tell_nothing_are_said_to():
    shuffled = FRAME.assign(score=np.tile([0.2, 0.5, 0.7], ROWS // 3)[::-1])
    for frame in (shuffled.assign(score=0.5), shuffled.assign(score=np.arange(ROWS) % 2)):
        with pytest.warns(UserWarning, match=r"no better than chance .*higher=\"similar\" right"):
            found = fl.Comparisons.from_scores(frame)
        assert "no better than chance" in found.warnings[0]


def test_a_direction_that_there_is_not_lists_both():
    with pytest.raises(fl.BadInput, match=r"'similar' or 'different', not 'diferent' \(did you"):
        fl.Comparisons.from_scores(FRAME, higher="diferent")


def test_a_protocol_takes_distances_too():
    pairs = FRAME.assign(fold=np.arange(ROWS) // 30, group="g")
    alike, apart = FRAME["score"].to_numpy(), -FRAME["score"].to_numpy()
    ours, theirs = fl.pair_accuracy(alike, pairs), fl.pair_accuracy(apart, pairs, "different")
    assert ours.mean == theirs.mean
    assert theirs.folds["threshold"].tolist() == (-ours.folds["threshold"]).tolist()
    with pytest.raises(fl.BadInput, match='pass higher="different"'):
        fl.pair_accuracy(apart, pairs)
    with pytest.raises(fl.BadInput, match="turn the column mated round"):
        fl.pair_accuracy(alike, pairs.assign(mated=~pairs["mated"]))
    with pytest.warns(UserWarning, match="uncertain"):
        ours = fl.accuracy_by_group(alike, pairs, fmr=0.1)
        theirs = fl.accuracy_by_group(apart, pairs, fmr=0.1, higher="different")
    assert theirs["threshold"].tolist() == (-ours["threshold"]).tolist()
    assert theirs["fmr"].tolist() == ours["fmr"].tolist()


@pytest.mark.real
@pytest.mark.parametrize(("setup", "column"), [("setup1", "bupt"), ("setup2", "vgg")])
def test_published_distances_are_read_right_or_asked_about(real, setup, column):
    parts = []
    for race in ("African", "Asian", "Caucasian", "Indian"):
        table = pd.read_csv(real / "phenotypes" / setup / f"race_{race}_6000.csv")
        named = {"subject_a": table["Class_ID_s1"], "subject_b": table["Class_ID_s2"]}
        part = pd.DataFrame(named | {"mated": table["issame"], "group_a": race, "group_b": race})
        parts.append(part.assign(score=table[f"{column}_cos_dist"]))
    frame = pd.concat(parts)
    with pytest.raises(fl.BadInput, match='pass higher="different"'):
        fl.Comparisons.from_scores(frame)
    distances = fl.Comparisons.from_scores(frame, higher="different")
    t = distances.threshold(fmr=0.01)
    found = distances.error_rates(t).set_index("group")
    distance, mated = frame["score"].to_numpy(), frame["mated"].to_numpy(bool)
    assert found.loc["all", "false_matches"] == ((distance <= t) & ~mated).sum()
    assert found.loc["all", "false_non_matches"] == ((distance > t) & mated).sum()
    assert found.loc["all", "fmr"] <= 0.01
    assert distances.area_under_roc() > 0.8


# ---- unit


@pytest.mark.parametrize(
    ("score", "sentence"),
    [
        ([f"{100 * x:.1f} %" for x in FRAME["score"]], "score .* % in row 0 .* text in percent"),
        ([f"{x:.2f}".replace(".", ",") for x in FRAME["score"]], "has a decimal comma"),
        (
            np.where(np.arange(ROWS) % 2, 100 * FRAME["score"].abs(), FRAME["score"].abs()),
            "shares and percents in one column",
        ),
        (FRAME["score"] + 1j, "complex numbers"),
    ],
)
def test_scores_in_another_unit_are_named_as_such(score, sentence):
    with pytest.raises(fl.BadInput, match=sentence):
        fl.Comparisons.from_scores(FRAME.assign(score=score))


def test_scores_in_percent_alone_or_beyond_any_unit_are_taken():
    same_rates(FRAME.assign(score=100 * FRAME["score"]), t=100 * T)
    for scale in (4.0, 0.01, 1e6):  # such as squared distances, up to 4
        same_rates(FRAME.assign(score=scale * FRAME["score"]), t=scale * T)


def test_a_threshold_far_from_all_scores_is_asked_about():
    found = fl.Comparisons.from_scores(FRAME)
    with pytest.warns(
        UserWarning, match="threshold 80 lies outside the scores, which go from"
    ) as told:
        found.error_rates(80)
    assert told[0].filename == __file__, "the line that asked, however deep the house was gone into"
    for t in ("0.5", None, np.nan):
        with pytest.raises(fl.BadInput, match=r"must be a (finite )?number"):
            found.error_rates(t)


# ---- which are mated, and whose they are


MATED = FRAME["mated"].to_numpy()


@pytest.mark.parametrize(
    "mated",
    [
        MATED.astype(int),
        MATED.astype(float),
        MATED.astype(str),
        MATED.astype(float).astype(str),
        np.where(MATED, 1, -1),
        np.where(MATED, b"1", b"0"),
        np.where(MATED, "same", "different"),
        np.where(MATED, " Genuine", "Impostor "),
        np.where(MATED, "yes", "no"),
        np.where(MATED, "T", "F"),
        np.where(MATED, "match", "non-match"),
        pd.Categorical(np.where(MATED, "mated", "non-mated")),
        pd.array(MATED, dtype="boolean"),
        pd.array(MATED, dtype="bool[pyarrow]"),
    ],
    ids=lambda mated: str(mated[0]),
)
def test_mated_is_read_however_people_write_it(mated):
    same_rates(FRAME.assign(mated=mated))


@pytest.mark.parametrize(
    ("mated", "sentence"),
    [
        (~MATED, "in each of the 90 rows mated says the opposite"),
        (np.where(MATED, 2, 1), "mated is '1' in row 1|mated is '2' in row 0"),
        ([None, *MATED[1:]], "mated is missing in row 0"),
        (np.where(MATED, 1, -(np.arange(ROWS) % 2)), "holds both 0 and -1"),
        ([not MATED[0], *MATED[1:]], r"row 0 says mated = False, .* \(1 such row\)"),
    ],
)
def test_what_cannot_be_mated_is_asked(mated, sentence):
    with pytest.raises(fl.BadInput, match=sentence):
        fl.Comparisons.from_scores(FRAME.assign(mated=mated))


SPELT = st.sampled_from(
    [
        lambda ids: ids,
        lambda ids: ids.astype(np.int8),
        lambda ids: ids.astype(float),
        lambda ids: ids.astype(str),
        lambda ids: ids.astype(object),
        lambda ids: pd.Categorical(ids),
        lambda ids: pd.Categorical(ids.astype(str)),
        lambda ids: pd.array(ids, dtype="Int64"),
        lambda ids: pd.array(ids.astype(str), dtype="string"),
        lambda ids: [f" {number}.0\u200b" for number in ids],
        lambda ids: [Decimal(int(number)) for number in ids],
    ]
)


@settings(max_examples=40, deadline=None)
@given(a=SPELT, b=SPELT, group_a=SPELT, group_b=SPELT)
def test_people_and_groups_are_one_whatever_type_they_come_in(a, b, group_a, group_b):
    ids_a, ids_b = (FRAME[side].to_numpy() for side in ("subject_a", "subject_b"))
    numbered = {"group_a": ids_a // 2, "group_b": ids_b // 2}
    spelt = {"subject_a": a(ids_a), "subject_b": b(ids_b)}
    spelt |= {"group_a": group_a(ids_a // 2), "group_b": group_b(ids_b // 2)}
    pd.testing.assert_frame_equal(rates(FRAME.assign(**spelt)), rates(FRAME.assign(**numbered)))


def test_groups_of_every_kind_and_their_gaps():
    ids = {side: FRAME[f"subject_{side}"] for side in "ab"}
    ages = {f"group_{s}": pd.cut(ids[s], [-1, 2, 6]) for s in "ab"}
    assert rates(FRAME.assign(**ages))["group"].tolist() == ["all", "(-1, 2]", "(2, 6]"]
    flags = {f"group_{s}": ids[s] > 2 for s in "ab"}
    assert rates(FRAME.assign(**flags))["group"].tolist() == ["all", "False", "True"]
    named = {f"group_{s}": np.where(ids[s] > 2, "NA", None) for s in "ab"}
    found = fl.Comparisons.from_scores(FRAME.assign(**named))
    assert found.groups == ("NA",) and "lack a group label" in found.warnings[0]
    with pytest.raises(fl.BadInput, match="a group of group_a is called 'all'"):
        rates(FRAME.assign(group_a="all", group_b="all"))
    with pytest.raises(fl.BadInput, match="column 'subject_a' holds a list"):
        rates(FRAME.assign(subject_a=[[number] for number in ids["a"]]))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("scores.csv", r"must be a DataFrame, not the path 'scores.csv': read it first"),
        (np.ones((3, 4)), "must be a DataFrame, not an array"),
        (FRAME.rename(columns={"score": "Score"}), r"lack .* score \(did you mean 'Score'\?\)"),
        (pd.concat([FRAME, FRAME[["score"]]], axis=1), "two columns called 'score'"),
        (FRAME[:0], "hold no comparison"),
    ],
)
def test_what_is_no_score_file_is_one_sentence(given, sentence):
    with pytest.raises(fl.BadInput, match=sentence):
        fl.Comparisons.from_scores(given)


def test_mated_or_non_mated_alone_have_the_rates_that_they_can_have():
    for part, missing in ((FRAME[MATED], "fmr"), (FRAME[~MATED], "fnmr")):
        found = fl.Comparisons.from_scores(part)
        assert found.error_rates(0.5)[missing].isna().all()
        with pytest.raises(fl.BadInput, match="needs mated and non-mated"):
            found.area_under_roc()
    with pytest.raises(fl.BadInput, match="no non-mated"):
        fl.Comparisons.from_scores(FRAME[MATED]).threshold(0.1)


def test_labels_that_are_no_groups_are_refused_and_an_order_of_groups_stays():
    numbers = np.linspace(0, 1, ROWS)
    with pytest.raises(fl.BadInput, match="holds 90 different numbers, which are no groups"):
        rates(FRAME.assign(group_a=numbers, group_b=numbers))
    order = pd.CategoricalDtype(["z", "y", "x"], ordered=True)
    ranked = FRAME.astype({"group_a": order, "group_b": order})
    assert rates(ranked)["group"].tolist() == ["all", "z", "y", "x"]


# ---- the same comparison twice

IMAGES = FRAME.assign(
    image_a=[f"{a}/{row}" for row, a in enumerate(FRAME["subject_a"])],
    image_b=[f"{b}/{row + 1000}" for row, b in enumerate(FRAME["subject_b"])],
)


def turned(frame):
    """The same comparisons, listed the other way round."""
    names = {f"{kind}_{side}": f"{kind}_{other}" for kind in ("subject", "group", "image")
             for side, other in ("ab", "ba")}  # fmt: skip
    return frame.rename(columns=names)


@pytest.mark.parametrize("other", [lambda rows: rows, turned])
@pytest.mark.parametrize("count", [1, 12])
def test_rows_listed_twice_are_told_of(other, count):
    are = "is" if count == 1 else "are"
    for frame, told in (
        (FRAME, f"{count} of {ROWS + count} rows {are} of two subjects who have the very same"),
        (IMAGES, f"{count} of {ROWS + count} rows {are} of two images that are compared in anoth"),
    ):
        again = pd.concat([frame, other(frame.iloc[3 : 3 + count])], ignore_index=True)
        with pytest.warns(UserWarning, match=told):
            found = fl.Comparisons.from_scores(again)
        assert any(told in text for text in found.warnings)
        assert len(found) == ROWS + count, "they count each time"


def test_files_in_which_every_comparison_stands_once_are_not_told_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fl.Comparisons.from_scores(FRAME)
        fl.Comparisons.from_scores(IMAGES)
        # Named images may have equal scores: they are two comparisons.
        fl.Comparisons.from_scores(IMAGES.assign(score=IMAGES["score"].round(1)))


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_rounded_scores_are_equal_by_chance_and_that_is_not_told_of(digits):
    """Many photos of few people, without names: 100 rounds of 3,000 comparisons of 8 people."""
    for seed in range(100):
        rng = np.random.default_rng(seed)
        a, b = rng.integers(0, 8, (2, 3000))
        own = rng.normal(0, 0.1, (8, 8))  # two people's scores lie together
        score = (np.where(a == b, 0.7, 0.2) + own[a, b] + rng.normal(0, 0.08, 3000)).round(digits)
        frame = pd.DataFrame({"score": score, "mated": a == b, "subject_a": a, "subject_b": b})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fl.Comparisons.from_scores(frame)


def test_an_image_compared_with_itself_is_told_of():
    frame = IMAGES.copy()
    row = frame.index[frame["mated"]][0]
    frame.loc[row, "image_b"] = frame.loc[row, "image_a"]
    with pytest.warns(UserWarning, match="1 of 90 rows is of an image and itself, which tells"):
        fl.Comparisons.from_scores(frame)
