"""A list of pairs, compared: the scores of the faces that somebody chose.

In: embeddings and a table of pairs. Out: Comparisons.
"""

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.comparisons.counted import Comparisons
from facelab.comparisons.given import check_embeddings, people_of
from facelab.comparisons.pairs import check_truth, pair_rows, pair_scores, truth_of
from facelab.comparisons.scores import ScoreList
from facelab.embedders.embeddings import Embeddings
from facelab.errors import how_many


@as_annotated
def compare_pairs(
    embeddings: Embeddings, pairs: pd.DataFrame, by: str | list[str] | None = None
) -> Comparisons:
    """Compare the listed pairs of faces.

    Parameters
    ----------
    embeddings
        Unit rows and their table.
    pairs
        One row a comparison: `row_a`, `row_b` (positions), or `image_a`, `image_b`. With a column
        `mated`, it must agree with the subjects.
    by
        Group column, or several for their intersection.

    Raises
    ------
    BadInput
        The columns are missing, an image is not among the embeddings, a face meets itself, `mated`
        contradicts the subjects.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> people, _ = fl.crowd(100, images=2, dim=64)
    >>> pairs = pd.DataFrame({"row_a": range(0, 198), "row_b": range(1, 199)})
    >>> comparisons = fl.compare_pairs(people, pairs)
    >>> comparisons.error_rates(0.5)[["mated", "non_mated", "false_matches"]].values.tolist()
    [[99, 99, 1]]
    """
    check_embeddings(embeddings, "compare_pairs")
    a, b = pair_rows(embeddings.table, pairs)
    subject, labels, cautions = people_of(embeddings.table, by)
    names = np.asarray(labels.cat.categories, dtype=object)
    group = np.append(names, None)[labels.cat.codes]
    frame = pd.DataFrame({"score": pair_scores(embeddings.vectors, a, b)})
    for side, rows in (("a", a), ("b", b)):
        frame[f"subject_{side}"] = subject[rows]
        frame[f"image_{side}"] = rows
        frame[f"group_{side}"] = group[rows]
    frame["mated"] = truth = subject[a] == subject[b]
    if "mated" in pairs.columns:
        check_truth(truth_of(pairs["mated"]), truth, frame[["subject_a", "subject_b"]], "pair")
    twice = pd.DataFrame({"a": np.minimum(a, b), "b": np.maximum(a, b)}).duplicated().sum()
    if twice:
        pairs_are = how_many(
            twice,
            "pair is listed more than once and counts",
            "pairs are listed more than once and count",
        )
        cautions.append(f"{pairs_are} each time")
    return Comparisons(ScoreList(frame, tuple(names)), cautions)
