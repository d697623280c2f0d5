"""Held-out subjects, watched while training goes on."""

import dataclasses

import numpy as np
import pytest
import torch
from training_sets import TINY, patterns

import facelab as fl
from facelab.embedders.trained import TrainedEmbedder
from facelab.errors import BadInput
from facelab.training.recipe import Recipe, Validation
from facelab.training.validation import Watch, figure_of

HELD_OUT = patterns(seed=1, prefix="h")
RECIPE = dataclasses.replace(
    TINY, steps=9, validate=Validation(every=3, by=["gender"], fmr=0.05), margin_warm_up=0.0
)


def with_validate(**changes) -> Recipe:
    return dataclasses.replace(RECIPE, validate=dataclasses.replace(RECIPE.validate, **changes))


@pytest.fixture(scope="module")
def watched() -> TrainedEmbedder:
    return fl.train(patterns(), RECIPE, held_out=HELD_OUT, progress=False)


def test_the_last_looks_rates_are_those_of_an_audit_of_the_finished_embedder(watched):
    looks = watched.validation
    assert looks["step"].unique().tolist() == [3, 6, 9]
    embeddings = watched.embed(HELD_OUT, progress=False)
    comparisons = fl.compare_all(embeddings, by=["gender"])
    threshold = comparisons.threshold(fmr=0.05)
    last = looks[looks["step"] == 9].reset_index(drop=True)
    assert (last["threshold"] == threshold).all()
    rates = comparisons.error_rates(threshold)
    for found in (rates, fl.audit(embeddings, by=["gender"], fmr=0.05).rates):
        for column in ("group", "mated", "non_mated", "fmr", "fnmr"):
            assert last[column].tolist() == found[column].tolist(), column
    assert set(last["group"]) == {"female", "male", "all"}


def test_watching_does_not_change_what_is_learnt(watched):
    alone = fl.train(patterns(), RECIPE, progress=False)
    state = alone.network.state_dict()
    assert all(torch.equal(value, state[n]) for n, value in watched.network.state_dict().items())
    assert alone.validation is None


def test_what_the_held_out_set_cannot_tell_is_said_once_and_not_at_every_look():
    with pytest.warns(UserWarning) as told:
        fl.train(patterns(), with_validate(fmr=0.01), held_out=HELD_OUT, progress=False)
    said = [str(one.message) for one in told if "so the threshold is uncertain" in str(one.message)]
    assert len(said) == 1 and "false matches" in said[0]


def test_without_a_number_looks_come_every_tenth_of_the_steps():
    looks = []
    recipe = dataclasses.replace(with_validate(every=0, by=[]), steps=23)
    embedder = fl.train(patterns(), recipe, held_out=HELD_OUT, progress=False, on_look=looks.append)
    assert embedder.validation["step"].tolist() == [*range(2, 23, 2), 23]
    assert [look["step"].iloc[0] for look in looks] == [*range(2, 23, 2), 23]
    assert set(embedder.validation["group"]) == {"all"}


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_the_look_with_the_lowest_figure_is_kept_and_its_weights_are_given(monkeypatch, ema):
    """The figures are set here: the second of three looks is the best."""
    figures, states = iter([0.5, 0.2, 0.3]), []
    monkeypatch.setattr("facelab.training.validation.figure_of", lambda *_: next(figures))
    real = Watch.look

    def look(self, network, step, jobs):
        states.append({name: value.clone() for name, value in network.state_dict().items()})
        return real(self, network, step, jobs)

    monkeypatch.setattr(Watch, "look", look)
    recipe = dataclasses.replace(with_validate(keep="fnmr"), ema=ema)
    embedder = fl.train(patterns(), recipe, held_out=HELD_OUT, progress=False)
    assert embedder.card["kept"] == {"step": 6, "figure": 0.2}
    state = embedder.network.state_dict()
    assert all(torch.equal(state[name], value) for name, value in states[1].items())
    assert not all(torch.equal(state[name], value) for name, value in states[2].items())


def test_figures_are_those_that_the_names_say(watched):
    look = watched.validation[watched.validation["step"] == 3].copy()
    look["fmr"] = look["group"].map({"female": 0.08, "male": 0.02, "all": 0.05})
    look["fnmr"] = look["group"].map({"female": 0.1, "male": 0.3, "all": 0.2})
    look = look.drop(columns=["step", "threshold"])

    assert np.isnan(figure_of(look, "last"))
    assert figure_of(look, "fnmr") == 0.2
    assert figure_of(look, "worst_fnmr") == 0.3
    assert figure_of(look, "fmr_ratio") == pytest.approx(4)
    # GARBE: the mean of the Gini coefficients n / (n - 1) * sum |a - b| / (2 n^2 mean), which for
    # two groups are |a - b| / (a + b).
    assert figure_of(look, "garbe") == pytest.approx(0.5 * (0.06 / 0.1) + 0.5 * (0.2 / 0.4))


def test_patience_stops_training_when_looks_get_no_better(monkeypatch):
    figures = iter([0.5, 0.4, 0.4, 0.6, 0.1])
    monkeypatch.setattr("facelab.training.validation.figure_of", lambda *_: next(figures))
    recipe = dataclasses.replace(with_validate(every=1, keep="fnmr", patience=2), steps=30)
    embedder = fl.train(patterns(), recipe, held_out=HELD_OUT, progress=False)
    assert embedder.validation["step"].unique().tolist() == [1, 2, 3, 4]
    assert embedder.card["steps"] == 4
    assert embedder.card["kept"] == {"step": 2, "figure": 0.4}


def test_larger_held_out_crops_are_shrunk_as_the_embedder_shrinks_them():
    large = patterns(size=64, seed=1, prefix="h")
    embedder = fl.train(patterns(), RECIPE, held_out=large, progress=False)
    embeddings = embedder.embed(large, progress=False)
    comparisons = fl.compare_all(embeddings, by=["gender"])
    last = embedder.validation.iloc[-1]
    assert last["threshold"] == comparisons.threshold(fmr=0.05)


def test_a_subject_both_trained_on_and_held_out_is_refused():
    with pytest.raises(BadInput, match=r"2 subjects are both .* \(first: 's000'\): split"):
        fl.train(patterns(), RECIPE, held_out=patterns()[:12], progress=False)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"keep": "fmr_ratio"}, "validate.by must be the groups that fmr_ratio compares"),
        ({"keep": "garbe"}, "validate.by must be the groups that garbe compares"),
        ({"keep": "worst_fnmr"}, "validate.by must be the groups that worst_fnmr compares"),
        ({"keep": "best"}, "validate.keep must be one of last, fnmr"),
        ({"patience": 3}, "validate.keep must be a figure to be patient about"),
        ({"patience": -1, "keep": "fnmr"}, "validate.patience must be 0 or more"),
        ({"every": -1}, "validate.every must be 0 or more"),
        ({"fmr": 0.0}, "validate.fmr must be between 0 and 1"),
    ],
)
def test_a_validation_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(BadInput) as error:
        Validation(**wrong)
    assert message in str(error.value)


def test_groups_keep_their_names_when_the_table_is_stored(watched, tmp_path):
    names = {"female": "NA", "male": "007", "all": "all"}
    looks = watched.validation.assign(group=watched.validation["group"].map(names))
    named = TrainedEmbedder(
        watched.network, watched.recipe, watched.card, watched.history, "named", looks
    )
    stored = fl.load_embedder(named.save(tmp_path / "named")).validation
    assert stored["group"].tolist() == looks["group"].tolist()
    assert stored["fnmr"].tolist() == pytest.approx(looks["fnmr"].tolist())
