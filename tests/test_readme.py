"""README is short, and its snippets run as written, in order, in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = PAGES[0].read_text(encoding="utf-8")


def snippets(language: str) -> str:
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE))


def test_it_is_short():
    assert len(README.splitlines()) < 200


@pytest.mark.parametrize("language", ["python", "sh"])
def test_its_snippets_run_as_written(language, tmp_path):
    bin_folder = Path(sys.executable).parent
    command = [sys.executable, "-"] if language == "python" else ["sh", "-e"]
    done = subprocess.run(
        command,
        input=snippets(language),
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "agg", "PATH": f"{bin_folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert language == "python" or (tmp_path / "data/audit").is_dir()


def test_what_is_not_run_here_is_a_command_that_there_is():
    made = re.findall(r"^make (\w+)", README, re.MULTILINE)
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert made and set(made) <= set(targets)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_links_and_pictures_lead_somewhere(page):
    there = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in there if not (page.parent / link).exists()] == []
