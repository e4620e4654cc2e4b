"""What all unit tests share: reproducible property tests, the repository's files, objects of the core types."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.core import (
    ActionDefinition,
    LinearGaussianController,
    LinearGaussianDynamics,
    StateBlock,
    StateDefinition,
    Trial,
)
from mbpl_control.learning.learner import TrialRequest
from mbpl_control.tasks import Task, load_task

# the same examples everywhere, and no failure because a machine is busy
settings.register_profile(
    "mbpl",
    deadline=None,
    derandomize=True,
    max_examples=60,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("mbpl")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The top directory of the repository."""
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def robot_files(repository: Path) -> Path:
    """Where the robots that ship are."""
    return repository / "sim" / "models"


@pytest.fixture(scope="session")
def task_files(repository: Path) -> Path:
    """Where the tasks that ship are."""
    return repository / "sim" / "tasks"


@pytest.fixture(scope="session")
def reacher_update(repository: Path) -> dict[str, np.ndarray]:
    """One update of cbfinn/gps; tests/unit/fitting/data/README.md says what the arrays are."""
    with np.load(repository / "tests/unit/fitting/data/reacher_update.npz") as file:
        return dict(file)


@pytest.fixture(scope="session")
def make_task(tmp_path_factory) -> Callable[..., Task]:
    """A task around the text of a robot's file; any key of the task file may be given."""

    def make(robot: str, positions: list[float], /, **keys: object) -> Task:
        directory = tmp_path_factory.mktemp("task")
        (directory / "robot.xml").write_text(robot, encoding="utf-8")
        content = {
            "robot": {"model": "robot.xml"},
            "horizon": 20,
            "dt": 0.05,
            "start": {"train": [{"positions": positions}]},
            "cost": [{"term": "action", "weight": 1.0}],
            **keys,
        }
        # JSON is YAML
        (directory / "made.yaml").write_text(json.dumps(content, indent=1), encoding="utf-8")
        return load_task(directory / "made.yaml")

    return make


STATE = StateDefinition(
    (
        StateBlock(
            "joint_positions", ("slide", "turn", "ball"), ("euclidean", "angle", "quaternion"), ("m", "rad", "1")
        ),
        StateBlock("joint_velocities", ("slide", "turn"), ("euclidean",) * 2, ("m/s", "rad/s")),
    )
)
ACTION = ActionDefinition(
    ("first", "second"), ("slide", "turn"), "effort", ("N", "N*m"), np.array([-5.0, -np.inf]), np.array([7.5, np.inf])
)


def random_states(rng: np.random.Generator, count: int) -> np.ndarray:
    """Points of the state space of `STATE`, all over its rotations. (count, 8)."""
    neutral = np.broadcast_to(STATE.space.neutral(), (count, STATE.size))
    return STATE.space.integrate(neutral, rng.normal(size=(count, STATE.tangent_size)))


def random_covariances(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Random positive definite matrices (count, size, size)."""
    factor = rng.normal(size=(count, size, size))
    return factor @ factor.transpose(0, 2, 1) + 0.1 * np.eye(size)


@pytest.fixture
def state() -> StateDefinition:
    """A state with a line, an angle and a rotation: 8 numbers, 7 in the tangent space."""
    return STATE


@pytest.fixture
def action() -> ActionDefinition:
    """Two actuators, one of them without limits."""
    return ACTION


@pytest.fixture
def make_controller() -> Callable[..., LinearGaussianController]:
    """Random controllers of T steps; any field may be given."""

    def make(steps: int = 6, random: int = 0, **fields: object) -> LinearGaussianController:
        rng = np.random.default_rng(random)
        values: dict[str, object] = {
            "dt": 0.05,
            "nominal_states": random_states(rng, steps + 1),
            "nominal_actions": rng.normal(size=(steps, ACTION.size)),
            "gains": rng.normal(size=(steps, ACTION.size, STATE.tangent_size)),
            "feedforward": rng.normal(size=(steps, ACTION.size)),
            "covariances": random_covariances(rng, steps, ACTION.size),
        }
        return LinearGaussianController(STATE, ACTION, **{**values, **fields})  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_dynamics() -> Callable[..., LinearGaussianDynamics]:
    """Random dynamics of T steps; any field may be given."""

    def make(steps: int = 4, random: int = 0, **fields: object) -> LinearGaussianDynamics:
        rng = np.random.default_rng(random)
        n, m = STATE.size, ACTION.size
        values: dict[str, object] = {
            "dt": 0.05,
            "a": rng.normal(size=(steps, n, n)),
            "b": rng.normal(size=(steps, n, m)),
            "c": rng.normal(size=(steps, n)),
            "covariances": random_covariances(rng, steps, n),
            "samples": 7,
            "fit_error": rng.uniform(size=steps),
            "source": "a test",
            "metadata": {"rank": [3, 2, 3, 3], "note": "größer"},
        }
        return LinearGaussianDynamics(STATE, ACTION, **{**values, **fields})  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_trial() -> Callable[..., Trial]:
    """Random trials of T steps; any field may be given."""

    def make(steps: int = 5, random: int = 0, **fields: object) -> Trial:
        rng = np.random.default_rng(random)
        values: dict[str, object] = {
            "dt": 0.05,
            "states": random_states(rng, steps + 1),
            "actions": rng.normal(size=(steps, ACTION.size)),
            "times": np.cumsum(rng.uniform(0.01, 0.1, steps + 1)),
            "costs": rng.uniform(size=steps + 1),
            "task": "reach",
            "task_hash": "0123456789abcdef",
            "condition": 2,
            "controller": "ilqr",
            "seed": 2**64 - 1,
            "success": True,
            "stop_reason": "aborted: pushed over",
            "metadata": {"push": [0.0, 30.0, 0.0]},
        }
        return Trial(STATE, ACTION, **{**values, **fields})  # type: ignore[arg-type]

    return make


VOID = {"meta", "link", "br", "img", "hr", "input"}


class HtmlPage(HTMLParser):
    """Collects what a page consists of, and complains of tags that do not match."""

    def __init__(self, text: str) -> None:
        """Parse `text`."""
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it, and expect its end."""
        self._keep(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it."""
        self._keep(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """It must end what was opened last."""
        assert self.open and self.open[-1] == tag, f"</{tag}> at {self.getpos()} ends {self.open[-1:]}"
        self.open.pop()

    def _keep(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "srcset", "data", "action"):
                self.links.append(value or "")


@pytest.fixture(scope="session", name="Page")
def _page() -> type[HtmlPage]:
    """A page of HTML, taken apart."""
    return HtmlPage


@pytest.fixture(scope="session")
def balance(task_files: Path) -> Task:
    """A rod to balance with one motor: 3 training conditions, 1 held out, 50 steps."""
    return load_task(task_files / "rotary_pendulum_balance.yaml")


@pytest.fixture(scope="session")
def run(balance: Task) -> Callable[[Sequence[TrialRequest]], list[Trial]]:
    """Runs the trials of the task that are asked for, as training does."""
    agent = AgentRecipe.in_lockstep(balance).build()

    def trials(requests: Sequence[TrialRequest]) -> list[Trial]:
        return [agent.run(r.law, r.mode, r.condition, r.seed) for r in requests]

    return trials
