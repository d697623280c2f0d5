"""Search error rates: equal to counting every comparison, with the field's definitions."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

import facelab as fl
from facelab.errors import BadInput
from facelab.search.candidates import Candidates
from facelab.search.gallery import Gallery
from facelab.search.identification import identify, readable_searches
from facelab.search.outcomes import Searches

GROUPS = np.array(["a", "b", "c"])


def crowd(rng, subjects, images, dim=32, spread=0.55, names="s"):
    """Unit vectors of people in three groups; those of group c resemble each other."""
    group = np.arange(subjects) % 3
    lean = np.zeros((3, dim))
    lean[2, 0] = 2.0
    centres = rng.normal(size=(subjects, dim)) + lean[group]
    owner = np.repeat(np.arange(subjects), images)
    vectors = centres[owner] + spread * rng.normal(size=(len(owner), dim))
    table = pd.DataFrame(
        {
            "subject": [f"{names}{k:05d}" for k in owner],
            "image": [f"{names}{k}" for k in range(len(owner))],
            "group": GROUPS[group[owner]],
        }
    )
    return fl.Embeddings.from_arrays(vectors, table, embedder="toy")


@pytest.fixture(scope="module")
def town():
    """3,000 probes, half of them of people among the 10,000 enrolled, and every score."""
    people = crowd(np.random.default_rng(0), 11_500, 2)
    first = np.arange(len(people)) % 2 == 0
    person = np.arange(len(people)) // 2
    enrolled = people[first & (person < 10_000)]
    probes = people[~first & (person >= 8_500)]
    scores = (probes.vectors.astype(float) @ enrolled.vectors.astype(float).T).astype(np.float32)
    return Gallery(kind="exact").enrol(enrolled), enrolled, probes, scores


@pytest.fixture(scope="module")
def found(town):
    gallery, _, probes, _ = town
    return gallery.search(probes, 20)


class Brute:
    """Every rate by a loop over searches of the full matrix."""

    def __init__(self, town):
        _, enrolled, probes, self.scores = town
        self.group = probes.table["group"].to_numpy(object)
        self.stored = enrolled.table["group"].to_numpy(object)
        names = enrolled.table["subject"].tolist()
        place = {name: k for k, name in enumerate(names)}
        self.mate = np.array([place.get(s, -1) for s in probes.table["subject"]])

    def of(self, group):
        return np.flatnonzero((self.group == group) | (group == "all"))

    def fpir(self, t, group):
        rows = [k for k in self.of(group) if self.mate[k] < 0]
        return sum(bool((self.scores[k] >= t).any()) for k in rows), len(rows)

    def fnir(self, t, group, rank):
        missed, rows = 0, [k for k in self.of(group) if self.mate[k] >= 0]
        for k in rows:
            own = self.scores[k, self.mate[k]]
            before = (self.scores[k] > own).sum()
            missed += not (own >= t and before < rank)
        return missed, len(rows)

    def hits(self, group, rank):
        rows = [k for k in self.of(group) if self.mate[k] >= 0]
        own = self.scores[rows, self.mate[rows]]
        return sum((self.scores[rows] > own[:, None]).sum(axis=1) < rank), len(rows)


@pytest.fixture(scope="module")
def brute(town):
    return Brute(town)


def test_rates_are_those_of_counting_3000_by_10000_comparisons(found, brute):
    searches = Searches(found, "group")
    tops = np.sort(brute.scores[brute.mate < 0].max(axis=1))[::-1]
    for target in (0.01, 0.1, 0.5):
        allowed = int(target * len(tops))
        t = searches.threshold(target)
        below = found.scores[brute.mate < 0, 0] >= np.nextafter(np.float32(t), np.float32(-1))
        assert below.sum() > allowed, "the smallest threshold that keeps the target"
        assert t == pytest.approx(tops[allowed], abs=1e-6)
        # Products of the matrix are rounded in another order: rates are read between two scores.
        t = float(tops[allowed - 1] + tops[allowed]) / 2
        for rank in (1, 5, None):
            rates = searches.error_rates(t, rank)
            assert rates["group"].tolist() == ["all", "a", "b", "c"]
            for row in rates.itertuples():
                wrong, tries = brute.fpir(t, row.group)
                assert (row.false_positives, row.searches_non_mated) == (wrong, tries)
                assert row.fpir == wrong / tries and row.fpir_low <= row.fpir <= row.fpir_high
                wrong, tries = brute.fnir(t, row.group, rank or 20)
                assert (row.false_negatives, row.searches_mated) == (wrong, tries)
                assert row.fnir == wrong / tries and row.fnir_low <= row.fnir <= row.fnir_high
                assert row.rank1 == brute.hits(row.group, 1)[0] / tries


def test_hit_rates_rise_with_the_rank_as_counted(found, brute):
    rates = Searches(found, "group").hit_rates()
    for row in rates.itertuples():
        hits, tries = brute.hits(row.group, row.rank)
        assert (row.searches_mated, row.hit_rate) == (tries, hits / tries)
    assert (rates.groupby("group")["hit_rate"].diff().dropna() >= 0).all()


def test_who_is_named_instead_of_whom(town, found, brute):
    t = Searches(found, "group").threshold(0.3) + 1e-6
    assert Searches(town[0].search(town[2], 2), "group").cut_off(t) > 0
    searches = Searches(town[0].search(town[2], 400), "group")
    assert searches.cut_off(t) == 0
    table = searches.cross_group(t).set_index(["group_probe", "group_candidate"])
    strangers = brute.mate < 0
    best = brute.scores.argmax(axis=1)
    for (probe, candidate), row in table.iterrows():
        rows = brute.of(probe)
        rows = rows[strangers[rows]]
        mask = (brute.stored == candidate) | (candidate == "all")
        wrong = [k for k in rows if brute.scores[k, best[k]] >= t and mask[best[k]]]
        assert row["false_positives"] == len(wrong) and row["searches"] == len(rows)
        assert row["named"] == (brute.scores[rows][:, mask] >= t).sum()
        assert row["enrolled"] == mask.sum()
    rates = searches.error_rates(t).set_index("group")["fpir"]
    for group in rates.index:
        assert table.loc[group].drop("all")["rate"].sum() == pytest.approx(rates[group])
        assert table.loc[(group, "all"), "rate"] == rates[group]


def test_the_curve_is_exact_where_it_is_drawn(found, brute):
    det = Searches(found, "group").det(12)
    assert det["group"].unique().tolist() == ["all", "a", "b", "c"]
    strictest = det["threshold"].max()
    for row in det[det["group"].isin(["all", "c"])].itertuples():
        t = row.threshold + (1e-6 if row.threshold == strictest else -1e-6)
        wrong, tries = brute.fpir(t, row.group)
        assert row.fpir == wrong / tries
        wrong, tries = brute.fnir(t, row.group, 20)
        assert row.fnir == wrong / tries
    whole = det[det["group"] == "all"]
    assert (whole["fpir"].diff().dropna() <= 0).all() and whole["fpir"].iloc[-1] == 0
    assert (whole["fnir"].diff().dropna() >= 0).all()


def test_identify_is_the_searches_read_at_one_threshold(town, found):
    gallery, _, probes, _ = town
    result = identify(gallery, probes, "group", fpir=0.3, replicates=200)
    searches = Searches(found, "group")
    assert result.threshold == searches.threshold(0.3)
    pd.testing.assert_frame_equal(result.rates, searches.error_rates(result.threshold))
    assert result.rates.loc[0, "fpir"] == 0.3
    worst = result.disparity.set_index(["metric", "error"]).loc[("max_min_ratio", "fpir")]
    groups = result.rates.iloc[1:].set_index("group")["fpir"]
    assert worst["worst"] == "c" == groups.idxmax()
    assert worst["value"] == pytest.approx(groups.max() / groups.min())
    assert worst["low"] < worst["value"] < worst["high"]
    assert any("same searches" in text for text in result.warnings)
    assert "Among 10,000 enrolled" in result.summary() and "for c" in result.summary()
    assert "FPIR %" in result._repr_html_()
    same = identify(found, None, "group", fpir=0.3, replicates=20)
    assert same.threshold == result.threshold


def test_the_threshold_is_set_on_other_people_where_they_are_given(town):
    gallery, _, probes, scores = town
    stranger = np.flatnonzero(~gallery.search(probes, 1).mated)
    other, rest = probes[stranger[:700]], probes[np.setdiff1d(np.arange(3000), stranger[:700])]
    result = identify(gallery, rest, "group", fpir=0.1, calibration=other, replicates=20)
    tops = np.sort(scores[stranger[:700]].max(axis=1))[::-1]
    assert (tops >= result.threshold + 1e-6).sum() == 70
    assert result.calibration == "set for FPIR 0.1 on 700 calibration subjects"
    assert not any("same searches" in text for text in result.warnings)
    again = identify(gallery, probes, "group", fpir=0.1, calibration=other, replicates=20)
    assert any("700 of 700 calibration subjects are among the probes" in w for w in again.warnings)


def test_a_given_threshold_is_kept_and_called_given(found):
    result = identify(found, None, "group", threshold=0.7, replicates=20)
    assert (result.threshold, result.fpir, result.calibration) == (0.7, None, "given")


def test_intervals_count_people_and_not_their_photos():
    """Each search twice over is no more information; the interval of one a person stays."""
    rng = np.random.default_rng(1)
    gallery = Gallery().enrol(crowd(rng, 300, 1))
    probes = crowd(rng, 200, 1, names="p")
    twice = fl.Embeddings(
        np.repeat(probes.vectors, 2, axis=0),
        probes.table.loc[np.repeat(np.arange(200), 2)].assign(image=range(400)),
        probes.card,
    )
    once, double = (
        Searches(gallery.search(some, 5), "group").error_rates(0.6) for some in (probes, twice)
    )
    for end in ("fpir", "fpir_low", "fpir_high"):
        assert double[end].to_numpy() == pytest.approx(once[end].to_numpy(), abs=2e-3)
    n = 200
    exact = binomtest(round(once["fpir"][0] * n), n).proportion_ci()
    assert (once["fpir_low"][0], once["fpir_high"][0]) == pytest.approx(tuple(exact), rel=0.06)


def small(scores, probes, enrolled, threshold=None, **labels):
    """Candidates from a full matrix of scores."""
    scores = np.array(scores, np.float32)
    rows = np.argsort(-scores, axis=1, kind="stable")
    frame = pd.DataFrame({"subject": probes, "image": range(len(probes))} | labels)
    table = pd.DataFrame({"subject": enrolled, "images": 1})
    return Candidates(np.take_along_axis(scores, rows, 1), rows, frame, table, threshold)


def test_a_mate_behind_a_stranger_is_a_miss_at_rank_one_only():
    found = small([[0.9, 0.8, 0.1], [0.2, 0.3, 0.4]], ["y", "q"], ["x", "y", "z"], g=["a", "b"])
    searches = Searches(found, "g")
    assert searches.table["mate_rank"].tolist() == [2, 0]
    assert searches.error_rates(0.5)["fnir"].iloc[0] == 0
    assert searches.error_rates(0.5, rank=1)["fnir"].iloc[0] == 1
    assert searches.error_rates(0.85)["fnir"].iloc[0] == 1, "found, but below the threshold"
    rates = searches.error_rates(0.4).set_index("group")
    assert rates.loc["b", "fpir"] == 1 and rates.loc["all", "fpir"] == 1
    assert np.isnan(rates.loc["a", "fpir"]) and "no non-mated searches" in rates.loc["a", "note"]
    assert "few subjects (2)" in rates.loc["all", "note"]
    assert readable_searches(searches.error_rates(0.4)).loc["a", "FPIR %"] == "unknown"
    assert any("the enrolled bear no g labels" in text for text in searches.warnings)
    with pytest.raises(BadInput, match="enrol them with the column"):
        searches.cross_group(0.5)


def test_ties_at_the_threshold_are_rejected_together():
    found = small([[0.5], [0.5], [0.7], [0.1]], ["p", "q", "r", "s"], ["x"])
    searches = Searches(found)
    assert searches.threshold(0.5) > 0.5
    assert searches.error_rates(searches.threshold(0.5))["fpir"].iloc[0] == 0.25
    assert searches.error_rates(searches.threshold(0.75))["fpir"].iloc[0] == 0.75
    assert "allow 2 false positives" in searches.resolution(0.5)


def test_what_cannot_be_read_is_refused(town):
    gallery, enrolled, probes, _ = town
    stopped = gallery.search(probes[:300], 5, threshold=0.8)
    with pytest.raises(BadInput, match="returned nothing below"):
        Searches(stopped).error_rates(0.5)
    found = gallery.search(probes, 5, threshold=0.99)
    with pytest.raises(BadInput, match="search without a threshold"):
        Searches(found).threshold(0.5)
    searches = Searches(gallery.search(probes[:50], 5), "group")
    for call, words in (
        (lambda: searches.error_rates(np.nan), "must be a number, not nan"),
        (
            lambda: searches.error_rates(0.5, rank=6),
            "5 candidates were returned: search with a larger k",
        ),
        (lambda: searches.hit_rates([0]), "ranks must be 1 to 5"),
        (lambda: searches.threshold(1.0), "below 1"),
        (lambda: searches.threshold(0.1), "no non-mated searches"),
        (lambda: Searches(gallery.search(probes, 1), "age"), "no column 'age'"),
        (lambda: identify(gallery, None, "group"), "needs probes"),
        (lambda: identify(searches.found, probes, "group"), "candidates already"),
        (
            lambda: identify(gallery, probes, "group", threshold=0.5, calibration=enrolled),
            "not both",
        ),
    ):
        with pytest.raises(BadInput, match=words):
            call()


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_an_approximate_search_is_said_and_errs_by_what_it_misses(town, brute, kind):
    _, enrolled, probes, _ = town
    gallery = Gallery(kind=kind).enrol(enrolled)
    result = identify(gallery, probes, "group", threshold=0.65, replicates=20)
    assert any(f"approximate index ({kind})" in text for text in result.warnings)
    top = brute.scores.max(axis=1)
    best = result.searches.table["score"].to_numpy()
    assert (best <= top + 1e-6).all(), "no score above that of the true best candidate"
    found = np.abs(best - top) < 1e-6
    assert found.mean() > 0.95
    strangers, t = brute.mate < 0, result.threshold
    rate = result.rates.loc[0, "fpir"]
    exact, missed = (top[strangers] >= t).mean(), (~found[strangers]).mean()
    assert exact - missed <= rate <= exact


def test_it_is_stored_as_tables(found, tmp_path):
    result = identify(found, None, "group", replicates=20)
    folder = result.save(tmp_path / "search")
    kept = pd.read_csv(folder / "rates.csv")
    assert kept["false_positives"].tolist() == result.rates["false_positives"].tolist()
    assert len(pd.read_parquet(folder / "searches.parquet")) == 3000
    assert (folder / "identification.json").is_file() and (folder / "cross_group.csv").is_file()


def named(subjects, photos=0):
    """Two photos of three people, under these names."""
    table = pd.DataFrame({"subject": subjects, "group": "g"})
    centres = np.random.default_rng(0).standard_normal((3, 8))[[0, 0, 1, 1, 2, 2]]
    vectors = centres + 0.1 * np.random.default_rng(1 + photos).standard_normal((6, 8))
    return fl.Embeddings.from_arrays(vectors, table)


@pytest.mark.parametrize(
    "spelt",
    [
        [1, 1, 2, 2, 3, 3],
        [1.0, 1, 2, 2, 3, 3],
        ["1 ", "1.0", "2", "2", "3", " 3"],
        pd.Categorical([1, 1, 2, 2, 3, 3]),
        pd.array([1, 1, 2, 2, 3, 3], dtype="Int64"),
    ],
)
def test_the_enrolled_are_known_again_in_every_spelling(spelt):
    gallery = Gallery().enrol(named([1, 1, 2, 2, 3, 3]))
    found = identify(gallery, named(spelt, photos=1), "group", threshold=0.5)
    assert found.rates.loc[0, ["searches_mated", "searches_non_mated"]].tolist() == [6, 0]
    experiment = fl.search_experiment
    with pytest.raises(fl.BadInput, match="3 of 3 probe subjects are in the gallery"):
        experiment(named(spelt), gallery, "group", threshold=0.5)
    for name in (3, 3.0, "3", [3, "2.0"]):
        left = 3 - (len(name) if isinstance(name, list) else 1)
        assert len(Gallery().enrol(named(spelt)).remove(name)) == left


def test_a_name_in_two_unicode_forms_is_one_person():
    whole, parts = "Zo\u00eb", "Zoe\u0308"
    gallery = Gallery().enrol(named([whole] * 2 + ["b"] * 2 + ["c"] * 2))
    probes = named([parts] * 2 + ["b"] * 2 + ["c"] * 2, photos=1)
    assert identify(gallery, probes, "group", threshold=0.5).card["searches_mated"] == 6


def test_nobody_enrolled_among_the_searched_is_said_with_what_may_be_meant():
    gallery = Gallery().enrol(named(["Ada"] * 2 + ["Bo"] * 2 + ["Cy"] * 2))
    probes = named(["ada"] * 2 + ["bo"] * 2 + ["cy"] * 2, photos=1)
    told = identify(gallery, probes, "group", threshold=0.5).warnings[0]
    assert told.endswith(
        "capitals differ between the first probe's subject and an enrolled one, spell both alike"
    )
    assert "ada" not in told.lower(), "reports quote it: no names"
    with pytest.raises(fl.BadInput, match=r"'ada' is not enrolled \('Ada' is, and capitals"):
        gallery.remove("ada")


def test_a_calibration_of_the_enrolled_is_refused():
    gallery = Gallery().enrol(named([1, 1, 2, 2, 3, 3]))
    probes, calibration = named([4, 4, 5, 5, 6, 6], photos=1), named([1, 1, 2, 2, 3, 3], photos=2)
    with pytest.raises(fl.BadInput, match="everybody of the calibration is enrolled"):
        identify(gallery, probes, "group", calibration=calibration)


def open_and_shut():
    """A crowd's gallery; probes of people who are not in it, and of people who are."""
    enrolled, probes = fl.crowd(200, images=2, probes=200, dim=64)
    known = probes.table["subject"].isin(enrolled.table["subject"]).to_numpy()
    return Gallery().enrol(enrolled), probes[~known], probes[known]


