"""One person, one name: the same people under any mixture of types and spellings give the same
audit, split, gallery and comparison, to the last count."""

import unicodedata

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import facelab as fl

# Eight people, two groups; ids that are numbers, and names that Unicode can spell twice.
PEOPLE = ["1", "2", "30", "José", "Zoë", "6", "Åsa", "8"]
REGIONS = ["Côte", "Côte", "7", "7", "Côte", "7", "7", "Côte"]
EACH = 3

text = st.sampled_from(["as it is", "NFC", "NFD", "padded", "bytes"])
number = st.sampled_from(["as it is", "int", "float", "numpy", "float's text", "padded", "bytes"])


def spelt(name, how):
    """The same name as another file or type has it."""
    if how in ("NFC", "NFD"):
        return unicodedata.normalize(how, name)
    if how == "padded":
        return f"  {name}\t"
    if how == "bytes":
        return name.encode()
    kinds = {"int": int, "float": float, "numpy": np.int32, "float's text": lambda n: f"{n}.0"}
    return kinds[how](name) if how in kinds else name


@st.composite
def spellings(draw, names, categorical=True):
    """A column of these names in a drawn mixture of types, plain or categorical."""
    values = [spelt(name, draw(number if name.isdigit() else text)) for name in names]
    column = pd.Series(values, dtype=object)
    if categorical and draw(st.booleans()):
        codes, distinct = pd.factorize(column)
        column = pd.Series(pd.Categorical.from_codes(codes, pd.Index(distinct, dtype=object)))
    return column


def rows(names):
    return [name for name in names for _ in range(EACH)]


IMAGES = [f"{name}/{n}" for name in PEOPLE for n in range(EACH)]
VECTORS = np.random.default_rng(3).normal(size=(len(IMAGES), 6)) + np.repeat(
    np.random.default_rng(4).normal(size=(len(PEOPLE), 6)), EACH, axis=0
)


def plain():
    return pd.DataFrame({"subject": rows(PEOPLE), "image": IMAGES, "region": rows(REGIONS)})


@st.composite
def tables(draw):
    columns = {"subject": rows(PEOPLE), "image": IMAGES, "region": rows(REGIONS)}
    return pd.DataFrame({name: draw(spellings(values)) for name, values in columns.items()})


def any_spelling(test):
    relaxed = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    limits = settings(max_examples=12, deadline=None, suppress_health_check=relaxed)
    return limits(given(tables(), tables())(test))


@any_spelling
def test_the_same_audit(first, second):
    expected = fl.Embeddings.from_arrays(VECTORS, plain())
    given_, calibration = (fl.Embeddings.from_arrays(VECTORS, table) for table in (first, second))
    pd.testing.assert_frame_equal(given_.table, expected.table)
    counted, reference = (fl.compare_all(one, "region") for one in (given_, expected))
    pd.testing.assert_frame_equal(counted.error_rates(0.5), reference.error_rates(0.5))
    pd.testing.assert_frame_equal(counted.cross_group(0.5), reference.cross_group(0.5))
    audit = fl.audit(given_, "region", fmr=0.05, calibration=calibration, replicates=10)
    assert any("8 of 8 calibration subjects" in warning for warning in audit.warnings)


@any_spelling
def test_the_same_split_and_composition(first, second):
    crops = np.zeros((len(IMAGES), 4, 4, 3), np.uint8)
    one, other = (fl.FaceSet.from_arrays(table, crops) for table in (first, second))
    for seed in (0, 1):
        parts, again = (
            faces.split({"a": 0.5, "b": 0.5}, seed, by="region") for faces in (one, other)
        )
        for name in parts:
            pd.testing.assert_frame_equal(parts[name].table, again[name].table)
    chosen = [
        fl.compose(faces, "region", {share: 0.5}, subjects=4, images_per_subject=2)
        for faces, share in ((one, 7), (other, "7.0"))
    ]
    pd.testing.assert_frame_equal(chosen[0].table, chosen[1].table)
    pd.testing.assert_frame_equal(one.composition("region"), other.composition("region"))


@any_spelling
def test_the_same_gallery_and_searches(first, second):
    enrolled = fl.Embeddings.from_arrays(VECTORS, first)[::EACH]
    probes = fl.Embeddings.from_arrays(VECTORS, second)[1::EACH]
    found = fl.identify(fl.Gallery().enrol(enrolled), probes, by="region", threshold=0.5)
    everybody = fl.Embeddings.from_arrays(VECTORS, plain())
    expected = fl.identify(
        fl.Gallery().enrol(everybody[::EACH]), everybody[1::EACH], by="region", threshold=0.5
    )
    assert found.card["searches_mated"] == len(PEOPLE)
    pd.testing.assert_frame_equal(found.rates, expected.rates)


@any_spelling
def test_the_same_comparison_of_listed_pairs(first, second):
    pairs = pd.DataFrame({"a": range(0, 24, 2), "b": [(k * 5 + 1) % 24 for k in range(12)]})
    embeddings = fl.Embeddings.from_arrays(VECTORS, first)
    listed = pd.DataFrame(
        {"image_a": second["image"].iloc[pairs["a"]].tolist(),
         "image_b": second["image"].iloc[pairs["b"]].tolist()}
    )  # fmt: skip
    expected = pd.DataFrame(
        {"image_a": [IMAGES[k] for k in pairs["a"]], "image_b": [IMAGES[k] for k in pairs["b"]]}
    )
    found = fl.compare_pairs(embeddings, listed, by="region")
    reference = fl.compare_pairs(fl.Embeddings.from_arrays(VECTORS, plain()), expected, by="region")
    pd.testing.assert_frame_equal(found.error_rates(0.5), reference.error_rates(0.5))


@any_spelling
def test_the_same_score_file(first, second):
    a, b = np.triu_indices(len(IMAGES), 1)
    scores = (VECTORS @ VECTORS.T)[a, b]

    def file(left, right):
        columns = {
            "score": scores,
            "mated": np.repeat(PEOPLE, EACH)[a] == np.repeat(PEOPLE, EACH)[b],
        }
        for side, table, rows in (("a", left, a), ("b", right, b)):
            for name, column in (("subject", "subject"), ("image", "image"), ("group", "region")):
                columns[f"{name}_{side}"] = table[column].iloc[rows].tolist()
        return pd.DataFrame(columns)

    found = fl.Comparisons.from_scores(file(first, second))
    expected = fl.Comparisons.from_scores(file(plain(), plain()))
    pd.testing.assert_frame_equal(found.error_rates(1.0), expected.error_rates(1.0))
    assert found.error_rates(1.0).loc[0, "subjects"] == len(PEOPLE)
