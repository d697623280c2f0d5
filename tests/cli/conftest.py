"""A command line, as its user sees it."""

import pytest

from facelab.cli import app as cli


@pytest.fixture
def say(capsys):
    """Run a command line: its exit code, what it printed, and its stderr."""

    def run(*words):
        capsys.readouterr()
        code = cli.command([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return run
