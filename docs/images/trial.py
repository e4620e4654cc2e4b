"""Draw docs/images/trial.png: one plan and one push, executed as the plan alone and with its feedback.

    MUJOCO_GL=egl python docs/images/trial.py

Robot, task, plan and push are those of `make demo`; the trials run in process, by the manager's own code, as they would
on the graph in lockstep. The robot is rendered by MuJoCo.
"""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mbpl_control.agents import Disturbance, MujocoAgent
from mbpl_control.core import ExecutionMode, Trial
from mbpl_control.demo.program import worlds
from mbpl_control.runtime import ManagerConfig
from mbpl_control.tasks import Task, load_task
from mbpl_control.trajopt.planning import plan_task, task_controller

OUTPUT = Path(__file__).with_name("trial.png")
#: Width and height in inches, dots per inch, and the part of the width that shows the robot.
SIZE, DPI, SCENE = (12.8, 5.4), 125, 0.54
#: Pixels rendered for one that is shown, in each direction.
OVERSAMPLING = 3
BACKGROUND, INK, FAINT = (0.063, 0.086, 0.122), "#e8edf3", "#93a0b0"
PLAN_ALONE, FEEDBACK, TARGET = (1.0, 0.48, 0.2), (0.3, 0.69, 1.0), (0.35, 0.9, 0.5)
#: Times, s, at which the arm is shown on its way.
ON_ITS_WAY = (0.0, 0.2, 0.45)


def main() -> None:
    """Run both trials and draw them."""
    task = load_task("arm_reach")
    push = worlds(task)[1].push
    assert push is not None
    law = task_controller(task, plan_task(task, 0))
    agent = MujocoAgent(task, config=ManagerConfig(blend_time=0.0, stream_blend_time=0.0), disturbances=[push])
    alone = agent.run(law, ExecutionMode.OPEN_LOOP, 0, 0)
    feedback = agent.run(law, ExecutionMode.MEAN, 0, 0)
    colours = {"axes.edgecolor": FAINT, "xtick.color": FAINT, "ytick.color": FAINT, "text.color": INK}
    with rc_context({**colours, "axes.labelcolor": FAINT, "font.family": "DejaVu Sans", "font.size": 12.0}):
        figure = Figure(figsize=SIZE, dpi=DPI, facecolor=BACKGROUND)
        scene = figure.add_axes((0.0, 0.0, SCENE, 1.0))
        scene.imshow(Rendering(task).image(alone, feedback), aspect="equal")
        scene.axis("off")
        chart = figure.add_axes((SCENE + 0.065, 0.15, 0.365, 0.6), facecolor="none")
        runs = (alone, "the plan alone", PLAN_ALONE, -95.0), (feedback, "with feedback", FEEDBACK, 20.0)
        draw_distances(chart, task, push, *runs)
        figure.text(SCENE + 0.01, 0.88, "One plan, pushed on its way", fontsize=17.0, fontweight="bold")
        figure.savefig(OUTPUT, facecolor=BACKGROUND)
    print(f"written to {OUTPUT}")


def draw_distances(
    chart: Axes, task: Task, push: Disturbance, *runs: tuple[Trial, str, tuple[float, ...], float]
) -> None:
    """Distance of the tip from its target over time, mm, with the time of the push.

    Args:
        chart: where to.
        task: whose distance counts.
        push: what all runs have in common.
        runs: trial, name, colour, and how far above its end, in points, its label stands.
    """
    force = float(np.linalg.norm(push.wrench[:3]))
    chart.axvspan(push.delay, push.delay + push.duration, color=INK, alpha=0.16, linewidth=0.0)
    above = chart.get_xaxis_transform()
    chart.text(push.delay + 0.5 * push.duration, 1.02, f"{force:.0f} N", transform=above, ha="center", fontsize=11.0)
    for trial, name, colour, above_end in runs:
        distance = 1e3 * task.distances(trial.states, 0)
        chart.plot(trial.times, distance, color=colour, linewidth=2.6)
        end = f"{distance[-1]:.0f} mm" if distance[-1] >= 10.0 else f"{distance[-1]:.1f} mm"
        chart.annotate(
            f"{name}\n{end}",
            (trial.times[-1], distance[-1]),
            (0.0, above_end),
            textcoords="offset points",
            ha="right",
            color=colour,
            fontweight="bold",
        )
    chart.set_xlabel("time  [s]")
    chart.set_ylabel("tip to target  [mm]")
    chart.set_xlim(0.0, task.horizon * task.dt)
    chart.set_ylim(0.0, None)
    chart.grid(color=FAINT, alpha=0.2)
    chart.spines[["top", "right"]].set_visible(False)


