"""The `facelab` command: each subcommand a thin skin over the function of its name.

In: arguments. Out: folders and tables. Exit code 0: done; 1: the work failed (what was given cannot
be used, or the machine refused); 2: the command itself was wrong; 130: interrupted; 143: ended by
SIGTERM. Errors are one sentence on stderr; `--debug`, or FACELAB_DEBUG=1, shows where they came
from.
"""

import contextlib
import errno
import itertools
import os
import re
import signal
import sys
import traceback
import warnings
from typing import Annotated, Any

import typer

import facelab as fl
from facelab.cli import (
    analyses,
    audits,
    course,
    experiments,
    faces,
    machine,
    models,
    search,
    services,
    values,
)
from facelab.cli.listed import Commands
from facelab.cli.options import UsageError
from facelab.cli.shared import ReaderLeft, say
from facelab.errors import FacelabError, NotWritten, Stopped, did_you_mean, in_words, printable
from facelab.words import advice

_INTERRUPTED = "interrupted: no half-written result is left; the same command goes on where it can"

_terminations: list[int] = []

app = typer.Typer(
    name="facelab",
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Find out whom a face recogniser fails, retrain it on balanced data, prove what changed.",
    epilog="Exit code 0: done; 1: the work failed; 2: wrong usage; 130: interrupted; 143: SIGTERM.",
)
for _part in (faces, models, audits, analyses, search, services, experiments, course, machine):
    app.add_typer(_part.app)


@app.callback(invoke_without_command=True)
def _facelab(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    if version:
        say(f"facelab {fl.__version__}")
    elif context.invoked_subcommand is None:
        say(context.get_help())
        raise typer.Exit(2)


# ---- the way in and the ways out


def main() -> None:
    """The console script: runs the command and exits with its code."""
    # A scheduler's polite end is handled as Ctrl-C is: workers end too, nothing half-written stays.
    signal.signal(signal.SIGTERM, _terminated)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # a name that the console's encoding lacks is no reason to stop
            stream.reconfigure(errors="backslashreplace")
    as_python_has_it = warnings.formatwarning
    warnings.formatwarning = lambda *told, **more: printable(as_python_has_it(*told, **more))
    sys.exit(command(sys.argv[1:]))


def _terminated(number: int, frame: Any) -> None:
    """End the work in the way of Ctrl-C; only the exit code tells the difference."""
    _terminations.append(number)
    signal.default_int_handler(number, frame)


def command(arguments: list[str]) -> int:
    """Run one command line and return its exit code; every error is one sentence on stderr."""
    debug = "--debug" in arguments or os.environ.get("FACELAB_DEBUG") == "1"
    # joblib counts what its workers had in hand when the work failed; the sentence says enough.
    warnings.filterwarnings("ignore", r"\d+ tasks (have been|which were)", UserWarning)
    try:
        words = [word for word in values.arguments(arguments) if word != "--debug"]
        code = app(args=words, prog_name="facelab", standalone_mode=False) or 0
        # typer may turn an interrupt into this code itself, without a word
        return _fail(_INTERRUPTED, 143 if _terminations else 130, debug) if code == 130 else code
    except ReaderLeft:
        return 0
    except UsageError as error:
        return _fail(f"{_usage(error.format_message(), arguments)} (see facelab --help)", 2, debug)
    except (typer.Abort, KeyboardInterrupt):
        return _fail(_INTERRUPTED, 143 if _terminations else 130, debug)
    except Stopped as error:
        return _fail(str(error), 143 if error.signal == "SIGTERM" else 130, debug)
    except MemoryError:
        words = "there is not enough memory for it: give less, fewer --jobs, or a larger machine"
        return _fail(words, 1, debug)
    except (FacelabError, OSError) as error:
        return _fail(_words(error), 1, debug)
    except Exception as error:
        words = f"{type(error).__name__}: {error} (unexpected: --debug shows where)"
        return _fail(words, 1, debug)


def _usage(sentence: str, words: list[str]) -> str:
    """What typer says of a wrong command, and what to do where it does not say that."""
    if number := re.search(r"'(--?[\w-]+)'.*should be a valid (number|integer)", sentence):
        option, kind = number.groups()
        glued = dict(word.split("=", 1) for word in words if "=" in word)
        typed = (dict(itertools.pairwise(words)) | glued).get(option, "")
        wanted = "a number" if kind == "number" else "a whole number"
        return f"{option} must be {wanted}, not {typed!r}{advice(typed)}"
    if "unexpected extra argument" in sentence:
        return f"{sentence}: several names for one option are one word, such as --by race,gender"
    sentence = sentence.replace("Value error, ", "").rstrip(".")
    if choice := re.search(r"'([^']*)' is not one of (.+)", sentence):
        sentence += did_you_mean(choice[1], choice[2].replace("'", "").split(", "))
    return sentence


def _words(error: Exception) -> str:
    words = in_words(error) if type(error).__str__ is OSError.__str__ else str(error)
    if isinstance(error, NotWritten) or getattr(error, "errno", None) != errno.ENOSPC:
        return words
    return f"{words}; nothing half-written was kept: free some space and run again"


def _fail(sentence: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    with contextlib.suppress(OSError):  # where nobody can be told, the code says it
        print(f"facelab: {printable(' '.join(sentence.split()))}", file=sys.stderr)
    return code
