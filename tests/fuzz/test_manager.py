"""The manager's core under states, laws and requests of any kind: no exception, no command outside the limits."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from odd import floats
from test_messages import CONTROLLER, LAW, TASK

from mbpl_control.core import MbplError
from mbpl_control.runtime import ControllerEntry, ManagerConfig, ManagerCore, RobotSample, Strictness

NAMES = ("hold", "plan", "mpc", "policy", "sampled")
TYPES = {"plan": "linear_gaussian", "mpc": "linear_gaussian", "sampled": "linear_gaussian", "policy": "feedback_law"}
N = TASK.robot.nv
M = TASK.action.size
MILLISECOND = 1_000_000

#: Numbers that are mostly sound.
figure = st.one_of(st.floats(-3.0, 3.0), floats)
stamp_step = st.one_of(st.just(5), st.integers(-2000, 2000), st.sampled_from([0, 10**9, -(10**9)]))
vectors = {n: st.lists(figure, min_size=n, max_size=n) for n in {N, M, M * N * 2, M * M}}
EVENTS = st.one_of(
    st.tuples(st.just("state"), vectors[N], vectors[N], stamp_step),
    st.tuples(st.just("calm"), st.integers(1, 20)),
    st.tuples(st.just("silence"), st.integers(1, 3000)),
    st.tuples(
        st.just("law"),
        st.sampled_from(NAMES),
        st.sampled_from(["activation", "stamp"]),
        vectors[M],
        vectors[M * N * 2],
        vectors[M * M],
        st.integers(-1, 5),
        stamp_step,
        stamp_step,
    ),
    st.tuples(st.just("switch"), st.lists(st.sampled_from(NAMES), max_size=3), st.sampled_from(list(Strictness))),
    st.tuples(st.just("publishers"), st.sampled_from(NAMES), st.integers(0, 3)),
    st.tuples(st.just("restart"), st.sampled_from(NAMES)),
    st.tuples(st.just("stop"), st.booleans()),
)


class Play:
    """Carries out events; a refusal is part of the game, any other exception is not."""

    def __init__(self, tally: Any) -> None:
        """A manager with a controller of each type, a state, and a law for each."""
        self.tally = tally
        self.core = ManagerCore(TASK, ManagerConfig(fallback_controllers=("plan",)))
        for name, kind in TYPES.items():
            mode = "sampled" if name == "sampled" else "mean"
            self.core.registry.add(ControllerEntry(name, kind, mode, f"{name}/law"))
        self.stamp = self.steady = 10**12
        self.sequence = 0
        self.on_calm(2)
        for name in TYPES:
            self.on_law(name, "activation", [0.1] * M, [-1.0] * (M * N * 2), np.eye(M).ravel().tolist(), 1, 0, 0)

    def happen(self, kind: str, *details: Any) -> None:
        with suppress(MbplError), np.errstate(all="ignore"):
            getattr(self, f"on_{kind}")(*details)

    def on_state(self, q: list[float], v: list[float], after: int) -> None:
        self.stamp = max(self.stamp + after * MILLISECOND, 0)
        self.steady += 5 * MILLISECOND
        x = np.array([*q, *v])
        self.check(self.core.tick(RobotSample(x, x[:N], x[N:], self.stamp), self.steady))

    def on_calm(self, count: int) -> None:
        for _ in range(count):
            self.on_state([0.0] * N, [0.0] * N, 5)

    def on_silence(self, milliseconds: int) -> None:
        for _ in range(4):
            self.steady += milliseconds * MILLISECOND // 4
            self.check(self.core.watch(self.steady))

    def on_law(self, name: str, anchor: str, u: list[float], k: list[float], s: list[float], *at: int) -> None:
        step, (stamp, until) = at[0], (max(self.stamp + ms * MILLISECOND, 0) for ms in at[1:])
        gain, sigma = np.array(k).reshape(M, 2 * N), np.array(s).reshape(M, M)
        sigma = sigma @ sigma.T
        law: Any
        if name == "policy":
            law = replace(LAW, nominal_action=np.array(u), gain=gain, covariance=sigma)
        else:
            law = replace(
                CONTROLLER,
                nominal_actions=np.tile(u, (CONTROLLER.steps, 1)),
                gains=np.tile(gain, (CONTROLLER.steps, 1, 1)),
                covariances=np.tile(sigma, (CONTROLLER.steps, 1, 1)),
                anchor=anchor,
            )
        self.sequence += step
        over = until if until > stamp else 0
        self.core.on_law(name, law, max(self.sequence, 0), self.steady, stamp, stamp, over, step)

    def on_switch(self, names: list[str], strictness: Strictness) -> None:
        self.core.switch(names, [], strictness, self.steady)

    def on_publishers(self, name: str, count: int) -> None:
        self.core.on_publishers(f"{name}/law", count, ["x"] * count, self.steady)

    def on_restart(self, name: str) -> None:
        self.core.on_source_restarted(f"{name}/law")

    def on_stop(self, reset: bool) -> None:
        if reset:
            self.core.reset_emergency_stop()
        else:
            self.core.emergency_stop("fuzz")

    def check(self, command: Any) -> None:
        if command is None:
            return
        self.tally("manager: ticks answered")
        inside = (command.values >= TASK.action.lower) & (command.values <= TASK.action.upper)
        self.tally.beyond["manager: ticks answered"] += not inside.all()
        assert inside.all(), command.values


@given(events=st.lists(EVENTS, min_size=5, max_size=30))
def test_whatever_comes_in_every_command_is_within_the_limits(tally: Any, events: list[Any]) -> None:
    play = Play(tally)
    for event in events:
        tally(f"manager: {event[0]}")
        play.happen(*event)
        play.happen("calm", 1)
