"""Tables of the same photos, one beside the other: labels and answers, faces and their quality.

In: two tables that name images, perhaps from other folders. Out: one, in the order of the first.
"""

import pandas as pd

from facelab.arguments import as_annotated
from facelab.datasets.label_files import path_key
from facelab.errors import BadInput, a_kind, how_many, warn
from facelab.faces.faceset import FaceSet
from facelab.faces.names import as_names

NO_ANSWER = "no answer"


@as_annotated
def match_images(table: pd.DataFrame | FaceSet, told: pd.DataFrame) -> pd.DataFrame:
    """Put what was told of photos beside the table that lists them.

    Parameters
    ----------
    table
        Whose rows are wanted: faces with their labels, a FaceSet or a table with `image`.
    told
        What was said of the same photos: predictions, quality. One row an image.

    Returns
    -------
    pandas.DataFrame
        Every row of `table` in its order, with the columns of `told`; missing where nothing was
        told, and `status`, if `told` has one, then says "no answer". Columns of boxes and counts of
        `told` that `table` has too are left out. `attrs["card"]` holds what is known of both.

    Raises
    ------
    BadInput
        A table has no `image`, an image stands in `told` twice, a label column is in both, or no
        image is in both.

    Warns
    -----
    UserWarning
        Rows of `told` are of photos that the table does not list.

    Notes
    -----
    Names are compared part by part from the end, so that `val/1.jpg` and `data/fairface/val/1.jpg`
    are one photo; where that leaves a choice, the whole names must agree.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> faces = pd.DataFrame({"image": ["val/1.jpg", "val/2.jpg"], "gender": ["female", "male"]})
    >>> told = {"image": ["data/val/2.jpg"], "predicted_gender": ["male"], "status": ["ok"]}
    >>> fl.match_images(faces, pd.DataFrame(told))[["image", "status"]].values.tolist()
    [['val/1.jpg', 'no answer'], ['val/2.jpg', 'ok']]
    """
    card = dict(getattr(told, "attrs", {}).get("card", {}))
    if isinstance(table, FaceSet):
        card["faces"] = table.card
        table = table.table
    elif isinstance(table, pd.DataFrame):
        card |= table.attrs.get("card", {})
    for what, one in (("the table", table), ("what was told", told)):
        if not isinstance(one, pd.DataFrame):
            raise BadInput(f"{what} is {a_kind(one)}, where a table of images is meant")
        if "image" not in one:
            raise BadInput(f"{what} has no column 'image' to match by: name one so")
    names, theirs = (
        as_names(one["image"], "image").astype(object).map(path_key, na_action="ignore")
        for one in (table, told)
    )
    twice = theirs.duplicated() & theirs.notna()
    if twice.any():
        raise BadInput(
            f"{theirs[twice].iloc[0]!r} was told of {int((theirs == theirs[twice].iloc[0]).sum())} "
            "times: keep one row an image"
        )
    shared = [name for name in told if name in table and name != "image"]
    kept = [name for name in told if name != "image" and not _is_about_the_photo(name, shared)]
    clash = next((name for name in kept if name in table), None)
    if clash is not None:
        raise BadInput(f"both tables have a column {clash!r}: leave one out, or rename it")
    place = _places(names, theirs)
    if not place.notna().any():
        raise BadInput(
            f"no image is in both: the table has {names.iloc[0]!r}, and told was of "
            f"{theirs.iloc[0]!r}"
        )
    strange = len(told) - place.nunique()
    if strange:
        warn(
            f"{how_many(strange, 'row')} of what was told left out: of photos that are not in the "
            "table"
        )
    beside = told[kept].reset_index(drop=True).reindex(place.fillna(-1).astype(int))
    result = pd.concat([table.reset_index(drop=True), beside.reset_index(drop=True)], axis=1)
    if "status" in kept:
        result["status"] = result["status"].where(place.notna().to_numpy(), NO_ANSWER)
    if card:
        result.attrs["card"] = card
    return result


def _is_about_the_photo(name: str, shared: list[str]) -> bool:
    """Boxes and numbers of faces, which a reader and an answer may both have."""
    return name in shared and (name in ("face", "faces") or name.startswith("box_"))


def _places(names: pd.Series, theirs: pd.Series) -> pd.Series:
    """The row of `theirs` for each name, missing where there is none."""
    whole = pd.Series(range(len(theirs)), index=theirs)
    whole = whole[whole.index.notna()]
    found = names.map(whole.to_dict()).reset_index(drop=True)
    if found.notna().all():
        return found
    # The longest end that one name and one of theirs share, if it is a whole name of either side.
    ends: dict[str, set[int]] = {}
    for row, name in enumerate(theirs):
        if isinstance(name, str):
            for end in _ends(name):
                ends.setdefault(end, set()).add(row)
    by_name = whole.to_dict()
    for row in found.index[found.isna()]:
        name = names.iloc[row]
        if not isinstance(name, str):
            continue
        close = ends.get(name, set())  # theirs is longer
        if not close:  # theirs is shorter
            close = {by_name[end] for end in _ends(name) if end in by_name}
        if len(close) == 1:
            found[row] = next(iter(close))
    return found


def _ends(name: str) -> list[str]:
    """`a/b/c`: a/b/c, b/c, c."""
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]
