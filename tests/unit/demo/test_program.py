"""What the demo sets out to do."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command

from mbpl_control.cli.main import app
from mbpl_control.cli.replay import parse_push
from mbpl_control.core import MbplError, TaskError
from mbpl_control.demo.program import (
    MPC,
    learned_swap_specs,
    learned_trial_specs,
    swap_specs,
    trial_specs,
    worlds,
)
from mbpl_control.demo.run import new_directory, run_demo
from mbpl_control.tasks import Task, load_task


def test_every_law_runs_undisturbed_pushed_and_with_a_model_error(arm_reach: Task) -> None:
    seen = {(t.controller, t.world.name) for t in trial_specs(arm_reach, 3)}
    laws = ("ilqr_open_loop", "ilqr_feedback", "ilqr_sampled")
    assert seen == {(law, world) for law in laws for world in ("none", "push", "model error")}


def test_names_of_trials_differ_so_that_no_bag_overwrites_another(arm_reach: Task) -> None:
    learned = learned_trial_specs(arm_reach, 0, Path("a.npz"), Path("b.npz"))
    names = [t.name for t in (*trial_specs(arm_reach, 0), *learned)]
    names += [s.name for s in (*swap_specs(arm_reach), *learned_swap_specs(arm_reach))]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[\w.-]+", name) for name in names)


def test_the_push_is_a_third_of_the_arms_weight_and_leaves_it_time_to_recover(arm_reach: Task) -> None:
    _, world, _ = worlds(arm_reach)
    assert world.push is not None
    assert world.push.body == "tool"
    weight = 9.81 * arm_reach.robot.mujoco_model().body_mass.sum()
    force = np.linalg.norm(world.push.wrench[:3])
    assert 0.25 * weight < force < 0.35 * weight
    assert world.push.delay + world.push.duration < arm_reach.horizon * arm_reach.dt - 0.5


def test_swaps_are_among_all_kinds_of_controllers_and_within_the_horizon(arm_reach: Task) -> None:
    specs = swap_specs(arm_reach)
    assert {name for s in specs for _, name in s.steps} == {"hold", "ilqr_open_loop", "ilqr_feedback", MPC}
    for spec in specs:
        times = [t for t, _ in spec.steps]
        assert times == sorted(times)
        assert times[-1] < 0.6 * arm_reach.horizon * arm_reach.dt


def test_the_command_that_repeats_a_trial_is_read_by_mbpl_as_that_trial(arm_reach: Task) -> None:
    command: Any = get_command(app)
    for spec in trial_specs(arm_reach, 7):
        mbpl, trial, *words = shlex.split(spec.command)
        assert (mbpl, trial) == ("mbpl", "trial")
        read = command.commands["trial"].make_context("trial", words).params
        assert (read["controller"], read["condition"], read["seed"]) == (spec.controller, 0, spec.seed)
        assert read["mass_scale"] == spec.world.mass_scale
        push = spec.world.push
        if push is None:
            assert read["push"] == ""
            continue
        again = parse_push(read["push"], read["push_body"], read["push_at"], read["push_for"])
        assert (again.body, again.delay, again.duration) == (push.body, push.delay, push.duration)
        assert (again.wrench == push.wrench).all()


def test_the_command_of_what_was_learned_names_its_file_and_its_start(arm_reach: Task) -> None:
    command: Any = get_command(app)
    controller, policy = Path("run 1/c.npz"), Path("run 1/policy.npz")
    specs = learned_trial_specs(arm_reach, 7, controller, policy)
    assert [s.condition for s in specs[1:]] == [c.index for c in arm_reach.conditions]
    for spec in specs:
        words = shlex.split(spec.command)[2:]
        read = command.commands["trial"].make_context("trial", words).params
        assert (Path(read["file"]), read["agent"]) == (spec.file, "ros")
        assert (read["condition"], read["seed"], read["mode"]) == (spec.condition, 7, "mean")


def test_a_task_about_joints_is_refused_with_what_to_try(task_files: Path) -> None:
    with pytest.raises(TaskError, match="pendulum_swingup.yaml.*about joints; try arm_reach"):
        worlds(load_task(task_files / "pendulum_swingup.yaml"))


def test_an_output_directory_that_exists_is_refused_and_untouched(tmp_path: Path, arm_reach: Task) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(MbplError, match="exists already; nothing was changed"):
        run_demo(str(arm_reach.path), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_an_output_directory_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MbplError, match=r"file/out cannot be made"):
        new_directory(tmp_path / "file" / "out")
