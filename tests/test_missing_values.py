"""What a missing value means, function by function: every row of docs/missing-values.md is run."""

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.faces.colour import age_group
from facelab.faces.measures import head_pose

PAGE = Path(__file__).parents[1] / "docs" / "missing-values.md"
PEOPLE, _ = fl.crowd(60, images=3, dim=32)
GAPS = PEOPLE.table["group"].astype(object).where(PEOPLE.table.index > 2)  # of one subject
UNLABELLED = fl.Embeddings(PEOPLE.vectors, PEOPLE.table.assign(group=GAPS), PEOPLE.card)
SCORES = pd.DataFrame(
    {
        "score": [0.9, 0.8, 0.7, 0.1, 0.2, 0.3, 0.4, 0.15],
        "mated": [True] * 3 + [False] * 5,
        "subject_a": list("abcabcda"),
        "subject_b": list("abcbcdac"),
    }
)
FOLDS = pd.DataFrame({"fold": [1] * 4 + [2] * 4, "mated": [True, True, False, False] * 2})


def without(values, row=0):
    return [None if place == row else value for place, value in enumerate(values)]


def faces():
    made = fl.synthesize(12, 3, size=32, jobs=1)
    gender = made.table["gender"].astype(object).where(made.table.index > 2)
    return fl.FaceSet.from_arrays(
        made.table.assign(gender=gender), made.crops[:].copy(), name="some", synthetic=True
    )


def scored(**columns):
    return fl.Comparisons.from_scores(SCORES.assign(**columns))


def in_all_only(frame, column, every):
    """`all` counts everything, and the groups together less."""
    whole = int(frame.loc[frame["group"] == "all", column].iloc[0])
    return whole == every and int(frame.loc[frame["group"] != "all", column].sum()) < every


def audit_without_labels():
    audit = fl.audit(UNLABELLED, "group", 0.05, replicates=10)
    pairs = pd.DataFrame({"row_a": range(0, 90), "row_b": range(1, 91)})
    for one in (
        fl.compare_all(UNLABELLED, "group"),
        fl.compare_pairs(UNLABELLED, pairs, "group"),
        audit,
    ):
        assert any("3 of 180 images have no group label" in text for text in one.warnings)
    assert in_all_only(audit.rates, "images", 180)


def scores_without_labels():
    found = scored(group_a=without("gggggggg"), group_b="g")
    assert "1 of 8 comparisons lack a group label" in found.warnings
    assert in_all_only(found.error_rates(0.5), "mated", 3)


def searches_without_labels():
    enrolled, probes = PEOPLE[2::3][:30], UNLABELLED[::3]
    found = fl.identify(fl.Gallery().enrol(enrolled), probes, "group", threshold=0.5)
    told = "1 of 60 probes have no group label"
    assert any(told in text for text in found.warnings)
    assert in_all_only(found.rates, "subjects", 60)
    strangers = fl.Embeddings(probes.vectors, probes.table, probes.card)
    gallery = fl.Gallery().enrol(PEOPLE[1::3][30:])
    found = fl.search_experiment(strangers[:30], gallery, "group", threshold=0.5)
    assert any("1 of 30 probes have no group label" in text for text in found.warnings)


def lists_of_searches(subject="123", group="aab"):
    frame = pd.DataFrame({"subject": [*subject], "group": [*group]})
    return fl.false_matches_by_group(frame.assign(false_match=[True, False, False]))


def list_without_labels():
    assert in_all_only(lists_of_searches(group=[None, "a", "b"]), "searches", 3)


def analysed(column, values):
    table = pd.DataFrame({"subject": list("aabbccdd"), "gender": ["male", "female"] * 4})
    table["predicted_gender"], table["tone"] = (
        table["gender"],
        ["dark", "light", "light", "dark"] * 2,
    )
    table = table.assign(raters_male=2, raters_female=3)
    table[column] = table[column].astype(object)
    table.loc[[0, 1], column] = values
    return table


