"""Size and mix of the gallery: nested galleries read right, and the binomial law beside them."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.errors import BadInput
from facelab.figures import search as plot_search
from facelab.search.gallery_effects import gallery_mixes, gallery_sizes, open_set

GROUPS = np.array(["x", "y"])


def people(rng, count, images, names, lean=1.5, dim=24):
    half = np.arange(count) % 2
    centres = rng.normal(size=(count, dim))
    centres[:, 0] += lean * (2 * half - 1)
    owner = np.repeat(np.arange(count), images)
    vectors = centres[owner] + 0.5 * rng.normal(size=(len(owner), dim))
    table = pd.DataFrame({"subject": [f"{names}{k}" for k in owner], "kind": GROUPS[half[owner]]})
    table["image"] = [f"{names}{k}" for k in range(len(owner))]
    return fl.Embeddings.from_arrays(vectors, table)


@pytest.fixture(scope="module")
def crowd():
    """400 strangers and 100 people with one more photo are searched; 4,000 others are stored."""
    rng = np.random.default_rng(0)
    known = people(rng, 100, 2, "known")
    odd = np.arange(200) % 2 == 1
    stored, strangers = people(rng, 4000, 1, "stored"), people(rng, 400, 1, "stranger")

    def joined(*parts):
        table = pd.concat([part.table for part in parts], ignore_index=True)
        return fl.Embeddings(np.concatenate([part.vectors for part in parts]), table)

    return joined(known[odd], strangers), joined(stored, known[~odd])


@pytest.fixture(scope="module")
def sizes(crowd):
    return gallery_sizes(*crowd, "kind", [500, 1500, 4100], fpir=0.1)


def test_every_gallery_holds_the_smaller_one_and_is_read_as_counted(crowd, sizes):
    probes, enrolled = crowd
    subjects = enrolled.table["subject"].to_numpy(object)
    searched = set(probes.table["subject"])
    mates = np.array([name in searched for name in subjects])
    order = np.random.default_rng(0).permutation(len(subjects))
    order = np.concatenate([order[mates[order]], order[~mates[order]]])
    scores = (probes.vectors.astype(float) @ enrolled.vectors.astype(float).T)[:, order]
    names = subjects[order]
    t = sizes["threshold"].iloc[0] + 1e-6
    assert sizes["threshold"].nunique() == 1
    kind = probes.table["kind"].to_numpy(object)
    mated = probes.table["subject"].isin(names).to_numpy()
    for row in sizes.itertuples():
        here = scores[:, : row.gallery]
        of = (kind == row.group) | (row.group == "all")
        strangers = of & ~mated
        assert row.fpir == (here[strangers].max(axis=1) >= t).mean()
        missed = []
        for k in np.flatnonzero(of & mated):
            own = here[k, names[: row.gallery] == probes.table["subject"][k]][0]
            missed.append(not (own >= t and (here[k] > own).sum() < 20))
        assert row.fnir == np.mean(missed) and row.searches_mated == len(missed)
    whole = sizes[sizes["group"] == "all"]
    assert whole["fpir"].iloc[0] == 0.1 and whole["fpir"].is_monotonic_increasing
    assert (whole["fnir_at_target"].diff().dropna() >= 0).all()
    assert whole["threshold_at_target"].is_monotonic_increasing


def test_the_prediction_is_the_binomial_law_of_single_comparisons(crowd, sizes):
    probes, enrolled = crowd
    subjects = enrolled.table["subject"].to_numpy(object)
    mates = enrolled.table["subject"].isin(probes.table["subject"]).to_numpy()
    order = np.random.default_rng(0).permutation(len(subjects))
    order = np.concatenate([order[mates[order]], order[~mates[order]]])
    stranger = ~probes.table["subject"].isin(subjects).to_numpy()
    t = sizes["threshold"].iloc[0] + 1e-6
    first = order[:500]
    above = probes.vectors[stranger].astype(float) @ enrolled.vectors[first].astype(float).T >= t
    kind, stored = probes.table["kind"].to_numpy()[stranger], enrolled.table["kind"].to_numpy()
    for row in sizes[sizes["group"] != "all"].itertuples():
        none = 1.0
        for group in GROUPS:
            fmr = above[kind == row.group][:, stored[first] == group].mean()
            none *= (1 - fmr) ** (stored[order[: row.gallery]] == group).sum()
        assert row.predicted == pytest.approx(1 - none)
        assert row.predicted_low <= row.predicted <= row.predicted_high
    groups = sizes[sizes["group"] != "all"].groupby("gallery")["predicted"].mean()
    whole = sizes[sizes["group"] == "all"].set_index("gallery")["predicted"]
    assert whole.to_numpy() == pytest.approx(groups.to_numpy()), "as many of each are searched"


def test_independent_scores_keep_the_law_and_bunched_ones_stay_below():
    """The law is for independent comparisons; a probe whom many resemble breaks it."""
    rng = np.random.default_rng(2)

    def directions(count, dim, names):
        table = pd.DataFrame({"subject": [f"{names}{k}" for k in range(count)], "kind": "x"})
        return fl.Embeddings.from_arrays(rng.normal(size=(count, dim)), table)

    alike = gallery_sizes(
        directions(1500, 16, "p"), directions(3000, 16, "e"), "kind", [300, 3000], threshold=0.75
    )
    last = alike[alike["group"] == "all"].iloc[-1]
    # The prediction has its own noise: 300 x 1,500 comparisons at a rate of about 2e-4.
    assert last["fpir_high"] > last["predicted_low"] and last["fpir_low"] < last["predicted_high"]
    crowded = directions(1500, 16, "p").vectors
    crowded[:300, 0] += 3
    stored = directions(3000, 16, "e").vectors
    stored[:, 0] += 0.5
    tables = [pd.DataFrame({"subject": np.arange(n) + s, "kind": "x"}) for n, s in (
        (1500, 10_000), (3000, 0))]  # fmt: skip
    bunched = gallery_sizes(
        fl.Embeddings.from_arrays(crowded, tables[0]),
        fl.Embeddings.from_arrays(stored, tables[1]),
        "kind",
        [300, 3000],
        threshold=0.75,
    )
    last = bunched[bunched["group"] == "all"].iloc[-1]
    assert last["fpir_high"] < last["predicted_low"]


def test_who_is_enrolled_decides_who_is_named(crowd):
    probes, enrolled = crowd
    mixes = {"even": None, "80% y": {"y": 0.8}, "80% x": {"x": 0.8}}
    table = gallery_mixes(probes, enrolled, "kind", mixes, 2000, fpir=0.1)
    assert table["mix"].unique().tolist() == list(mixes)
    rows = table.set_index(["mix", "group"])
    assert rows.loc[("80% y", "y"), ["enrolled", "share"]].tolist() == [1600, 0.8]
    assert rows.loc[("even", "all"), "fpir"] == pytest.approx(0.1, abs=0.003)
    for group in GROUPS:
        own, other = (
            rows.loc[(f"80% {g}", group), "fpir"] for g in (group, *GROUPS[group != GROUPS])
        )
        assert own > other, "more of one's own group, more false matches"
        assert rows.loc[(f"80% {group}", group), "predicted"] == pytest.approx(own, abs=0.1)
    assert (table["searches_non_mated"][table["group"] == "all"] == 500).all(), "none is enrolled"
    assert plot_search.mixes(table).alt and len(plot_search.gallery_growth.__doc__)


def test_a_gallery_is_as_large_as_every_mix_allows(crowd):
    mixes = {"even": None, "80% y": {"y": 0.8}}
    table = gallery_mixes(*crowd, "kind", mixes, threshold=0.7)
    assert table["enrolled"][table["group"] == "all"].tolist() == [2500, 2500], "2,000 of y"
    assert table["enrolled"][table["mix"] == "80% y"].tolist() == [2500, 500, 2000]


def test_an_open_set_enrols_one_photo_of_some():
    rng = np.random.default_rng(5)
    searched, strangers = people(rng, 20, 3, "a"), people(rng, 30, 1, "b")
    single = searched[np.arange(60) != 1][np.r_[0, 2:59]]  # one of them has one photo
    probes, enrolled = open_set(single, strangers, 0.4, seed=1)
    counts = enrolled.table["subject"].value_counts()
    known = counts[counts.index.str.startswith("a")]
    assert len(known) == 8 and (known == 1).all() and len(enrolled) == 38
    images = [*probes.table["image"], *enrolled.table["image"]]
    assert sorted(images) == sorted([*single.table["image"], *strangers.table["image"]])
    assert known.index.isin(probes.table["subject"]).all()
    with pytest.raises(BadInput, match="20 people are among the searched and"):
        open_set(searched, searched)
    with pytest.raises(BadInput, match="nobody who is searched has two photos"):
        open_set(strangers, searched)


def test_what_no_gallery_can_be_made_of_is_refused(crowd):
    probes, enrolled = crowd
    for sizes, words in (
        ([500, 400], "must rise"),
        ([500, 5000], "the people to enrol"),
        ([], "must rise"),
        ([50, 500], "100 of the people to enrol are searched"),
    ):
        with pytest.raises(BadInput, match=words):
            gallery_sizes(probes, enrolled, "kind", sizes)
    with pytest.raises(BadInput, match="needs 3,000 people of y, and there are 2,000"):
        gallery_mixes(probes, enrolled, "kind", {"only y": {"y": 1.0}}, 3000)
    with pytest.raises(BadInput, match="there is no mix"):
        gallery_mixes(probes, enrolled, "kind", {}, 3000)
    with pytest.raises(BadInput, match="the faces to enrol have no column 'kind'"):
        bare = fl.Embeddings(enrolled.vectors, enrolled.table.drop(columns="kind"))
        gallery_mixes(probes, bare, "kind", {"even": None})


def test_labels_of_the_probes_alone_are_enough(crowd):
    probes, enrolled = crowd
    bare = fl.Embeddings(enrolled.vectors, enrolled.table.drop(columns="kind"))
    half = enrolled.table.assign(
        kind=enrolled.table["kind"].where(np.arange(len(enrolled)) % 2 > 0)
    )
    whole, *others = (
        gallery_sizes(probes, some, "kind", [500, 1000], fpir=0.05)
        for some in (enrolled, bare, fl.Embeddings(enrolled.vectors, half))
    )
    for one in others:
        same = whole.columns.drop(["predicted", "predicted_low", "predicted_high"])
        pd.testing.assert_frame_equal(one[same], whole[same])
        # Nobody is left out of the prediction, whatever is known of them.
        assert one["predicted"].to_numpy() == pytest.approx(whole["predicted"].to_numpy(), rel=0.2)


def test_images_that_are_only_numbered_in_both_sets_stay_apart():
    vectors = np.random.default_rng(0).standard_normal((8, 6))
    searched = fl.Embeddings.from_arrays(vectors[:4], pd.DataFrame({"subject": list("aabb")}))
    strangers = fl.Embeddings.from_arrays(vectors[4:], pd.DataFrame({"subject": list("wxyz")}))
    probes, enrolled = open_set(searched, strangers)
    assert len(probes) + len(enrolled) == 8
    assert set(enrolled.table["image"].str.split("/").str[0]) == {"searched", "strangers"}
