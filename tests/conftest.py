"""Tests on a graph that keeps to the wall clock: a failure counts if the machine kept to it, too."""

from __future__ import annotations

import threading
import time

import pytest

#: s; a machine that wakes a thread later than this cannot keep the time-outs of a graph, which begin at 0.1 s.
LATE = 0.05
#: s between two looks at the clock.
PERIOD = 0.005
#: How often a test is run anew.
RERUNS = 2


class Watch(threading.Thread):
    """Sleeps for `PERIOD` again and again, and keeps how late the machine woke it.

    Attributes:
        latest: s, the most since `begin`.
    """

    def __init__(self) -> None:
        """Begin to watch."""
        super().__init__(name="watch", daemon=True)
        self.latest = 0.0

    def begin(self) -> None:
        """Forget what was; watch from here on."""
        self.latest = 0.0
        if not self.is_alive():
            self.start()

    def run(self) -> None:
        """Watch as long as the process lives."""
        before = time.monotonic()
        while True:
            time.sleep(PERIOD)
            now = time.monotonic()
            self.latest = max(self.latest, now - before - PERIOD)
            before = now

    def late(self) -> bool:
        """Whether the machine had other work than these tests."""
        return self.latest > LATE


WATCH = Watch()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test on a graph is run again when it failed on a machine that was late; one that always fails still does."""
    for item in items:
        if "domain" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.flaky(reruns=RERUNS, condition=WATCH.late))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Watch the machine during a test on a graph."""
    if item.get_closest_marker("flaky"):
        WATCH.begin()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):  # noqa: ANN201 - a generator, as hooks around others are
    """Say with a failure how well the machine kept time."""
    report = (yield).get_result()
    if report.failed and item.get_closest_marker("flaky"):
        report.sections.append(("Machine", f"a thread was woken up to {WATCH.latest:.3f} s late"))
