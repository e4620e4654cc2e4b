"""The viewer's process: snapshots come in by the standard input, the scene goes to browsers on this machine."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

import mujoco
import numpy as np
import viser
from mjviser import ViserMujocoScene

from mbpl_control.core.validation import Array
from mbpl_control.tasks import Task, load_task
from mbpl_sim.viewer_protocol import READY, Snapshot, size

HOST, PORT = "127.0.0.1", 8080
#: A robot this close to a start, rad or m, was just put there: its condition's target is shown.
AT_START = 0.02
#: m of arrow per N of push.
ARROW_SCALE = 0.005
TRACE_POINTS = 150
_TARGET, _TRACE, _PUSH = (60, 180, 90), (240, 140, 40), (220, 40, 40)


class Scene:
    """Robot, target, trace of the frame the task is about, and pushes."""

    def __init__(self, server: viser.ViserServer, task: Task) -> None:
        """Build the robot and place the camera."""
        self._server, self._task = server, task
        self._model = task.robot.mujoco_model()
        self._data = mujoco.MjData(self._model)
        center, reach = self._moving_part()
        server.initial_camera.position = tuple(center + reach * np.array([0.8, -1.2, 0.5]))
        server.initial_camera.look_at = tuple(center)
        self._robot = ViserMujocoScene(server, self._model, num_envs=1)
        self._robot.camera_tracking_enabled = False
        self._clock: Any = server.gui.add_text("simulated time", initial_value="–", disabled=True)
        self._target: Array | None = None
        self._trace: list[Array] = []
        self._arrow: viser.ArrowsHandle | None = None

    def _moving_part(self) -> tuple[Array, float]:
        """Centre (3,) and size, m, of a box around all that moves, with the robot at its first start."""
        self._data.qpos[:] = self._task.conditions[0].state[: self._task.robot.nq]
        mujoco.mj_kinematics(self._model, self._data)
        moving = self._model.geom_bodyid > 0
        points, radii = self._data.geom_xpos[moving], self._model.geom_rbound[moving, None]
        low, high = (points - radii).min(axis=0), (points + radii).max(axis=0)
        return 0.5 * (low + high), float((high - low).max())

    def show(self, snapshot: Snapshot) -> None:
        """Move everything to a snapshot."""
        self._data.qpos[:] = snapshot.positions
        mujoco.mj_kinematics(self._model, self._data)
        self._robot.update_from_mjdata(self._data)
        self._show_target(snapshot.positions)
        self._show_trace(snapshot.positions)
        self._show_push(snapshot)
        self._clock.value = f"{snapshot.time:.1f} s"

    def _show_target(self, positions: Array) -> None:
        for condition in self._task.conditions:
            start = condition.state[: self._task.robot.nq]
            if condition.target is None or np.abs(positions - start).max() > AT_START:
                continue
            self._trace.clear()
            if self._target is None or not np.array_equal(self._target, condition.target):
                self._target = condition.target
                self._server.scene.add_icosphere(
                    "/target", radius=0.015, color=_TARGET, position=tuple(condition.target), opacity=0.8
                )
            return

    def _show_trace(self, positions: Array) -> None:
        frame = self._task.success_frame
        if frame is None:
            return
        point = self._task.robot.kinematics.positions(frame, positions[None])[0]
        if self._trace and np.linalg.norm(point - self._trace[-1]) < 1e-3:
            return
        if self._trace and np.linalg.norm(point - self._trace[-1]) > 0.15:
            self._trace.clear()  # it was put elsewhere, not moved
        self._trace = [*self._trace[-TRACE_POINTS:], point]
        if len(self._trace) > 1:
            points = np.array(self._trace)
            segments = np.stack([points[:-1], points[1:]], axis=1)
            self._server.scene.add_line_segments(
                "/trace", segments, colors=_TRACE, thickness=3.0, thickness_units="screen"
            )

    def _show_push(self, snapshot: Snapshot) -> None:
        if snapshot.force is None:
            if self._arrow is not None:
                self._arrow.remove()
                self._arrow = None
            return
        end = self._data.xipos[snapshot.body]
        points = np.array([[end - ARROW_SCALE * snapshot.force, end]])
        self._arrow = self._server.scene.add_arrows("/push", points, colors=_PUSH)


def snapshots(stream: BinaryIO, nq: int) -> Iterator[Snapshot]:
    """Snapshots until the other side closes the pipe, or dies."""
    while True:
        data = stream.read(size(nq))
        if len(data) < size(nq):
            return
        yield Snapshot.unpack(data, nq)


def main() -> None:
    """Serve until the standard input ends."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.nice(10)  # control comes first, where they share a core
    task = load_task(sys.argv[1])
    server = viser.ViserServer(host=HOST, port=PORT, label=f"mbpl {task.name}", verbose=False)
    scene = Scene(server, task)
    print(f"{READY} http://localhost:{server.get_port()}", flush=True)
    for snapshot in snapshots(sys.stdin.buffer, task.robot.nq):
        scene.show(snapshot)
    server.stop()


if __name__ == "__main__":
    main()
