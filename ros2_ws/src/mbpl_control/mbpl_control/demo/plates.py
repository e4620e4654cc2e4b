"""The figures of the report: trajectories, torques, the tube of the sampled law."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from mbpl_control.demo.animation import animation_plate
from mbpl_control.demo.plates_learning import learning_plates
from mbpl_control.demo.plates_runtime import latency_plate, swap_plate
from mbpl_control.demo.program import FEEDBACK, OPEN_LOOP, SAMPLED
from mbpl_control.demo.records import DemoResult, TrialRecord
from mbpl_control.demo.styles import COLORS, LABELS, PLAN_STYLE, TARGET, TIME, draw_commands, shade_push
from mbpl_control.report.figures import INK, PALETTE, SIZE, Plate, panel

CONTROLLERS = (OPEN_LOOP, FEEDBACK, SAMPLED)
#: Views of the robot: two world axes to draw, with their labels.
VIEWS = ((0, 2, "x [m]", "z [m]", "from the side"), (0, 1, "x [m]", "y [m]", "from above"))


def plates(result: DemoResult) -> tuple[Plate, ...]:
    """All figures, in the order of the story."""
    return (
        animation_plate(result),
        motion_plate(result),
        distance_plate(result),
        trajectory_plate(result),
        torque_plate(result),
        tube_plate(result),
        *learning_plates(result),
        swap_plate(result),
        latency_plate(result),
    )


def motion_plate(result: DemoResult) -> Plate:
    """The robot's skeleton under the push, open loop beside feedback."""
    panels = []
    for controller in (OPEN_LOOP, FEEDBACK):
        trial = result.trial(controller, "push")
        for across, up, x, y, view in VIEWS:

            def draw(axes: Axes, trial: TrialRecord = trial, a: int = across, u: int = up) -> None:
                chain = result.skeletons[trial.spec.name]
                instants = np.linspace(0, len(chain) - 1, 9).astype(int)
                for rank, t in enumerate(instants):
                    alpha = 0.12 + 0.75 * (rank / (len(instants) - 1)) ** 2
                    axes.plot(chain[t, :, a], chain[t, :, u], color=INK, alpha=alpha, linewidth=2.2, marker="o", ms=2.5)
                points = trial.points
                axes.plot(points[:, a], points[:, u], color=COLORS[trial.spec.controller], linewidth=1.8)
                axes.plot(*result.target[[a, u]], marker="+", ms=13, mew=2.0, color=TARGET, linestyle="none")
                axes.set_aspect("equal", adjustable="datalim")

            panels.append(panel(draw, f"{LABELS[controller]}, pushed, {view}", x, y, (SIZE[0], 3.6)))
    open_loop, feedback = (result.trial(c, "push") for c in (OPEN_LOOP, FEEDBACK))
    return Plate(
        "motion",
        "What a push does",
        f"Nine instants of the same task under the same {open_loop.spec.world.text}, faint at the beginning and "
        f"strong at the end; the coloured line is the path of the {result.frame}, the cross its target. Playing the "
        f"plan alone, the robot is carried off and ends {_mm(open_loop.final_distance)} away; with the gains of the "
        f"same plan it comes back and ends {_mm(feedback.final_distance)} away.",
        tuple(panels),
    )


def distance_plate(result: DemoResult) -> Plate:
    """Distance to the target over time, a panel per world."""
    panels = []
    for world in _worlds(result):

        def draw(axes: Axes, world: str = world) -> None:
            for controller in CONTROLLERS:
                for i, trial in enumerate(_trials(result, controller, world)):
                    axes.plot(
                        trial.times,
                        1e3 * np.maximum(trial.distances, 1e-4),
                        color=COLORS[controller],
                        label=LABELS[controller] if i == 0 else None,
                        linewidth=1.6 if i == 0 else 0.9,
                        alpha=1.0 if i == 0 else 0.6,
                    )
            axes.axhline(10.0, color=TARGET, linewidth=1.0, linestyle=":")
            axes.set_yscale("log")
            axes.legend(loc="lower left")
            _mark_push(axes, result, world)

        title = {"none": "undisturbed", "push": "pushed", "model error": "20 % heavier than the model"}[world]
        panels.append(panel(draw, title, TIME, "distance to target [mm]"))
    return Plate(
        "distance",
        "Distance to the target",
        f"How far the {result.frame} is from its target, on a logarithmic scale; the dotted line is 10 mm. All three "
        "laws follow the same plan. Open loop keeps whatever goes wrong; feedback closes what a push or wrong masses "
        "open. The sampled law carries exploration noise on purpose, which is why it stays a few millimetres away.",
        tuple(panels),
    )