def analysis_without(column, *values):
    audit = fl.analysis_audit(analysed(column, values), "gender", "tone", replicates=20)
    return audit, audit.rates.iloc[0], " ".join(audit.warnings)


def analysis_without_labels():
    audit, _, notes = analysis_without("tone", None, "")
    assert in_all_only(audit.rates, "images", 8) and "2 images without a label of tone" in notes


def analysis_without_truth():
    audit, whole, _ = analysis_without("gender", np.nan, pd.NA)
    assert audit.set_aside == {"no label in 'gender'": 2} and whole["images"] == 6


def analysis_without_predictions():
    audit, whole, _ = analysis_without("predicted_gender", None, "")
    assert audit.unprocessed == {"no prediction": 2}
    assert (whole["processed"], whole["wrong"], whole["overall_error"]) == (6, 0, 0.25)


def qualities_without_scores():
    rated = pd.DataFrame({"tone": ["dark", "light"] * 10, "Sharpness": [np.nan, *range(19)]})
    rates = fl.quality_gates(rated, by="tone", cut=9).rates.set_index("group")
    assert rates.loc["dark", ["images", "unassessed", "refused"]].tolist() == [10, 1, 4]
    assert rates.loc["dark", "refused_rate"] == 4 / 9
    rated = rated.assign(gender="f", predicted_gender=["m", *"f" * 19])
    curve = fl.error_against_discard(rated, "gender", "tone", "Sharpness", [0.0])
    assert curve["images"].max() == 19


def analysis_without_votes():
    table = analysed("raters_male", [None, None])
    table.loc[0, "raters_female"] = None
    found = fl.analysis_audit(table, "gender", "tone", replicates=20).raters
    assert found["images"].iloc[0] == 7


def analysis_without_scores():
    table = analysed("tone", ["dark", "light"]).assign(score_male=0.5)
    table.loc[[0, 1], "score_male"] = np.nan
    whole = fl.analysis_audit(table, "gender", "tone", replicates=20).class_sweep.iloc[0]
    assert whole[["images", "others"]].tolist() == [3, 3]


def analysis_without_subjects():
    _, whole, notes = analysis_without("subject", None, None)
    assert whole["subjects"] == 5 and "2 images of nobody named count as a person each" in notes


def analysers_without_labels():
    with pytest.raises(fl.BadInput, match=r"3 faces have no gender \(first: image"):
        fl.train_analyser(faces(), "gender")


def analysers_without_predictions():
    whole, gaps = analysed("tone", ["dark", "light"]), analysed("predicted_gender", [None, None])
    table = fl.compare_analysers({"a": [whole], "b": [gaps]}, "a", "gender", "tone").table
    assert table[table["arm"] == "b"]["error"].iloc[0] == 0.25
    ages = [one.assign(age=30.0, predicted_age=[said, *[30.0] * 7])
            for one, said in ((whole, 30.0), (whole, np.nan))]  # fmt: skip
    refused(
        lambda: fl.compare_analysers({"a": ages[:1], "b": ages[1:]}, "a", "age", "tone"),
        "1 face has no number",
    )


def composition_without_labels():
    assert "(no label)" in faces().composition("gender").index


def composed_without_labels():
    some = faces()
    drawn = fl.compose(some, by="gender", subjects=8, images_per_subject=2)
    assert drawn.table["gender"].notna().all()


def measured_without_labels():
    rows = fl.measures_by_group(fl.measure(faces()), "gender")
    assert in_all_only(rows[rows["measure"] == "brightness"], "images", 36)


def explained(column=None):
    table = PEOPLE.table.assign(light=np.arange(len(PEOPLE)) % 7 / 7)
    if column == "group":
        table["group"] = GAPS
    if column == "light":
        table.loc[0, "light"] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = fl.explain_errors(
            fl.Embeddings(PEOPLE.vectors, table, PEOPLE.card), 0.3, "group", ["light"]
        )
    return " ".join(map(str, vars(found).values()))


def explained_without_labels():
    assert "3 images without group left out" in explained("group")