def test_where_nobody_is_enrolled_fpir_is_told_and_fnir_is_unknown():
    gallery, strangers, _ = open_and_shut()
    found = identify(gallery, strangers, "group", fpir=0.1)
    assert found.rates["fpir"].notna().all() and found.rates["fnir"].isna().all()
    assert "FPIR was 10% [5.19, 17.6] over 100 non-mated searches" in found.summary()
    assert "FNIR is unknown, since nobody who is searched is enrolled" in found.summary()
    assert any("no FNIR" in told for told in found.warnings)
    assert (readable_searches(found.rates)["FNIR %"] == "unknown").all()
    values = found.disparity.groupby("error")["value"].count()
    assert values["fpir"] > 0 == values["fnir"]
    assert "FNIR unknown" in found.plot().alt and "nan" not in found.plot().alt
    assert fl.plots.search_curves(found.det, found.rates).alt.endswith("drawn: FNIR unknown.")


def test_where_everybody_is_enrolled_fnir_is_told_and_fpir_is_unknown(tmp_path):
    gallery, strangers, known = open_and_shut()
    with pytest.raises(BadInput, match="give such people as `calibration`, or a `threshold`"):
        identify(gallery, known, "group", fpir=0.1)
    for given in ({"threshold": 0.4648}, {"fpir": 0.1, "calibration": strangers}):
        found = identify(gallery, known, "group", **given)
        assert found.rates["fnir"].notna().all() and found.rates["fpir"].isna().all()
        assert "FPIR is unknown, since everybody who is searched is enrolled" in found.summary()
        assert "FNIR was 1% [0.0253, 5.45]" in found.summary()
        assert any("no FPIR" in told for told in found.warnings)
        assert (readable_searches(found.rates)["FPIR %"] == "unknown").all()
        assert "FPIR unknown" in found.plot().alt and "nan" not in found.plot().alt
        assert found._repr_html_() and found.save(tmp_path / str(len(given)))
    with pytest.raises(BadInput, match="100 of 100 probe subjects are in the gallery"):
        fl.search_experiment(known, gallery, "group", 0.46)


