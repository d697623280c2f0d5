"""From words of the command line to values.

In: arguments as they were typed. Out: what the functions take; what cannot be read is wrong usage.
"""

import os
from typing import Any

import typer

from facelab.words import Typed, Word, advice, number


def arguments(typed: list[str]) -> list[str]:
    """A command line for typer: `-p NAME VALUE` in one word, `~` for the home folder.

    Raises
    ------
    typer.BadParameter
        A word that is no parameter holds a line break, which no path or label of ours may.
    """
    words, rest = [], iter(typed)
    for word in rest:
        if word in ("-p", "--parameter"):
            name = next(rest, "")
            value = None if "=" in name else next(rest, None)
            words += [word, name if value is None else f"{name}={value}"]
            continue
        if any(letter in word for letter in "\n\r\0"):
            raise typer.BadParameter(f"{word!r} holds a line break: rename it")
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        at_home = value == "~" or value.startswith("~/")
        words.append(option + equals + (os.path.expanduser(value) if at_home else value))
        if word == "--":
            return [*words, *rest]
    return words


def names(words: list[str]) -> list[str]:
    """Names that were given one by one, or several in a word, parted by commas."""
    from facelab.faces.names import as_name

    found = []
    for word in words:
        if ";" in word:
            raise typer.BadParameter(f"{word!r}: part names by commas, not by semicolons")
        parts = [as_name(part) for part in Word(word).parts]
        if not parts or None in parts:
            raise typer.BadParameter(f"{word!r} holds an empty name: part names by single commas")
        found += parts
    return found


def keys(words: list[str]) -> list[list[str]]:
    """The columns of each audit that `--by` asks for."""
    found = [tuple(names([word])) for word in words]
    return [list(key) for key in dict.fromkeys(found)]


def shares(words: list[str] | None) -> dict[str, float] | None:
    shares: dict[str, float] = {}
    for word in words or []:
        several = word.split(",")
        for pair in several if all("=" in one for one in several) else [word]:
            group, equals, written = (part.strip() for part in pair.rpartition("="))
            share = number(written)
            if not equals or not group or share is None:
                wrong = f"--shares {pair!r} must be GROUP=SHARE: caucasian/male=.8"
                raise typer.BadParameter(wrong + advice(written))
            if group in shares:
                raise typer.BadParameter(f"--shares gives {group} twice: give it once")
            shares[group] = share
    return shares or None


def changes(words: list[str]) -> dict[str, list[Any]]:
    changes: dict[str, list[Any]] = {}
    for word in words:
        factor, equals, levels = (part.strip() for part in word.partition("="))
        found = [_level(factor, level) for level in Word(levels).parts]
        if not equals or not factor or not found:
            raise typer.BadParameter(f"--change {word!r} must be FACTOR=LEVELS: melanin=0.1,0.8")
        changes.setdefault(factor, []).extend(found)
    return changes


def _level(factor: str, level: Word) -> Any:
    """A level as its factor's kind of value; one that does not fit is left to be refused."""
    from facelab.synthetic.twins import FACTORS

    wanted = FACTORS.get(factor)
    if wanted is None or wanted.labels:
        return str(level)
    if wanted.chance:
        return {"yes": True, "no": False}.get(level.lower(), level.value)
    found = number(level)
    return str(level) if found is None else found


def parameters(words: list[str]) -> dict[str, Any]:
    """Parameters by name, as they were typed; of one that is given several times all that is."""
    found: dict[str, list[Typed]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise typer.BadParameter(f"-p {word} needs a value: -p {word} VALUE")
        found.setdefault(name.strip(), []).append(Typed(value))
    return {name: given[0] if len(given) == 1 else given for name, given in found.items()}


def preprocessing(
    channels: str | None, mean: str | None, std: str | None, preset: str | None
) -> dict[str, Any]:
    """The options for ONNX embedders that were given."""
    words = {"channels": channels, "preset": preset}
    given: dict[str, Any] = {name: word for name, word in words.items() if word}
    for name, words in (("mean", mean), ("std", std)):
        if words is None:
            continue
        numbers = [number(word) for word in words.strip("[]() ").split(",")]
        if len(numbers) not in (1, 3) or None in numbers:
            wrong = f"--{name} {words!r} must be one number or three"
            raise typer.BadParameter(wrong + advice(words))
        given[name] = numbers[0] if len(numbers) == 1 else numbers
    return given