def explained_without_covariate():
    assert "1 image without light left out" in explained("light")


def enrolled_with_several_labels():
    table = PEOPLE.table[:3].assign(group=["a", "b", "a"])
    gallery = fl.Gallery().enrol(fl.Embeddings(PEOPLE.vectors[:3], table))
    assert "group" not in gallery.table or gallery.table["group"].isna().all()


def table_without(name):
    for make in (
        lambda table: fl.Embeddings.from_arrays(PEOPLE.vectors, table),
        lambda table: fl.FaceSet.from_arrays(table, np.zeros((180, 8, 8, 3), np.uint8)),
    ):
        with pytest.raises(fl.BadInput, match=rf"row 4 .*has no {name}"):
            make(PEOPLE.table.assign(**{name: without(PEOPLE.table[name], 4)}))


def table_without_image():
    table_without("image")
    numbered = fl.Embeddings.from_arrays(PEOPLE.vectors, PEOPLE.table.drop(columns="image"))
    assert numbered.table["image"].is_unique


def refused(make, match):
    with pytest.raises(fl.BadInput, match=match):
        make()


def scores_without_images():
    images = {"image_a": without("12345678"), "image_b": [*"abcdefgh"]}
    assert len(scored(**images)) == 8
    again = SCORES.assign(**images).iloc[[*range(8), 0]]
    with pytest.warns(UserWarning, match="1 of 9 rows is of two subjects who have the very same"):
        fl.Comparisons.from_scores(again)


def vectors_without_a_number():
    vectors = PEOPLE.vectors.copy()
    vectors[7, 3] = np.nan
    with pytest.raises(fl.BadInput, match="vector of image 'image-7' holds a value that is not"):
        fl.Embeddings.from_arrays(vectors, PEOPLE.table)


def file_without_a_vector(tmp_path):
    file = tmp_path / "vectors.npz"
    np.savez(file, image=PEOPLE.table["image"].to_numpy(str)[1:], vectors=PEOPLE.vectors[1:])
    with pytest.raises(fl.BadInput, match="image-0"):
        fl.Embeddings.from_file(file, PEOPLE.table)
    partly = fl.Embeddings.from_file(file, PEOPLE.table, partial=True)
    assert len(partly) == 179 and "1" in " ".join(partly.card["notes"])


def unknown(error, rows):
    audit = fl.audit(PEOPLE[rows], "group", 0.05, replicates=10)
    missing = audit.rates[audit.rates[error].isna()]
    assert len(missing) and missing[[f"{error}_low", f"{error}_high"]].isna().all(axis=None)
    readable = fl.readable_rates(audit.rates)[f"{error.upper()} %"]
    assert (readable[missing["group"]] == "unknown").all()
    assert f"{error.upper()} unknown" in audit.plot().alt


def audit_without_mated():
    unknown("fnmr", np.arange(0, 180, 3))


def audit_without_non_mated():
    group = PEOPLE.table["group"].to_numpy(str)
    lone = PEOPLE.table["subject"].to_numpy(str)[group == "b"][0]
    unknown("fmr", (group != "b") | (PEOPLE.table["subject"] == lone).to_numpy())


RATES = pd.DataFrame({"group": ["a", "b", "c"], "fmr": [0.001, np.nan, 0.004]})


def disparity_without_a_rate():
    row = fl.disparity(RATES).iloc[0]
    assert row["value"] == 4 and "without b" in row["note"]
    assert np.isnan(fl.disparity(RATES.iloc[:2]).iloc[0]["value"])


def arms_without_a_rate():
    half = fl.Embeddings(PEOPLE.vectors[::3], PEOPLE.table[::3].reset_index(drop=True))
    one = fl.audit(half, "group", 0.05, replicates=10)
    return {"x": one, "y": one}


def changes_without_a_rate():
    changes = fl.compare_audits(arms_without_a_rate())
    row = changes.row("fnmr:all")
    assert np.isnan(row["difference"]) and row["note"]
    assert fl.readable_changes(changes.table).loc["FNMR of all", "change"] == "unknown"


