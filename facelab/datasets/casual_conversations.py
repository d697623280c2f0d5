"""Casual Conversations (Hazirbas et al. 2021): paid people who stated their own age and gender.

In: `CasualConversations.json` (subject: `label` with age, gender, skin-type; `files`;
`dark_files`) and frames taken from the videos. Out: a `Reader`.
"""

import os
from pathlib import Path

import pandas as pd

from facelab import words
from facelab.arguments import as_annotated
from facelab.datasets import reader
from facelab.datasets.label_files import label_file, read_text, stem_key
from facelab.datasets.walking import unread, walk
from facelab.errors import BadInput, how_many
from facelab.faces.names import as_name

GENDERS = {"male": "male", "female": "female", "other": "other", "n/a": ""}
SKIN_TYPES = dict(zip("123456", ("I", "II", "III", "IV", "V", "VI"), strict=True))


@as_annotated
def casual_conversations(
    root: str | os.PathLike, labels: str | os.PathLike | None = None
) -> reader.Reader:
    """Read frames of Casual Conversations.

    Parameters
    ----------
    root
        Folder of the frames: an image lies in a folder named after its video (`1140_00`), or its
        name starts with the video's and an underscore (`1140_00_0012.jpg`).
    labels
        The json file; by default `CasualConversations.json` in `root` or the folder above.

    Returns
    -------
    Reader
        `age`, `age_group`, `gender` (stated by the subjects: male, female, other), `skin_type`
        (Fitzpatrick I to VI, judged by trained annotators) and `lighting` (bright, dark); `image`
        is the path below `root`.

    Raises
    ------
    BadInput
        The json is not of that kind, a label is unknown (the sentence names the subject), a video
        is listed for two subjects, or a frame belongs to no listed video.

    Notes
    -----
    An age or gender that a subject did not state ("N/A") stays missing. The agreement allows use
    to evaluate, not to train on age, gender or skin type: read it before you go on.

    Examples
    --------
    >>> import facelab as fl
    >>> import json
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp())
    >>> (root / "1140_00_0012.jpg").touch()
    >>> label = {"age": "25", "gender": "Female", "skin-type": "3"}
    >>> subjects = {"1140": {"label": label, "files": ["1140/1140_00.MP4"], "dark_files": []}}
    >>> _ = (root / "CasualConversations.json").write_text(json.dumps(subjects))
    >>> read = fl.datasets.casual_conversations(root)
    >>> read.table[["age", "gender", "skin_type", "lighting"]].values.tolist()
    [['25', 'female', 'III', 'bright']]
    """
    root = reader.existing_folder(root)
    source = label_file(labels, ["CasualConversations.json"], root, root.parent)
    if source is None:
        raise BadInput(f"{root} holds no CasualConversations.json: name it with labels=")
    people, videos = _read(source)
    rows, facts = [], []
    for path, name in walk(root).photos:
        if unread(name):
            continue  # a video, of which frames were taken
        names = (as_name(path.parent.name), stem_key(path.parent.name), *_starts(stem_key(name)))
        video = next((one for one in names if one in videos), None)
        if video is None:
            raise BadInput(
                f"{as_name(name)!r} belongs to no video of {source.name}: put each frame "
                "in a folder named after its video, or let its name start with the video's"
            )
        who, lighting = videos[video]
        rows.append((path, who, name))
        facts.append((*people[who], lighting))
    if not rows:
        raise BadInput(f"{root} holds no frames: take images from the videos first")
    table = reader.image_table(rows)
    facts = pd.DataFrame(facts, columns=["age", "gender", "skin_type", "lighting"])
    ages = pd.to_numeric(facts["age"])
    known = [str(age) for age in sorted(ages.dropna().astype(int).unique())]
    table["age"] = pd.Categorical(facts["age"].replace("", None), known)
    table["age_group"] = reader.age_groups(ages)
    for column in ("gender", "skin_type", "lighting"):
        table[column] = reader.as_categorical(facts[column])
    notes = []
    for column in ("age", "gender", "skin_type"):
        absent = table["subject"][table[column].isna()].nunique()
        if absent:
            have = how_many(absent, "subject has", "subjects have")
            notes.append(f"{have} no {column}: it stays missing.")
    card = reader.card(
        "Casual Conversations (Hazirbas et al. 2021)",
        "Casual Conversations data licence: evaluation under agreement",
        "paid participants who agreed to the use; age and gender in their own words",
    )
    by = ("age_group", "gender", "skin_type", "lighting")
    return reader.Reader("casual_conversations", root, table, card, tuple(notes), by=by)


def _starts(stem: str) -> list[str]:
    """What of a frame's name can be the video's, the longest first."""
    parts = stem.split("_")
    return ["_".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _read(source: Path) -> tuple[dict[str, tuple[str, str, str]], dict[str, tuple[str, str]]]:
    """(age, gender, skin type) of each subject, and (subject, lighting) of each video."""
    content = words.read(read_text(source).encode(), source, "json")
    try:
        people, videos = {}, {}
        for key, entry in content.items():
            who = as_name(key)
            label, dark = entry["label"], set(entry.get("dark_files", []))
            people[who] = _labels(label, f"{source} subject {who}")
            for file in entry["files"]:
                video = stem_key(file)
                if videos.get(video, (who,))[0] != who:
                    raise BadInput(f"{source} lists the video {video} for two subjects: {who} too")
                videos[video] = (who, "dark" if file in dark else "bright")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(
            f"{source} is not a json of subjects with `label` and `files` ({error!r})"
        ) from error
    return people, videos


def _labels(label: dict, where: str) -> tuple[str, str, str]:
    age, gender, skin = (str(label.get(key, "")).strip() for key in ("age", "gender", "skin-type"))
    age = "" if age.lower() == "n/a" else age
    skin = "" if skin.lower() == "n/a" else skin
    if age and not (age.isdecimal() and len(age) < 9 and int(age) <= 120):
        raise BadInput(f"{where} has age {age!r}: expected whole years or N/A")
    if gender and gender.lower() not in GENDERS:
        raise BadInput(f"{where} has gender {gender!r}: use Male, Female, Other or N/A")
    if skin and skin not in SKIN_TYPES:
        raise BadInput(f"{where} has skin-type {skin!r}: use 1 to 6")
    return age and str(int(age)), GENDERS.get(gender.lower(), ""), SKIN_TYPES.get(skin, "")
