"""Pages in a real browser: what it prints, and what a script finds in them."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for path in map(shutil.which, BROWSERS) if path), None)


def chromium(page: Path | str, folder: Path, *options: str) -> tuple[str, list[str]]:
    """What a browser prints for a page or an address, and the lines of its console."""
    if CHROMIUM is None:
        pytest.skip("no chromium: apt-get install chromium")
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--disable-quic", "--no-first-run", "--disable-background-networking"),
        *("--disable-component-update", "--disable-sync", "--enable-logging=stderr"),
        *(f"--user-data-dir={folder / 'profile'}", "--allow-file-access-from-files"),
        *("--hide-scrollbars", "--virtual-time-budget=5000", *options),
        page if isinstance(page, str) else page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, console


def tried(page: Path, script: str, tmp_path: Path, width: int = 1280) -> dict:
    """The result of a script that runs with a page's document `inner` and its window `view`."""
    harness = page.parent / "harness.html"
    harness.write_text(
        f'<!DOCTYPE html><iframe id="frame" src="{page.name}" style="width:{width}px;height:900px">'
        '</iframe><pre id="result"></pre><script>document.getElementById("frame").onload = '
        "async (event) => { const inner = event.target.contentDocument; const result = {};"
        "const view = event.target.contentWindow; const $ = (id) => inner.getElementById(id);"
        "const arms = () => [...inner.querySelectorAll('#table tbody th')].map("
        "(e) => e.dataset.arm);"
        f"{script}; document.getElementById('result').textContent = JSON.stringify(result); }};"
        "</script>"
    )
    dom, console = chromium(harness, tmp_path, "--dump-dom")
    assert console == []
    match = re.search(r'<pre id="result">(.*?)</pre>', dom)
    assert match
    return json.loads(unescape(match[1]))


def data_in(page: Path) -> dict:
    """The data in a page, as the browser gets it."""
    match = re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert match
    return json.loads(match[1])
