"""From words of the command line to values.

In: arguments as they were typed. Out: what the functions take; what cannot be read is wrong usage.
"""

from typing import Any

import typer


def shares(words: list[str] | None) -> dict[str, float] | None:
    shares = {}
    for word in words or []:
        group, equals, share = word.rpartition("=")
        try:
            shares[group] = float(share)
        except ValueError:
            equals = ""
        if not equals:
            raise typer.BadParameter(f"--shares {word!r} must be GROUP=SHARE: caucasian/male=.8")
    return shares or None


def changes(words: list[str]) -> dict[str, list[Any]]:
    import yaml

    changes: dict[str, list[Any]] = {}
    for word in words:
        factor, equals, levels = word.partition("=")
        if not equals or not levels:
            raise typer.BadParameter(f"--change {word!r} must be FACTOR=LEVELS: melanin=0.1,0.8")
        try:
            found = [yaml.safe_load(level) for level in levels.split(",")]
        except yaml.YAMLError as error:
            raise typer.BadParameter(f"--change {word!r} is not valid yaml") from error
        changes.setdefault(factor.strip(), []).extend(found)
    return changes


def parameters(words: list[str]) -> dict[str, Any]:
    import yaml

    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise typer.BadParameter(f"-p {word} needs a value: -p {word} VALUE")
        try:
            found[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise typer.BadParameter(f"-p {name}: {value!r} is not valid yaml") from error
    return found


def preprocessing(
    channels: str | None, mean: str | None, std: str | None, preset: str | None
) -> dict[str, Any]:
    """The options for ONNX embedders that were given."""
    words = {"channels": channels, "preset": preset}
    given: dict[str, Any] = {name: word for name, word in words.items() if word}
    for name, words in (("mean", mean), ("std", std)):
        if words is None:
            continue
        try:
            numbers = [float(word) for word in words.split(",")]
        except ValueError:
            raise typer.BadParameter(f"--{name} {words!r} must be one number or three") from None
        given[name] = numbers[0] if len(numbers) == 1 else numbers
    return given


def joined(arguments: list[str]) -> list[str]:
    """`-p NAME VALUE` as the `-p NAME=VALUE` that typer can read."""
    words, rest = [], iter(arguments)
    for word in rest:
        words.append(word)
        if word in ("-p", "--parameter"):
            name = next(rest, "")
            value = None if "=" in name else next(rest, None)
            words.append(name if value is None else f"{name}={value}")
    return words