class Rendering:
    """The arm of a task against the picture's background."""

    def __init__(self, task: Task) -> None:
        """Compile the model with a flat sky, without its floor."""
        self._target = task.condition(0).target
        spec = mujoco.MjSpec.from_file(str(task.robot.path))
        spec.delete(spec.geom("floor"))
        sky = spec.add_texture(name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, width=32, height=192)
        sky.builtin, sky.rgb1, sky.rgb2 = mujoco.mjtBuiltin.mjBUILTIN_FLAT, list(BACKGROUND), list(BACKGROUND)
        spec.visual.headlight.ambient, spec.visual.headlight.diffuse = [0.35] * 3, [0.45] * 3
        self._model = spec.compile()
        self._data = mujoco.MjData(self._model)
        self._option = mujoco.MjvOption()

    def image(self, alone: Trial, feedback: Trial) -> np.ndarray:
        """Both ends, the way of one, and the paths of both tips. (H, W, 3) of bytes."""
        height, width = round(SIZE[1] * DPI), round(SIZE[0] * SCENE * DPI)
        shape = (OVERSAMPLING * height, OVERSAMPLING * width)
        self._model.vis.global_.offheight, self._model.vis.global_.offwidth = shape
        camera = mujoco.MjvCamera()
        camera.lookat[:] = (0.15, 0.1, -0.285)
        camera.distance, camera.azimuth, camera.elevation = 1.4, 122.0, -20.0
        with mujoco.Renderer(self._model, *shape, max_geom=5000) as renderer:
            self._put(feedback.states[-1])
            renderer.update_scene(self._data, camera, self._option)
            for time in ON_ITS_WAY:
                self._put(feedback.states[round(time / feedback.dt)])
                self._add_arm(renderer.scene, None, 0.12)
            self._put(alone.states[-1])
            self._add_arm(renderer.scene, PLAN_ALONE, 0.5)
            for trial, colour in ((alone, PLAN_ALONE), (feedback, FEEDBACK)):
                self._add_path(renderer.scene, trial, colour)
            self._add(renderer.scene, mujoco.mjtGeom.mjGEOM_SPHERE, np.array([0.02, 0.0, 0.0]), self._target, TARGET)
            pixels = renderer.render()
        return pixels.reshape(height, OVERSAMPLING, width, OVERSAMPLING, 3).mean(axis=(1, 3)).astype(np.uint8)

    def _put(self, state: np.ndarray) -> np.ndarray:
        """Move the arm; where its tip is then."""
        self._data.qpos[:] = state[: self._model.nq]
        mujoco.mj_forward(self._model, self._data)
        return self._data.site("tip").xpos.copy()

    def _add_arm(self, scene: mujoco.MjvScene, colour: tuple[float, ...] | None, alpha: float) -> None:
        """The moving parts once more, translucent and a little thinner than the arm they may lie in."""
        first = scene.ngeom
        moving = int(mujoco.mjtCatBit.mjCAT_DYNAMIC)
        mujoco.mjv_addGeoms(self._model, self._data, self._option, mujoco.MjvPerturb(), moving, scene)
        for geom in scene.geoms[first : scene.ngeom]:
            geom.size[:] *= 0.99
            geom.rgba[3] = alpha
            if colour is not None:
                geom.rgba[:3] = colour

    def _add_path(self, scene: mujoco.MjvScene, trial: Trial, colour: tuple[float, ...]) -> None:
        points = [self._put(x) for x in trial.states]
        for begin, end in zip(points, points[1:], strict=False):
            geom = self._add(scene, mujoco.mjtGeom.mjGEOM_CAPSULE, np.zeros(3), begin, colour)
            mujoco.mjv_connector(geom, mujoco.mjtGeom.mjGEOM_CAPSULE, 0.004, begin, end)

    @staticmethod
    def _add(
        scene: mujoco.MjvScene, kind: int, size: np.ndarray, position: np.ndarray, colour: tuple[float, ...]
    ) -> mujoco.MjvGeom:
        geom = scene.geoms[scene.ngeom]
        rgba = np.array([*colour, 1.0], dtype=np.float32)
        mujoco.mjv_initGeom(geom, kind, size, np.asarray(position), np.eye(3).ravel(), rgba)
        geom.emission = 0.2
        scene.ngeom += 1
        return geom


if __name__ == "__main__":
    main()
