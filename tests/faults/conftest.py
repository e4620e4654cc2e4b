"""What the fault campaign shares: the option that asks for all of it, and the results of every case."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from graph import PATIENT, SHIPPED, Graph
from joining import domain
from observer import Observer
from scene import Case, Result, Scene
from table import write

from mbpl_control.nodes.client import GraphClient

__all__ = ["domain"]
RESULTS: list[Result] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--campaign`: every case with all its repetitions; `--patient`: with the time-outs of a machine that is busy."""
    parser.addoption("--campaign", action="store_true", help="run every fault with all its repetitions")
    parser.addoption("--patient", action="store_true", help="leave the graph time: the machine has others to serve")


def asked(config: pytest.Config, name: str) -> bool:
    """Whether an option was given; pytest knows none of them when it met this file too late."""
    return bool(config.getoption(name, default=False))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each case of the module: all of them, or one repetition of some."""
    if "case" in metafunc.fixturenames:
        campaign = asked(metafunc.config, "campaign")
        cases = [c for c in metafunc.module.CASES if campaign or c.core]
        metafunc.parametrize("case", cases, ids=str)


@pytest.fixture
def repetitions(request: pytest.FixtureRequest, case: Case) -> int:
    """How often a case is tried."""
    return case.repetitions if asked(request.config, "campaign") else 1


@pytest.fixture
def result(case: Case) -> Result:
    """Where the judgements of a case go."""
    RESULTS.append(Result(case))
    return RESULTS[-1]


@pytest.fixture(scope="module")
def scene(request: pytest.FixtureRequest, domain: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The graph of the module, and all that looks at it."""
    relayed = getattr(request.module, "RELAYED", False)
    campaign, patient = (asked(request.config, name) for name in ("campaign", "patient"))
    pace = SHIPPED if campaign and not patient else PATIENT
    directory = tmp_path_factory.mktemp("faults")
    with (
        Graph(domain, directory, pace, relayed) as graph,
        GraphClient(timeout=5.0) as client,
        closing(Observer("robot/joint_states" if relayed else "joint_states")) as observer,
        closing(Scene(graph, client, observer)) as scene,
    ):
        scene.switches = 1000 if campaign else 100
        yield scene


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A campaign is long: what was wrong is told at once."""
    if report.failed and report.when == "call" and "tests/faults" in report.nodeid and RESULTS:
        print("", *RESULTS[-1].violations or [report.longreprtext[-300:]], sep="\n    ", flush=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The table of the campaign, and its file."""
    if asked(session.config, "campaign") and RESULTS:
        write(RESULTS, PATIENT if asked(session.config, "patient") else SHIPPED)