def test_one_search_is_one_search():
    gallery, strangers, known = open_and_shut()
    told = identify(gallery, known[:1], "group", threshold=0.45).summary()
    assert "over 1 mated one." in told and "FNIR was 0% [0, 97.5]" in told
    told = identify(gallery, strangers[:1], "group", threshold=0.45).summary()
    assert "over 1 non-mated search, FNIR is unknown" in told


def test_groups_that_are_named_alike_are_told_apart_in_few_summaries():
    """Six groups, two searches a person, some of whom resemble more people than others."""
    rng, runs, told = np.random.default_rng(2), 150, 0
    subject = np.repeat(np.arange(240), 2)
    probes = pd.DataFrame({"subject": subject.astype(str), "image": np.arange(480).astype(str)})
    probes["group"] = np.array(list("abcdef"))[subject % 6]
    enrolled = pd.DataFrame({"subject": ["x"], "image": ["x"]})
    for _ in range(runs):
        hard = np.repeat(rng.gamma(2, 0.05, 240), 2)
        scores = np.where(rng.random(480) < hard, 0.9, 0.1).astype(np.float32)[:, None]
        found = Candidates(scores, np.zeros((480, 1), np.int64), probes, enrolled, None, {})
        alike = fl.homogeneity(Searches(found, "group").error_rates(0.5)).set_index("error")
        told += alike.loc["fpir", "p"] < 0.05  # what the summary asks
    assert told / runs < 0.09
    summary = identify(found, None, "group", threshold=0.5).summary()
    assert ("cannot be told from parity" in summary) == (alike.loc["fpir", "p"] >= 0.05)
