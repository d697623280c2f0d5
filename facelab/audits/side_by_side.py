"""The same people through two embedders: whose errors differ, such as between float and int8.

In: two embedders by name and faces. Out: paired differences of every rate and index, by group.
"""

from collections.abc import Mapping
from typing import Any

from facelab.arguments import as_annotated
from facelab.audits.by_group import audit
from facelab.audits.differences import AuditDifferences, compare_audits
from facelab.embedders.kinds import called, check_faces
from facelab.errors import BadInput, first_of
from facelab.faces.faceset import FaceSet


@as_annotated
def compare_embedders(
    embedders: Mapping[str, Any],
    faces: FaceSet,
    by: str | list[str],
    fmr: float = 1e-3,
    *,
    calibration: FaceSet | None = None,
    flip: bool = True,
    jobs: int | None = None,
    replicates: int = 2000,
    seed: int = 0,
) -> AuditDifferences:
    """Error rates by group of two embedders on the same faces, with paired differences.

    Such as of a network and of what was made of it for use: rounding to 8 bits (`to_onnx(path,
    int8=faces)`) may cost some groups more than others, which an equal mean cosine does not show.

    Parameters
    ----------
    embedders
        Two, by name, the one that is compared with first: ``{"float": one, "int8": other}``.
    faces
        The test: none of the faces that either was trained or calibrated on.
    by
        A group column, or several for their intersection.
    fmr
        Target FMR; each embedder has its own threshold for it.
    calibration
        Other subjects to set the thresholds on; without, they are set on the test itself.
    flip, jobs
        As the embedders' `embed` takes them.
    replicates, seed
        Simulated tests behind the intervals of indices; of the simulation.

    Returns
    -------
    AuditDifferences
        `fl.readable_changes(found.table, found.arms)` reads well. That training has noise, which
        its sentences say, does not matter where one network was made of the other.

    Raises
    ------
    BadInput
        Not two embedders, no faces, or what `fl.audit` and `fl.compare_audits` refuse.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(12, 4, size=32)
    >>> def pixels(crops):
    ...     return crops.reshape(len(crops), -1) - 127.5
    >>> fine = fl.embedder_of(pixels, "fine", size=32)
    >>> rough = fl.embedder_of(lambda crops: pixels(crops // 64 * 64), "rough", size=32)
    >>> found = fl.compare_embedders({"fine": fine, "rough": rough}, faces, "gender", fmr=0.1)
    >>> found.arms, found.table["quantity"].head(3).tolist()
    (('fine', 'rough'), ['fmr:all', 'fmr:female', 'fmr:male'])
    """
    check_faces(faces, "fl.compare_embedders")
    if len(embedders) != 2:
        named = f" ({first_of(embedders)})" if embedders else ""
        raise BadInput(f"two embedders can be compared, not {len(embedders)}{named}")
    for name, embedder in embedders.items():
        if not hasattr(embedder, "embed"):
            raise BadInput(
                f"{name!r} is no embedder but {called(embedder)}: fl.load_embedder(...) opens one"
            )
    audits = {}
    for name, embedder in embedders.items():
        found, others = (
            None if part is None else embedder.embed(part, flip=flip, jobs=jobs)
            for part in (faces, calibration)
        )
        audits[name] = audit(found, by, fmr, others, jobs=jobs, replicates=replicates, seed=seed)
    return compare_audits(audits, replicates, seed)
