"""A headless browser, the one this machine has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import pytest

from mbpl_control.tasks import Task, load_task

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
)
DEADLINE = 240.0

#: Around the page: a window of a browser is never narrower than 500 pixels, a frame in it may be.
FRAME = """<!doctype html><meta charset="utf-8"><style>body { margin: 0 } iframe { border: 0 }</style>
<script>
addEventListener("message", event => {
  const out = document.createElement("pre");
  out.id = "probe";
  out.textContent = event.data;
  document.body.append(out);
});
</script>
<iframe src="%s" style="width: %dpx; height: 900px"></iframe>
"""
#: Runs in a copy of the page when it has loaded, and tells the frame around it what it measured.
PROBE = """
<script>
addEventListener("load", () => {
  const root = document.documentElement;
  const wide = [...document.querySelectorAll("body *")].filter(e =>
    !e.closest(".scroll, pre, svg") && e.getBoundingClientRect().right > root.clientWidth + 0.5);
  const found = {
    width: innerWidth,
    content: root.scrollWidth,
    wide: wide.slice(0, 5).map(e => e.tagName + "." + e.className + " " + e.textContent.slice(0, 40)),
    pictures: [...document.images].map(i => i.naturalWidth),
    drawings: [...document.querySelectorAll(".panel svg")].map(s => s.getBoundingClientRect().height),
    marks: [...document.querySelectorAll(".panel svg")].map(s => s.querySelectorAll("path, use, text").length),
    requests: performance.getEntriesByType("resource").map(r => r.name),
    paper: getComputedStyle(document.body).backgroundColor,
    ink: getComputedStyle(document.body).color,
    links: [...document.links].map(a => a.getAttribute("href")),
  };
  parent.postMessage(JSON.stringify(found), "*");
});
</script>
"""


@dataclass(frozen=True)
class Seen:
    """What a browser saw of a page.

    Attributes:
        found: what the probe measured.
        errors: lines of the console.
    """

    found: dict
    errors: list[str]


@pytest.fixture(scope="session")
def arm_reach(task_files: Path) -> Task:
    """A task of a seven-joint arm."""
    return load_task(task_files / "arm_reach.yaml")


@pytest.fixture(scope="session")
def browser() -> str:
    """The program of a browser."""
    for name in BROWSERS:
        program = shutil.which(name)
        if program is not None:
            return program
    pytest.skip(
        f"NOT CHECKED: how the report looks in a browser, for none of {', '.join(BROWSERS)} is installed here; "
        "Debian, Ubuntu: apt install chromium"
    )


@pytest.fixture
def look(browser: str, tmp_path: Path) -> Callable[..., Seen]:
    """Open a page at a width of so many pixels, light or dark."""

    def run(page: Path, width: int, dark: bool = False) -> Seen:
        copy = page.with_name(f".probe-{page.name}")
        copy.write_text(page.read_text(encoding="utf-8").replace("</body>", PROBE + "</body>"), encoding="utf-8")
        frame = tmp_path / f"frame-{width}-{dark}.html"
        frame.write_text(FRAME % (copy.as_uri(), width), encoding="utf-8")
        profile = tmp_path / f"profile-{width}-{dark}"
        command = [
            browser,
            *FLAGS,
            f"--user-data-dir={profile}",
            f"--window-size={max(width, 600)},900",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            "--virtual-time-budget=20000",
            "--dump-dom",
            frame.as_uri(),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=True)
        finally:
            copy.unlink()
        told = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
        assert told is not None, f"the page never finished loading:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        errors = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        return Seen(json.loads(unescape(told[1])), errors)

    return run
