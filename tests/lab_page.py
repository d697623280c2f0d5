"""A JupyterLab to look at: a server of its own, and its pages with all cells run."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat

PATIENCE = 300_000  # ms, for everything that a notebook computes
TOKEN = "only-here"
PROMPTS = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(e => e.innerText)"


@contextlib.contextmanager
def server(place):
    """A JupyterLab of this folder, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {
        name: str(place / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR")
    }
    # Nothing is asked for that only a network could answer.
    settings = {
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        "notebook-extension/tracker": {"windowingMode": "none"},  # all cells are in the page
    }
    for name, values in settings.items():
        file = place / "jupyterlab_settings_dir" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(values))
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [
        f"--port={port}",
        f"--ServerApp.root_dir={place}",
        f"--IdentityProvider.token={TOKEN}",
    ]
    # Bars are watched here, also where the tests run in CI.
    seen = {name: value for name, value in os.environ.items() if name != "CI"} | own
    with open(place / "server.log", "w") as log:
        running = subprocess.Popen(command, env=seen, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/api/status?token={TOKEN}", timeout=5).close()
                break
            except OSError:
                assert running.poll() is None, (place / "server.log").read_text()
                time.sleep(0.5)
        yield address
    finally:
        running.terminate()
        running.wait(30)


def opened(browser, address, place, book, name):
    """A page with the notebook run from top to bottom; what the console complained of is kept."""
    nbformat.write(book, place / name)
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(60_000)
    page.complaints = []
    page.on("console", lambda said: _note(page, said.type, said.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    # A workspace of its own: else Lab opens again what another page had open.
    page.goto(f"{address}/lab/workspaces/{Path(name).stem}/tree/{name}?token={TOKEN}&reset")
    page.locator(".jp-Notebook").wait_for()
    page.locator("#jp-main-statusbar").get_by_text(re.compile(r"\|\s*Idle")).first.wait_for()
    chosen(page, "Run", "Run All Cells")
    page.wait_for_function(f"{PROMPTS}.some(text => text.includes('*'))")
    page.wait_for_function(
        f"!{PROMPTS}.some(text => text.includes('*'))", timeout=PATIENCE, polling=1000
    )
    prompts = page.evaluate(PROMPTS)
    # A folded cell shows no prompt.
    assert all(re.search(r"\d", text) for text in prompts if text), (prompts, page.complaints)
    return page


def _note(page, kind, text):
    if kind == "error":
        page.complaints.append(text)


def chosen(page, menu, *entries):
    """Choose of the menus at the top."""
    page.locator(".lm-MenuBar-itemLabel", has_text=re.compile(f"^{menu}$")).click()
    for entry in entries:
        page.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^{entry}$")).click()


def dial(page, label):
    """The output that holds the control of this label."""
    found = page.locator(".jp-OutputArea-child", has=page.locator(f'label:text-is("{label}")'))
    found.first.scroll_into_view_if_needed()
    return found.first


def dragged(page, base, *shares):
    """Take a slider's handle with the mouse, over these shares of its length, and let go."""
    handle = base.locator(".noUi-handle")
    handle.hover()  # waits until it is in view, stands still, and nothing lies on it
    page.mouse.down()
    base.locator(".noUi-active").wait_for()
    track, at = base.bounding_box(), handle.bounding_box()
    for share in shares:
        page.mouse.move(track["x"] + track["width"] * share, at["y"] + at["height"] / 2, steps=4)
    page.mouse.up()
