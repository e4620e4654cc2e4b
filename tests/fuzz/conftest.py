"""How much is tried, and what is told of it: `make fuzz` tries a lot, `python -m pytest tests/fuzz` a little."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from joining import client, domain  # noqa: F401 - fixtures

BENCH = Path(__file__).resolve().parents[2] / "bench/report.py"
#: Examples of each interface and of each kind of file. `make fuzz` chooses the second by `--hypothesis-profile=fuzz`.
COMMON: Any = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("smoke", max_examples=25, derandomize=True, **COMMON)
settings.register_profile("fuzz", max_examples=500, print_blob=True, **COMMON)


class Tally:
    """Inputs tried, by interface, and what came of them."""

    def __init__(self) -> None:
        """Nothing was tried yet."""
        self.tried: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()
        self.beyond: Counter[str] = Counter()

    def __call__(self, interface: str) -> None:
        """One more input."""
        self.tried[interface] += 1


TALLY = Tally()


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--hypothesis-profile"):
        settings.load_profile("smoke")


@pytest.fixture(scope="session")
def tally() -> Tally:
    """Counts what is tried."""
    return TALLY


@pytest.fixture(autouse=True)
def counted(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that fails counts as a crash of the interface that was tried last."""
    before = request.session.testsfailed
    yield
    if request.session.testsfailed > before and TALLY.tried:
        TALLY.crashes[next(reversed(TALLY.tried))] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what was tried, when it was a lot."""
    if session.config.getoption("--hypothesis-profile") != "fuzz" or not TALLY.tried:
        return
    spec = importlib.util.spec_from_file_location("bench_report", BENCH)
    assert spec is not None and spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = bench
    spec.loader.exec_module(bench)
    rows = [bench.Row(f"inputs: {name}", float(count), "1") for name, count in TALLY.tried.items()]
    total = [
        bench.Row("inputs, all interfaces", float(TALLY.tried.total()), "1"),
        bench.Row("crashes, hangs, wrong errors", float(TALLY.crashes.total()), "1", 0.0),
        bench.Row("commands outside limits", float(TALLY.beyond.total()), "1", 0.0),
    ]
    bench.report("fuzz", [*rows, *total], {"crashes": dict(TALLY.crashes), "beyond": dict(TALLY.beyond)})