def trajectory_plate(result: DemoResult) -> Plate:
    """Coordinates of the frame and joints under the push."""
    panels = []
    for axis, name in enumerate("xyz"):

        def draw(axes: Axes, axis: int = axis) -> None:
            for controller in CONTROLLERS:
                trial = result.trial(controller, "push")
                axes.plot(trial.times, trial.points[:, axis], color=COLORS[controller], label=LABELS[controller])
            times = result.trial(FEEDBACK, "push").times
            axes.plot(times, result.planned[:, axis], label="plan", **PLAN_STYLE)
            axes.axhline(result.target[axis], color=TARGET, linewidth=1.0, linestyle=":")
            _mark_push(axes, result, "push")
            if axis == 0:
                axes.legend(loc="best")

        panels.append(panel(draw, f"{result.frame}, {name}", TIME, f"{name} [m]"))
    for controller in (OPEN_LOOP, FEEDBACK, SAMPLED):

        def joints(axes: Axes, controller: str = controller) -> None:
            trial = result.trial(controller, "push")
            for j, joint in enumerate(result.joint_names):
                axes.plot(trial.times, trial.states[:, j], color=PALETTE[j % len(PALETTE)], label=joint, linewidth=1.3)
            _mark_push(axes, result, "push")
            if controller == OPEN_LOOP:
                axes.legend(loc="best", ncols=2, fontsize=7.0)

        panels.append(panel(joints, f"joints, {LABELS[controller]}", TIME, "position [rad]"))
    return Plate(
        "trajectories",
        "Trajectories under the push",
        f"Above, the three coordinates of the {result.frame} beside the plan (dashed) and the target (dotted); "
        "below, all joints. The shaded time is the push. Feedback returns to the plan within a few tenths of a "
        "second, in every joint.",
        tuple(panels),
    )


def torque_plate(result: DemoResult) -> Plate:
    """Commands of the joints, as fractions of their limits."""
    panels = []
    for controller, world in ((FEEDBACK, "none"), (FEEDBACK, "push"), (SAMPLED, "none")):
        trial = result.trial(controller, world)

        def draw(axes: Axes, trial: TrialRecord = trial, world: str = world) -> None:
            draw_commands(axes, trial.command_times, trial.commands, result.limits, result.joint_names)
            _mark_push(axes, result, world)
            if world == "none" and trial.spec.controller == FEEDBACK:
                axes.legend(loc="best", ncols=2, fontsize=7.0)

        how = "pushed" if world == "push" else "undisturbed"
        panels.append(panel(draw, f"{LABELS[controller]}, {how}", TIME, "command [% of limit]"))
    peak = max(np.abs(t.commands / result.limits).max() for t in result.trials)
    return Plate(
        "torques",
        "Commands",
        f"What the controller manager sent at {result.rate:.0f} Hz, after all limits, as a percentage of each "
        "actuator's limit. Mean feedback answers the push within one period. The sampled law draws its noise once a "
        f"step and holds it, which shows as stairs. The largest command of all trials is {100.0 * peak:.0f} % of its "
        "limit.",
        tuple(panels),
    )


def tube_plate(result: DemoResult) -> Plate:
    """Sampled trials inside the spread that the law's covariance predicts."""
    samples = _trials(result, SAMPLED, "none")
    mean = result.trial(FEEDBACK, "none")
    inside = inside_fraction(result)
    panels = []
    for axis, name in enumerate("xyz"):

        def draw(axes: Axes, axis: int = axis) -> None:
            width = 2e3 * result.tube[:, axis]
            times = samples[0].times
            axes.fill_between(times, -width, width, color=COLORS[SAMPLED], alpha=0.18, lw=0.0, label="predicted ± 2σ")
            for i, trial in enumerate(samples):
                label = f"{len(samples)} sampled trials" if i == 0 else None
                error = 1e3 * (trial.points[:, axis] - mean.points[:, axis])
                axes.plot(trial.times, error, color=COLORS[SAMPLED], linewidth=1.0, label=label)
            if axis == 0:
                axes.legend(loc="lower left", fontsize=7.5)

        panels.append(panel(draw, f"{name} of the {result.frame}, less mean feedback", TIME, "deviation [mm]"))
    return Plate(
        "tube",
        "The covariance tube",
        "The sampled law u ~ N(û + K (x − x̂), Σ) explores on purpose. The shaded tube is where the model says it "
        "will be 95 % of the time: the state covariance carried through the linearised dynamics in closed loop, P' "
        f"= (A + BK) P (A + BK)ᵀ + B Σ Bᵀ, seen at the {result.frame} as ± 2σ around the trial of the mean law. The "
        f"lines are the sampled trials that the robot ran with the same plan and other seeds; {100.0 * inside:.0f} % "
        "of their points lie inside.",
        tuple(panels),
    )


def inside_fraction(result: DemoResult) -> float:
    """Fraction of coordinates of sampled trials within 2σ of the mean law's trial, the known start left out."""
    mean = result.trial(FEEDBACK, "none").points[1:]
    errors = np.array([t.points[1:] - mean for t in _trials(result, SAMPLED, "none")])
    return float((np.abs(errors) <= 2.0 * result.tube[1:]).mean())


def _worlds(result: DemoResult) -> list[str]:
    return list(dict.fromkeys(t.spec.world.name for t in result.trials))


def _trials(result: DemoResult, controller: str, world: str) -> list[TrialRecord]:
    return [t for t in result.trials if (t.spec.controller, t.spec.world.name) == (controller, world)]


def _mark_push(axes: Axes, result: DemoResult, world: str) -> None:
    push = result.trial(FEEDBACK, world).spec.world.push
    if push is not None:
        shade_push(axes, push.delay, push.duration)


def _mm(meters: float) -> str:
    return f"{1e3 * meters:.1f} mm"
