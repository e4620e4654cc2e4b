"""The figures of the trials of an iteration: where they went, beside where law and fit said they would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from mbpl_control.core import LinearGaussianController, LinearGaussianDynamics, Trial
from mbpl_control.core.errors import MbplError
from mbpl_control.core.validation import Array, Indices
from mbpl_control.report.figures import PALETTE, SIZE, Plate, panel
from mbpl_control.report.motion import MOST_STARTS, Path3, Tube3, plane_of, spatial_panel, time_panel
from mbpl_control.report.tube import fitted_tube, frame_spread
from mbpl_control.runs.directory import SavedIteration
from mbpl_control.tasks import Task

#: Joints that get a panel where success is not about a frame.
MOST_JOINTS = 3
#: m; a coordinate of a frame that never differs by more gets no panel.
UNMOVED = 1e-9


def motion_plates(task: Task, saved: SavedIteration, anchor: str = "", of: str = "") -> tuple[Plate, ...]:
    """Trajectories of the newest trials with the tube of their laws, and the error of the fit along the way.

    Args:
        task: of the run.
        saved: the iteration.
        anchor: goes before the anchor of each figure.
        of: for the titles.
    """
    trials = [t for t in saved.trials() if t.steps == task.horizon]
    starts = sorted({t.condition for t in trials})
    if not starts:
        return ()
    shown = starts[:MOST_STARTS]
    tubes = {c: tube for c in shown if (tube := _tube(saved, c, [t for t in trials if t.condition == c]))}
    joints = task.state.indices("joint_positions", task.robot.joint_names)
    groups = {c: [t for t in trials if t.condition == c] for c in shown}
    if task.success_frame is not None:
        panels = _in_space(task, groups, tubes, joints)
        where = f"the {task.success_frame} in the plane in which it moves most, and below it its coordinates"
    else:
        panels = _of_joints(task, groups, tubes, joints)
        where = "the joints"
    more = f" {len(starts) - len(shown)} more starts are not drawn." if len(starts) > len(shown) else ""
    tube_text = (
        " The tube is where the law is expected 95 % of the time in each coordinate: mean and covariance of the state "
        "carried through the dynamics that were fitted to these trials, P' = (A + BK) P (A + BK)ᵀ + B Σ Bᵀ + N. A "
        "learner that explores less near the target stays well inside."
        if tubes
        else " The learner kept no dynamics to draw a tube from."
    )
    plates = [
        Plate(
            anchor + "motion",
            "Trajectories of the newest trials" + of,
            f"Trials of iteration {saved.report.iteration}, start by start: {where}.{tube_text}{more}",
            tuple(panels),
        )
    ]
    return (*plates, *_error_plate(saved, shown, anchor, of))


def _tube(saved: SavedIteration, condition: int, trials: list[Trial]) -> tuple[Array, Array] | None:
    """Mean and covariance of x over the horizon; None where the learner keeps neither law nor dynamics."""
    law, dynamics = (_part(saved, name, condition) for name in ("made_from", "dynamics"))
    if law is None or dynamics is None:
        return None
    start = np.array([t.states[0] for t in trials])
    return fitted_tube(
        LinearGaussianDynamics.load(dynamics),
        LinearGaussianController.load(law),
        start.mean(axis=0),
        np.diag(start.var(axis=0)),
    )


def _part(saved: SavedIteration, name: str, condition: int) -> Path | None:
    path = saved.learner / name / f"condition_{condition}.npz"
    return path if path.is_file() else None


def _in_space(
    task: Task, groups: dict[int, list[Trial]], tubes: dict[int, tuple[Array, Array]], joints: Indices
) -> list[str]:
    frame = task.success_frame
    assert frame is not None  # noqa: S101 - the caller sees to it
    points = {
        c: [task.robot.kinematics.positions(frame, t.states[:, joints]) for t in mine] for c, mine in groups.items()
    }
    spread = {c: frame_spread(task, x[:, joints], p[:, joints][:, :, joints]) for c, (x, p) in tubes.items()}
    plane = plane_of([p for mine in points.values() for p in mine])
    panels = []
    for c, mine in points.items():
        paths = [Path3(p, PALETTE[0], f"{len(mine)} trials" if i == 0 else "") for i, p in enumerate(mine)]
        tube = Tube3(*spread[c]) if c in spread else None
        panels.append(spatial_panel(f"condition {c}", paths, tube, task.condition(c).target, plane))
    first = next(iter(groups))
    target = task.condition(first).target
    moving = np.ptp(np.concatenate(points[first]), axis=0) > UNMOVED
    for axis in np.flatnonzero(moving):
        name, band = "xyz"[axis], None
        if first in spread:
            mean, covariance = spread[first]
            band = (mean[:, axis], np.sqrt(np.maximum(covariance[:, axis, axis], 0.0)))
        panels.append(
            time_panel(
                f"condition {first}, {name} of the {frame}",
                f"{name} [m]",
                groups[first][0].times,
                [p[:, axis] for p in points[first]],
                band,
                None if target is None else float(target[axis]),
            )
        )
    return panels


def _of_joints(
    task: Task, groups: dict[int, list[Trial]], tubes: dict[int, tuple[Array, Array]], joints: Indices
) -> list[str]:
    panels = []
    for c, mine in groups.items():
        for j, name in zip(joints[:MOST_JOINTS], task.robot.joint_names, strict=False):
            band = None
            if c in tubes:
                mean, covariance = tubes[c]
                band = (mean[:, j], np.sqrt(np.maximum(covariance[:, j, j], 0.0)))
            title = f"condition {c}, {name}"
            panels.append(time_panel(title, "position", mine[0].times, [t.states[:, j] for t in mine], band, None))
    return panels


def _error_plate(saved: SavedIteration, shown: list[int], anchor: str, of: str) -> tuple[Plate, ...]:
    """One-step error of the fit along the trajectory, where the learner keeps it."""
    errors = {}
    for c in shown:
        path = _part(saved, "dynamics", c)
        if path is not None:
            dynamics = LinearGaussianDynamics.load(path)
            if dynamics.fit_error.size:
                errors[c] = (dynamics.dt, dynamics.fit_error)
    if not errors:
        return ()

    def draw(axes: Axes) -> None:
        for i, (c, (dt, error)) in enumerate(errors.items()):
            axes.plot(dt * np.arange(len(error)), error, color=PALETTE[i % len(PALETTE)], label=f"condition {c}")
        if all((error > 0.0).all() for _, error in errors.values()):
            axes.set_yscale("log")
        axes.legend(fontsize=7.0)

    return (
        Plate(
            anchor + "fit",
            "Model error along the way" + of,
            f"Root mean square over trials and coordinates of x' − (A x + B u + c), step by step, for the dynamics "
            f"fitted in iteration {saved.report.iteration}. Where it is large, the local model is not to be trusted: "
            "contacts, and where trials differ most.",
            (panel(draw, "one-step error of the fit", "time [s]", "", (2.0 * SIZE[0], SIZE[1])),),
        ),
    )


def task_of_run(task_file: str, task_hash: str) -> tuple[Task | None, str]:
    """The task a run learned, and why there is none if its file is gone or was changed."""
    from mbpl_control.tasks import load_task

    try:
        task = load_task(Path(task_file))
    except MbplError as error:
        return None, str(error)
    if task.hash != task_hash:
        return None, f"{task_file} was changed since"
    return task, ""
