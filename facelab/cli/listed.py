"""How commands and runs are listed: nothing is cut, and no line is longer than the screen.

In: typer's commands; rows of words. Out: lines.
"""

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from typer.core import TyperGroup

_WHOLE = 10_000  # letters of a command's first sentence that are shown, which is all of them
_INDENT = "    "


class Commands(TyperGroup):
    """The `facelab` command, whose help shows each command's first sentence whole."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands into a help page, as typer does, but for the dots."""
        rows = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(_WHOLE)) for name, one in rows])


def screen_width() -> int:
    """Columns of the terminal, or of COLUMNS; 80 where nobody says."""
    return shutil.get_terminal_size().columns


def lines_of(
    head: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str], width: int
) -> Iterator[str]:
    """A table of short words, and to each row a note: beside it where it fits, else below.

    Parameters
    ----------
    head, rows
        The columns' names, and the words of every row.
    notes
        What is said of each row; empty is nothing.
    width
        Columns of the screen; words without a gap may be longer.
    """
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(head, *rows, strict=True)]
    for row, note in zip([head, *rows], ["", *notes], strict=True):
        cells = [
            cell + " " * (most - cell_len(cell)) for cell, most in zip(row, widths, strict=True)
        ]
        line = "  ".join(cells)
        beside = f"{line}  {note}"
        if not note or ("\n" not in note and cell_len(beside) <= width):
            yield beside.rstrip()
            continue
        yield line.rstrip()
        wrap = {"initial_indent": _INDENT, "subsequent_indent": _INDENT, "break_on_hyphens": False}
        yield from textwrap.wrap(note, max(width, 40), break_long_words=False, **wrap)


def wrapped(facts: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    """Names with what is said of each, in a column beside them."""
    most = max(len(name) for name, _ in facts) + 2
    for name, words in facts:
        yield textwrap.fill(
            words,
            max(width, most + 40),
            initial_indent=name.ljust(most),
            subsequent_indent=" " * most,
            break_long_words=False,
            break_on_hyphens=False,
        )