def figures_without_a_rate():
    arms = {name: [one] for name, one in arms_without_a_rate().items()}
    table = fl.compare_arms(arms, "x", ["fnmr"])
    assert table["value"].isna().all()
    assert (fl.readable_arms(table) == "unknown").all(axis=None)


def measured_without_colour():
    some = faces()
    crops = some.crops[:].copy()
    crops[:5] = crops[:5].mean(axis=3, keepdims=True).astype(np.uint8)
    with pytest.warns(UserWarning, match="5 photos have no colour"):
        measured = fl.measure(fl.FaceSet.from_arrays(some.table, crops, synthetic=True))
    assert measured.table["apparent_ita"].isna().tolist() == [True] * 5 + [False] * 31


def colours_missing():
    assert np.isnan(fl.ita([[50, 3, np.nan], [80, 0, 0]])).all()
    assert fl.monk([[np.nan] * 3]).isna().all() and fl.fitzpatrick([np.nan]).isna().all()


def answered(**columns):
    frame = SCORES.assign(status="ok", threshold_used=0.35, **columns)
    return fl.Comparisons.from_answers(frame)


def answers_without_scores():
    kept = SCORES["score"].where(SCORES["score"] >= 0.35)
    status = np.where(kept.isna(), "below_threshold", "ok")
    frame = SCORES.assign(score=kept, status=status, threshold_used=0.35)
    rates = fl.Comparisons.from_answers(frame).error_rates(0.35)
    assert rates["false_matches"].tolist() == [1] and rates["non_mated"].tolist() == [5]
    refused(lambda: answered(score=kept), "row 3 has no score")


def answers_without_versions():
    made = answered(model_version=without(["6"] * 8))
    assert any("1 answer does not tell" in text for text in made.warnings) and len(made) == 8


def labels_there_and_back():
    some = faces()
    dataset = some.to_huggingface()
    assert dataset[0]["gender"] is None and dataset[5]["gender"] is not None
    pd.testing.assert_frame_equal(fl.from_huggingface(dataset).table, some.table)


