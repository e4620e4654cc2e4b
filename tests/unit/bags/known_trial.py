"""A trial every number of which is known, and bags of it, in the bag library's own message types."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer

from mbpl_control.bags import EpisodeWriter
from mbpl_control.bags.types import typestore
from mbpl_control.core import ActionDefinition, StateBlock, StateDefinition

JOINTS = ("a", "b")
STATE = StateDefinition(
    (
        StateBlock("joint_positions", JOINTS, ("euclidean", "angle"), ("rad", "rad")),
        StateBlock("joint_velocities", JOINTS, ("euclidean", "euclidean"), ("rad/s", "rad/s")),
    )
)
ACTION = ActionDefinition(JOINTS, JOINTS, "effort", ("N*m", "N*m"), np.full(2, -50.0), np.full(2, 50.0))
#: Ticks of 5 ms, four to a step; the robot is held before the trial and falls back after it.
TICK_NS, TICKS_A_STEP, STEPS, HOLD_TICKS, AFTER = 5_000_000, 4, 25, 20, 10
DT, CONTROLLER = 0.02, "ilqr_feedback"
#: Stamp of the first state, on the robot's clock, and arrival of its message, on that of the wall.
EPOCH_NS, WALL_NS, LATENCY_NS = 5_000_000_000, 1_700_000_000_000_000_000, 700_000
START_NS = EPOCH_NS + HOLD_TICKS * TICK_NS
METADATA = {"task": "two_joints", "task_hash": "f00", "condition": 2, "seed": 7, "controller": CONTROLLER}
ENDING = {"stop_reason": "completed", "steps": STEPS, "cost": 3.25, "success": True, "final_distance": 0.01}

Message = tuple[str, str, int, Any]


def state_at(tick: int) -> np.ndarray:
    """x at a tick; joint b turns through ±π."""
    t = 1e-9 * TICK_NS * (tick - HOLD_TICKS)
    b = (3.0 + t + np.pi) % (2.0 * np.pi) - np.pi
    return np.array([0.1 * t, b, 0.1, 1.0])


def command_at(tick: int) -> np.ndarray:
    """Linear in the tick, so that the mean over a step is known."""
    return np.array([0.25 * tick, -1.0 * tick])


def action_of(step: int) -> np.ndarray:
    """Mean of the four commands of a step."""
    return command_at(HOLD_TICKS + step * TICKS_A_STEP) + 1.5 * np.array([0.25, -1.0])


def law_of(step: int) -> dict[str, np.ndarray]:
    """Everything linear in the step."""
    return {
        "reference_state": np.array([1.0, 0.01, 0.0, -1.0]) * step,
        "action": np.array([2.0, -3.0]) * step,
        "gain": np.arange(8.0).reshape(2, 4) - step,
        "covariance": np.diag([1.0, 2.0]) * (step + 1),
    }


def header(stamp_ns: int) -> Any:
    types = typestore().types
    stamp = types["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return types["std_msgs/msg/Header"](stamp=stamp, frame_id="")


def state_definition() -> Any:
    types = typestore().types
    blocks = [
        types["mbpl_msgs/msg/StateBlock"](kind=b.kind, names=list(b.names), spaces=list(b.spaces), units=list(b.units))
        for b in STATE.blocks
    ]
    return types["mbpl_msgs/msg/StateDefinition"](blocks=blocks, hash=STATE.hash)


def action_definition() -> Any:
    return typestore().types["mbpl_msgs/msg/ActionDefinition"](
        actuator_names=list(JOINTS),
        joint_names=list(JOINTS),
        interface="effort",
        units=list(ACTION.units),
        lower=ACTION.lower,
        upper=ACTION.upper,
        hash=ACTION.hash,
    )


def told_trial(start_ns: int = START_NS, seed: int = 7) -> Any:
    """The trial as its runner tells it."""
    states = np.array([state_at(HOLD_TICKS + t * TICKS_A_STEP) for t in range(STEPS + 1)])
    return typestore().types["mbpl_msgs/msg/Trial"](
        header=header(start_ns),
        task="two_joints",
        task_hash="f00",
        condition=2,
        controller=CONTROLLER,
        seed=seed,
        state_definition=state_definition(),
        action_definition=action_definition(),
        steps=STEPS,
        state_size=4,
        action_size=2,
        dt=DT,
        times=DT * np.arange(STEPS + 1),
        states=states.ravel(),
        actions=np.array([action_of(t) for t in range(STEPS)]).ravel(),
        costs=np.full(STEPS + 1, 3.25 / (STEPS + 1)),
        success=True,
        stop_reason="completed",
        metadata=json.dumps({"law_sequence": 4}),
    )


def trial_messages(after_ns: int = 0, tell: bool = True, laws: bool = True, seed: int = 7) -> Iterator[Message]:
    """Topic, type, arrival and message of all that is said around the trial, `after_ns` later than usual."""
    types = typestore().types
    wall, epoch = WALL_NS + after_ns, EPOCH_NS + after_ns
    yield "/mbpl/state_definition", "mbpl_msgs/msg/StateDefinition", wall, state_definition()
    end = HOLD_TICKS + STEPS * TICKS_A_STEP
    for tick in range(end + AFTER):
        stamp, arrival = epoch + tick * TICK_NS, wall + tick * TICK_NS
        x, step = state_at(tick), (tick - HOLD_TICKS) // TICKS_A_STEP
        controller = "hold" if tick < HOLD_TICKS else CONTROLLER if tick < end else "fallback"
        joints = types["sensor_msgs/msg/JointState"](
            header=header(stamp), name=list(JOINTS), position=x[:2], velocity=x[2:], effort=np.zeros(2)
        )
        yield "/mbpl/joint_states", "sensor_msgs/msg/JointState", arrival, joints
        state = types["mbpl_msgs/msg/RobotState"](
            header=header(stamp),
            sequence=tick + 1,
            joint_names=list(JOINTS),
            position=x[:2],
            velocity=x[2:],
            effort=np.zeros(0),
            definition_hash=STATE.hash,
            state=x,
            covariance=np.zeros(0),
        )
        yield "/mbpl/state", "mbpl_msgs/msg/RobotState", arrival, state
        command = types["mbpl_msgs/msg/JointCommand"](
            header=header(stamp),
            sequence=tick + 1,
            state_sequence=tick + 1,
            joint_names=list(JOINTS),
            interface="effort",
            values=command_at(tick),
            controller=controller,
            step=step if controller == CONTROLLER else -1,
        )
        yield "/mbpl/joint_commands", "mbpl_msgs/msg/JointCommand", arrival + LATENCY_NS, command
        if laws and controller == CONTROLLER and (tick - HOLD_TICKS) % TICKS_A_STEP == 0:
            law = types["mbpl_msgs/msg/FeedbackLaw"](
                header=header(stamp),
                sequence=step + 1,
                controller=CONTROLLER,
                joint_names=list(JOINTS),
                state_definition=state_definition(),
                action_definition=action_definition(),
                valid_from=header(0).stamp,
                valid_until=header(0).stamp,
                step=step,
                **{name: value.ravel() for name, value in law_of(step).items()},
            )
            yield "/mbpl/applied_law", "mbpl_msgs/msg/FeedbackLaw", arrival + LATENCY_NS, law
        if tell and tick == end + 1:
            yield (
                "/mbpl/trials",
                "mbpl_msgs/msg/Trial",
                arrival + LATENCY_NS,
                told_trial(epoch + HOLD_TICKS * TICK_NS, seed),
            )


def write_trial(
    path: Path, change: Callable[[Iterator[Message]], Iterator[Message]] = iter, flush_every: int = 0, **options: Any
) -> Path:
    """A bag of the trial by the project's own writer, the messages changed on their way."""
    writer = EpisodeWriter(path, METADATA)
    for number, (topic, kind, arrival, message) in enumerate(change(trial_messages(**options))):
        writer.write_message(topic, kind, arrival, message)
        if flush_every and number % flush_every == 0:
            writer.flush()
    return writer.close(ENDING)


def write_foreign(path: Path, messages: Iterator[Message], storage: StoragePlugin = StoragePlugin.SQLITE3) -> Path:
    """A bag as `ros2 bag record` leaves it: without metadata of this project."""
    connections: dict[str, Connection] = {}
    with Writer(path, version=9, storage_plugin=storage) as writer:
        for topic, kind, arrival, message in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=typestore())
            writer.write(connections[topic], arrival, typestore().serialize_cdr(message, kind))
    return path
