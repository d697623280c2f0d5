"""The dials: what they show is what the audit, the comparisons and the trainings say themselves."""

import base64
import dataclasses
import io
import re
import warnings

import ipywidgets as ipw
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from PIL import Image
from scipy.stats import binom
from training_sets import TINY, patterns

import facelab as fl
from facelab import widgets
from facelab.errors import Stopped
from facelab.training.recipe import Validation

BY = ["phenotype", "gender"]
SPOILT = '<img src=x onerror=alert(1)>"'
WATCHED = dataclasses.replace(TINY, validate=Validation(every=3, by=["gender"], fmr=0.1))


def embedded(subjects=48, images=5, seed=0, spread=0.9, label=None):
    """Subjects of six groups; the later a group, the more its members resemble each other."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(subjects), images)
    group = who % 6
    middle = rng.normal(size=(6, 32)) * np.linspace(0.1, 0.9, 6)[:, None]
    vectors = rng.normal(size=(subjects, 32))[who] + middle[group]
    vectors += spread * rng.normal(size=vectors.shape)
    phenotypes = np.array(["african", "asian", label or "caucasian"])
    table = pd.DataFrame(
        {
            "subject": [f"p{seed}-{number:03d}" for number in who],
            "image": [f"p{seed}-{place}.jpg" for place in range(len(who))],
            "phenotype": pd.Categorical(phenotypes[group // 2]),
            "gender": pd.Categorical(np.array(["female", "male"])[group % 2]),
        }
    )
    return fl.Embeddings.from_arrays(vectors.astype(np.float32), table)


def faces_of(embeddings, synthetic=True):
    rng = np.random.default_rng(1)
    crops = rng.integers(0, 256, (len(embeddings), 32, 32, 3), dtype=np.uint8)
    return fl.FaceSet.from_arrays(embeddings.table, crops, name="noise", synthetic=synthetic)


@pytest.fixture(scope="module")
def embeddings():
    return embedded()


@pytest.fixture(scope="module")
def comparisons(embeddings):
    return fl.compare_all(embeddings, BY, jobs=1)


@pytest.fixture(scope="module")
def audit(embeddings):
    return fl.audit(embeddings, BY, fmr=1e-2, replicates=50, jobs=1)


@pytest.fixture(scope="module")
def every_dial(comparisons, audit, embeddings):
    """One of each, as they stand at first."""
    second = fl.audit(embedded(spread=1.2), BY, fmr=1e-2, replicates=50, jobs=1)
    return [
        widgets.threshold_explorer(comparisons, fmr=1e-2),
        widgets.mix_composer(patterns(), "gender", WATCHED),
        widgets.training_monitor(12),
        widgets.face_browser(audit, faces_of(embeddings), embeddings),
        widgets.population_studio(size=32),
        widgets.audit_comparer({"first": audit, "second": second}, replicates=50),
    ]


# ---- the threshold explorer


def test_every_stop_of_the_threshold_says_what_the_comparisons_say(comparisons):
    dial = widgets.threshold_explorer(comparisons, fmr=1e-2)
    assert len(dial.stops) > 20
    for place in range(len(dial.stops)):
        dial.threshold.index = place
        value = dial.value
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert value["threshold"] == comparisons.threshold(fmr=value["target_fmr"])
        expected = comparisons.error_rates(value["threshold"], small_samples=True)
        assert_frame_equal(value["rates"], expected)
        expected = comparisons.cross_group(value["threshold"], small_samples=True)
        assert_frame_equal(value["cross_group"], expected)
        assert value["rates"].loc[0, "fmr"] <= value["target_fmr"]


def test_threshold_and_target_move_together_and_figure_and_table_with_them(comparisons):
    dial = widgets.threshold_explorer(comparisons, fmr=1e-2)
    assert dial.value["target_fmr"] == 1e-2
    before = dial.figure.value, dial.table.value
    dial.fmr.index -= 5
    assert dial.threshold.index == dial.fmr.index
    assert dial.value["target_fmr"] > 1e-2
    assert dial.value["threshold"] < comparisons._threshold(1e-2)
    assert before[0] != dial.figure.value and before[1] != dial.table.value
    dial.threshold.index += 5
    assert before == (dial.figure.value, dial.table.value)


def test_a_search_brings_up_the_false_matches_of_a_binomial(comparisons):
    dial = widgets.threshold_explorer(comparisons, gallery=3_000, fmr=1e-2)
    for people in (3_000, 1_000_000):
        dial.gallery.value = people
        search, rates = dial.value["search"], dial.value["rates"]
        for end in ("", "_low", "_high"):
            law = binom(people, rates[f"fmr{end}"].to_numpy())
            assert search[f"false_matches{end}"].to_numpy() == pytest.approx(law.mean())
            assert search[f"chance{end}"].to_numpy() == pytest.approx(law.sf(0))
    assert "1,000,000 people" in dial.table.value


def test_an_audit_is_exact_at_its_own_threshold_and_says_what_it_lacks_elsewhere(
    audit, comparisons
):
    dial = widgets.threshold_explorer(audit)
    assert dial.value["threshold"] == audit.threshold
    assert_frame_equal(dial.value["rates"], audit.rates)
    assert_frame_equal(dial.value["cross_group"], audit.cross_group)
    assert "counted exactly" in dial.table.value
    seen = 0
    for place, stop in enumerate(dial.stops):
        if stop.threshold == audit.threshold:
            continue
        dial.threshold.index = place
        value, seen = dial.value, seen + 1
        expected = comparisons.error_rates(value["threshold"])
        for column in ("fmr", "fnmr", "false_matches", "false_non_matches"):
            assert value["rates"][column].tolist() == expected[column].tolist()
        assert value["rates"]["fmr_high"].isna().all()
        assert value["cross_group"] is None
        assert "without intervals" in dial.table.value
        assert "not in the audit" in dial.figure.value
    assert seen > 10


def test_thresholds_are_set_on_calibration_subjects_where_there_are_some(comparisons):
    others = fl.compare_all(embedded(seed=1), BY, jobs=1)
    dial = widgets.threshold_explorer(comparisons, fmr=1e-2, calibration=others)
    assert dial.value["threshold"] == others._threshold(1e-2)
    assert_frame_equal(
        dial.value["rates"], comparisons.error_rates(others._threshold(1e-2), small_samples=True)
    )


def test_a_score_list_can_be_explored_too():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"score": rng.normal(size=4_000)})
    frame["subject_a"] = rng.integers(0, 40, 4_000)
    frame["subject_b"] = rng.integers(0, 40, 4_000)
    frame["mated"] = frame["subject_a"] == frame["subject_b"]
    for side in ("a", "b"):
        frame[f"group_{side}"] = np.where(frame[f"subject_{side}"] % 2, "odd", "even")
    scores = fl.Comparisons.from_scores(frame)
    dial = widgets.threshold_explorer(scores, fmr=0.05)
    strangers = frame[~frame["mated"]]
    odd = strangers[(strangers["group_a"] == "odd") & (strangers["group_b"] == "odd")]
    expected = (odd["score"] >= dial.value["threshold"]).mean()
    assert dial.value["rates"].set_index("group").loc["odd", "fmr"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda e, c: (fl.compare_all(e, jobs=1),), "have no groups"),
        (lambda e, c: ("scores.csv",), "not a str"),
        (lambda e, c: (c, 0), "`gallery` must be a whole number of at least 1, not 0"),
        (lambda e, c: (c, 10, 2.0), "target FMR must be at least 0"),
    ],
)
def test_what_cannot_be_explored_is_refused_in_a_sentence(embeddings, comparisons, given, words):
    with pytest.raises(fl.BadInput, match=words):
        widgets.threshold_explorer(*given(embeddings, comparisons))


# ---- the mix composer and the training monitor


def test_a_moved_slider_is_a_named_share_and_the_others_share_the_rest(faces):
    dial = widgets.mix_composer(faces, "race", subjects=24, images_per_subject=5)
    assert dial.value["counts"] == {"african": 8, "asian": 8, "caucasian": 8}
    dial.sliders["asian"].value = 50
    assert dial.value["shares"] == {"asian": 0.5}
    assert dial.value["counts"] == {"african": 6, "asian": 12, "caucasian": 6}
    assert dial.sliders["african"].value == dial.sliders["caucasian"].value == 25
    there = dial.faces.composition("race")["subjects"].to_dict()
    assert there == dial.value["counts"]
    dial.balance()
    assert dial.value["shares"] == {} and dial.value["counts"]["asian"] == 8


def test_the_composer_counts_whom_it_could_take(faces):
    few = faces[~(faces.table["subject"].isin(["s000", "s001"]) & (faces.table.index % 5 > 2))]
    dial = widgets.mix_composer(few, "race", subjects=12, images_per_subject=5)
    assert dial.available()["subjects"].to_dict() == {"african": 19, "asian": 19, "caucasian": 20}
    assert dial.available()["images"].to_dict() == {"african": 95, "asian": 95, "caucasian": 100}
    dial.images.value = 3
    assert dial.available()["subjects"].to_dict() == {"african": 20, "asian": 20, "caucasian": 20}


def test_the_button_trains_on_the_mix_and_the_monitor_follows():
    people, held_out = patterns(16), patterns(prefix="h", seed=1)
    dial = widgets.mix_composer(
        people, "gender", WATCHED, held_out, subjects=8, images_per_subject=4, device="cpu"
    )
    dial.sliders["female"].value = 75
    assert dial.monitor.view.layout.display == "none"
    dial.button.click()
    dial.thread.join()
    assert dial.error is None
    mix = fl.compose(people, "gender", {"female": 0.75}, subjects=8, images_per_subject=4)
    expected = fl.train(mix, WATCHED, held_out=held_out, device="cpu", progress=False)
    vectors = [one.embed(held_out, progress=False).vectors for one in (dial.embedder, expected)]
    np.testing.assert_allclose(*vectors, atol=1e-5)
    state = dial.monitor.value
    assert (state["step"], state["steps"], state["stopped"]) == (12, 12, False)
    assert_frame_equal(state["looks"], dial.embedder.validation)
    assert_frame_equal(state["history"], dial.embedder.history[["step", "loss"]])
    assert dial.monitor.button.layout.display == "none", "there is nothing left to stop"
    assert dial.monitor.view.layout.display == "" and not dial.button.disabled


def test_a_training_that_fails_says_why_and_can_be_tried_again():
    dial = widgets.mix_composer(
        patterns(), "gender", WATCHED, patterns(), subjects=4, images_per_subject=4, device="cpu"
    )
    dial.train(wait=True)
    assert isinstance(dial.error, fl.BadInput) and dial.embedder is None
    assert "Training failed" in dial.monitor.status.value
    assert dial.monitor.button.layout.display == "none"
    assert not dial.button.disabled


def test_the_stop_button_stops_and_what_was_saved_goes_on_to_the_same_end(tmp_path):
    given = {"device": "cpu", "checkpoints": tmp_path / "saved", "checkpoint_every": 2}
    monitor = widgets.training_monitor(12)

    def on_step(step):
        if step == 5:
            monitor.button.click()
        return monitor.on_step(step)

    hooks = monitor.hooks | {"on_step": on_step}
    with pytest.raises(Stopped, match="stopped at step 5 of 12 and saved in"):
        fl.train(patterns(), TINY, **hooks, **given)
    assert monitor.value["history"]["step"].tolist() == [1, 2, 3, 4, 5]
    assert monitor.button.layout.display == "none"
    assert (tmp_path / "saved").exists()
    again = {"on_step": lambda step: step == 2, "progress": False, "device": "cpu"}
    with pytest.raises(Stopped, match="stopped at step 2 of 12 and not saved"):
        fl.train(patterns(), TINY, **again)
    assert monitor.value["stopped"] and "stopped at step 5" in monitor.table.value
    resumed = fl.train(patterns(), TINY, resume=True, progress=False, **given)
    whole = fl.train(patterns(), TINY, device="cpu", progress=False)
    assert resumed.history["loss"].tolist() == whole.history["loss"].tolist()


def test_the_monitor_draws_the_groups_as_they_come():
    monitor = widgets.training_monitor()
    looks = pd.DataFrame(
        {
            "step": 3,
            "threshold": 0.5,
            "group": ["all", "female", "male"],
            "fmr": [0.1, 0.125, np.nan],
            "fnmr": [0.25, 0.0, 0.5],
        }
    )
    monitor.on_look(looks)
    assert monitor.figure.value.count("<polyline") == 1 + 2 * 3
    assert "12%" in monitor.table.value and "–" in monitor.table.value
    monitor.over()
    monitor.reset(20)
    assert monitor.button.layout.display == ""
    assert len(monitor.value["looks"]) == 0 and monitor.value["steps"] == 20


# ---- the face browser


def by_brute_force(embeddings, threshold):
    """All pairs on the wrong side of a threshold, from the products of all vectors."""
    vectors = embeddings.vectors.astype(np.float64)
    a, b = np.triu_indices(len(vectors), 1)
    score = (vectors[a] * vectors[b]).sum(axis=1).astype(np.float32)
    table = embeddings.table
    subject = table["subject"].to_numpy()
    group = (table["phenotype"].astype(str) + "/" + table["gender"].astype(str)).to_numpy()
    found = pd.DataFrame({"a": a, "b": b, "score": score, "mated": subject[a] == subject[b]})
    found["group"] = np.where(group[a] == group[b], group[a], "across groups")
    return found[(found["score"] >= threshold) != found["mated"]]


def test_the_browser_shows_the_worst_pairs_of_all(embeddings, audit):
    dial = widgets.face_browser(audit, faces_of(embeddings), embeddings, per_group=6)
    errors = by_brute_force(embeddings, audit.threshold)
    for kind, mated in (("false match", False), ("false non-match", True)):
        dial.kind.value = kind
        for group in dial.group.options:
            dial.group.value = group
            rows = errors[errors["mated"] == mated]
            if group != "all":
                rows = rows[rows["group"] == group]
            expected = rows.sort_values("score", ascending=mated).head(6)
            seen = dial.value["pairs"]
            assert seen["score"].tolist() == expected["score"].tolist()
            pairs = {frozenset(pair) for pair in zip(seen["row_a"], seen["row_b"], strict=True)}
            assert pairs == {frozenset(p) for p in zip(expected["a"], expected["b"], strict=True)}
            for side in ("a", "b"):
                table = embeddings.table.iloc[seen[f"row_{side}"]]
                assert seen[f"subject_{side}"].tolist() == table["subject"].tolist()
                assert seen[f"image_{side}"].tolist() == table["image"].tolist()
    assert (errors["mated"].sum() > 6) and (~errors["mated"]).sum() > 6


def pictures_in(text):
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]


def test_real_faces_are_grey_and_nameless_until_asked_for(embeddings, audit):
    real = faces_of(embeddings, synthetic=False)
    dial = widgets.face_browser(audit, real, embeddings)
    assert dial.value["hidden"]
    shown = pictures_in(dial.figure.value)
    assert len(shown) == 16 and len(np.unique(np.concatenate(shown))) == 1
    state = str(dial.view.get_state()) + str(dial.figure.get_state()) + str(dial.table.get_state())
    page = dial._repr_mimebundle_()["text/html"]
    assert "p0-" not in state + dial.status.value + page
    assert "show_real_faces=True" in page

    asked = widgets.face_browser(audit, real, embeddings, show_real_faces=True)
    first = asked.value["pairs"].iloc[0]
    np.testing.assert_array_equal(pictures_in(asked.figure.value)[0], real.crops[first["face_a"]])
    assert first["subject_a"] in asked.table.value and not asked.value["hidden"]


def test_the_browser_finds_faces_in_any_order_and_refuses_what_does_not_belong(embeddings, audit):
    faces = faces_of(embeddings)
    turned = faces[np.arange(len(faces))[::-1]]
    straight, other = (
        widgets.face_browser(audit, one, embeddings).figure.value for one in (faces, turned)
    )
    assert straight == other
    with pytest.raises(fl.BadInput, match="other embeddings"):
        widgets.face_browser(audit, faces, embedded(seed=5))
    with pytest.raises(fl.BadInput, match="is not among the faces"):
        widgets.face_browser(audit, faces[:10], embeddings)


# ---- the population studio


@pytest.mark.parametrize(
    ("knob", "level"),
    [("melanin", 0.9), ("age", 70.0), ("exposure", -2.0), ("glasses", "sun"), ("gender", "male")],
)
def test_the_studio_shows_the_bytes_of_synthesize_twins(knob, level):
    dial = widgets.population_studio("asian/female", seed=4, size=48)
    dial.knobs[knob].value = level
    value = dial.value
    assert value["changes"] == {knob: pytest.approx(level)}
    twins = fl.synthesize_twins(
        value["changes"], 1, 1, 4, 48, jobs=1, population={"shares": {"asian/female": 1}}
    )
    np.testing.assert_array_equal(value["photo"], twins.crops[0])
    np.testing.assert_array_equal(value["twin"], twins.crops[1])
    np.testing.assert_array_equal(pictures_in(dial.figure.value)[1], twins.crops[1])


def test_the_studio_goes_from_person_to_person_and_starts_each_as_drawn():
    people = fl.synthesize(4, 1, 4, 48, shares={"caucasian/male": 1}, jobs=1)
    dial = widgets.population_studio("caucasian/male", seed=4, size=48)
    for number in (3, 1):
        dial.knobs["yaw"].value = 40
        dial.knobs["glasses"].value = "sun"
        assert set(dial.value["changes"]) == {"yaw", "glasses"}
        dial.subject.value = number
        assert dial.value["changes"] == {} and dial.knobs["glasses"].label == "as drawn"
        np.testing.assert_array_equal(dial.value["photo"], people.crops[number])
        np.testing.assert_array_equal(dial.value["twin"], people.crops[number])
    with pytest.raises(fl.BadInput, match="no group 'martian/male'"):
        widgets.population_studio("martian/male")
    with pytest.raises(fl.BadInput, match="'mood' cannot be changed alone"):
        widgets.population_studio(knobs=("mood",))


# ---- all of them


def test_a_page_without_a_kernel_has_a_figure_and_a_table(every_dial):
    for dial in every_dial:
        bundle = dial._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in bundle
        page = bundle["text/html"]
        if not isinstance(dial, widgets.monitor.TrainingMonitor):  # nothing was trained yet
            assert "<table" in page and "<img" in page
        for picture in pictures_in(page):
            assert picture.shape[1] > 400 and picture.std() > 5
        assert type(dial).__name__ in bundle["text/plain"]


def test_a_page_of_a_training_shows_its_curves():
    monitor = widgets.training_monitor(12)
    held_out = patterns(prefix="h", seed=1)
    monitor.done(fl.train(patterns(), WATCHED, held_out=held_out, device="cpu", **monitor.hooks))
    page = monitor._repr_mimebundle_()["text/html"]
    assert len(pictures_in(page)) == 1 and "Step 12 of 12, done" in page


def inside(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from inside(child)


def test_every_control_is_labelled_and_every_picture_described(every_dial):
    for dial in every_dial:
        for one in inside(dial.view):
            if isinstance(one, ipw.widgets.widget_description.DescriptionWidget):
                assert one.description or isinstance(one, ipw.HTML)
        text = dial.figure.value + dial.table.value + dial._repr_mimebundle_()["text/html"]
        for tag in re.findall(r"<(?:img|svg)[^>]*>", text):
            assert re.search(r'(alt|aria-label)="[^"]{5,}"', tag), tag[:200]
        for tag in re.findall(r"<table.*?</table>", text, flags=re.DOTALL):
            assert "<caption" in tag and 'scope="col"' in tag and 'scope="row"' in tag


def test_a_dial_says_in_words_what_it_holds(every_dial):
    for dial in every_dial:
        for name, value in dial.value.items():
            assert isinstance(
                value, str | int | float | dict | list | tuple | pd.DataFrame | np.ndarray | None
            ), name
            assert f"{name}=" in repr(dial)


def test_labels_are_shown_as_text_and_nothing_else():
    embeddings = embedded(label=SPOILT)
    audit = fl.audit(embeddings, BY, fmr=1e-2, replicates=20, jobs=1)
    faces = faces_of(embeddings)
    dials = [
        widgets.threshold_explorer(audit),
        widgets.face_browser(audit, faces, embeddings),
        widgets.audit_comparer({SPOILT: audit, "b": audit}, replicates=20),
        widgets.mix_composer(faces, "phenotype", subjects=6, images_per_subject=2),
    ]
    for dial in dials:
        text = dial.figure.value + dial.table.value + dial._repr_mimebundle_()["text/html"]
        assert "&lt;img src=x onerror" in text
        assert "<img src=x" not in text and 'onerror=alert(1)>"' not in text