def frames_without_mated():
    single = PEOPLE[~PEOPLE.table.duplicated("subject").to_numpy()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        audit = fl.audit(single, "group", fmr=0.05, replicates=10)
    assert audit.metric_frame().by_group["fnmr"].isna().all()
    tidy = audit.to_frame()
    assert tidy.loc[tidy["error"] == "fnmr", "rate"].isna().all()


def sent_without_a_rate():
    sent = []
    fl.tracker(lambda numbers, step: sent.append(numbers)).log({"a": np.nan, "b": 1.0}, 0)
    assert sent == [{"b": 1.0}]


COLUMNS = "Comparisons.from_scores"
RUN = {
    ("label", "audit, compare_all, compare_pairs"): audit_without_labels,
    ("label", COLUMNS): scores_without_labels,
    ("label", "identify, search_experiment"): searches_without_labels,
    ("label", "false_matches_by_group"): list_without_labels,
    ("label", "composition"): composition_without_labels,
    ("label", "compose"): composed_without_labels,
    ("label", "measures_by_group"): measured_without_labels,
    ("label", "explain_errors"): explained_without_labels,
    ("label", "Gallery"): enrolled_with_several_labels,
    ("label", "to_torch"): lambda: refused(lambda: faces().to_torch("gender"), "has no gender"),
    ("label", "to_huggingface, from_huggingface"): labels_there_and_back,
    ("subject", "every table of faces"): lambda: table_without("subject"),
    ("subject", COLUMNS): lambda: refused(
        lambda: scored(subject_a=without("abcabcda")), "row 0 has no subject_a"
    ),
    ("label", "analysis_audit, the groups'"): analysis_without_labels,
    ("label", "analysis_audit, the truth"): analysis_without_truth,
    ("label", "train_analyser"): analysers_without_labels,
    ("prediction", "analysis_audit"): analysis_without_predictions,
    ("prediction", "compare_analysers"): analysers_without_predictions,
    ("score", "quality_gates, error_against_discard"): qualities_without_scores,
    ("votes", "analysis_audit"): analysis_without_votes,
    ("score", "analysis_audit"): analysis_without_scores,
    ("subject", "analysis_audit"): analysis_without_subjects,
    ("subject", "false_matches_by_group"): lambda: refused(
        lambda: lists_of_searches(subject=["1", "2", None]), "search 2 names no subject"
    ),
    ("image", "every table of faces"): table_without_image,
    ("image", COLUMNS): scores_without_images,
    ("score", COLUMNS): lambda: refused(
        lambda: scored(score=without(SCORES["score"])), "row 0 has no score.*failures to acquire"
    ),
    ("score", "pair_accuracy"): lambda: refused(
        lambda: fl.pair_accuracy([0.8, np.nan, 0.3, 0.1, 0.9, 0.4, 0.5, 0.2], FOLDS),
        "row 1 has no score",
    ),
    ("mated", COLUMNS): lambda: refused(
        lambda: scored(mated=without(SCORES["mated"])), "mated is missing in row 0"
    ),
    ("weight", COLUMNS): lambda: refused(
        lambda: scored(weight=without([2.0] * 8)), "weight .* in row 0 is not 1 or more"
    ),
    ("score", "Comparisons.from_answers"): answers_without_scores,
    ("mated", "Comparisons.from_answers"): lambda: refused(
        lambda: answered(mated=without(SCORES["mated"])), "answer 0 does not say whose faces"
    ),
    ("version", "Comparisons.from_answers"): answers_without_versions,
    ("vector", "Embeddings.from_arrays"): vectors_without_a_number,
    ("vector", "Embeddings.from_file"): file_without_a_vector,
    ("mated comparisons", "audit"): audit_without_mated,
    ("non-mated comparisons", "audit"): audit_without_non_mated,
    ("mated comparisons", "metric_frame, to_frame"): frames_without_mated,
    ("rate", "tracker"): sent_without_a_rate,
    ("rate", "disparity"): disparity_without_a_rate,
    ("rate", "disparity_indices"): lambda: refused(
        lambda: fl.disparity_indices(RATES.assign(algorithm="x")), "no fmr for group 'b'"
    ),
    ("rate", "compare_audits"): changes_without_a_rate,
    ("rate", "compare_arms"): figures_without_a_rate,
    ("covariate", "explain_errors"): explained_without_covariate,
    ("colour", "measure"): measured_without_colour,
    ("colour", "ita, monk, fitzpatrick"): colours_missing,
    ("age", "age_group"): lambda: age_group([np.nan]).isna().all() or pytest.fail("not missing"),
    ("landmark", "head_pose"): lambda: np.testing.assert_array_equal(
        head_pose(np.full((1, 5, 2), np.nan)), np.full((1, 3), np.nan)
    ),
}


def rows():
    """(missing, where) of every row of the page."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")][1:]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [(missing, where.replace("`", "")) for missing, where, _ in cells]


def test_every_row_of_the_page_is_run_and_nothing_else():
    assert len(rows()) == len(set(rows()))
    assert set(rows()) == set(RUN)


@pytest.mark.parametrize(("missing", "where"), RUN)
def test_what_is_missing_means_what_the_page_says(missing, where, tmp_path):
    check = RUN[missing, where]
    check(tmp_path) if check is file_without_a_vector else check()


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NA, pd.NaT, ""])
def test_these_are_missing_and_words_are_not(nothing):
    table = PEOPLE.table.assign(group=PEOPLE.table["group"].astype(object))
    table.loc[0:2, "group"] = [nothing] * 3
    table.loc[3:5, "group"] = ["NA"] * 3
    groups = fl.compare_all(fl.Embeddings(PEOPLE.vectors, table), "group").groups
    assert "NA" in groups and "" not in groups and "nan" not in groups
