"""`mbpl train` and `mbpl trial --controller` as a user runs them: what they print, and their exit code."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.cli import train as command
from mbpl_control.cli.main import main
from mbpl_control.core import ExecutionMode, LinearGaussianController, Trial
from mbpl_control.runs import RunDirectory
from mbpl_control.tasks import load_task


@dataclass(frozen=True)
class Outcome:
    """What a run of the command left."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def mbpl(task_files: Path, monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path) -> Callable[..., Outcome]:
    """Run the command in this process, with the small learner of the tests of runs under both names of methods."""
    path = task_files.parents[1] / "tests" / "unit" / "runs" / "tiny_learner.py"
    spec = importlib.util.spec_from_file_location("tiny_learner", path)
    assert spec is not None and spec.loader is not None
    tiny = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tiny)
    monkeypatch.setattr(command, "build_registered", tiny.build)
    monkeypatch.setenv("MBPL_TASK_PATH", str(task_files))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["mbpl", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        code = 0 if end.value.code is None else int(end.value.code)
        return Outcome(code, *capsys.readouterr())

    return run


BEGIN = ("train", "lqr_flm", "--task", "pendulum_swingup", "--executor", "inline", "--iterations", "2")


def test_training_prints_json_alone_and_leaves_a_run_whose_laws_can_be_tried(mbpl, tmp_path: Path) -> None:
    outcome = mbpl(*BEGIN, "--seed", "5", "--samples", "2", "--output", "run", "--json")
    assert outcome.returncode == 0, outcome.stderr
    told = json.loads(outcome.stdout)
    assert outcome.stdout.count("\n") == 1
    assert (told["run"], told["method"], told["seed"], told["finished"]) == ("run", "lqr_flm", 5, True)
    assert [it["iteration"] for it in told["iterations"]] == [1, 2]
    # the first step of the small learner has no KL divergence, its second one of 1/4
    assert [it["kl"] for it in told["iterations"]] == [None, 0.25]
    directory = RunDirectory.open(tmp_path / "run")
    assert directory.description.options == {"samples": 2, "variant": None}
    assert len(directory.iterations()[0].trials()) == 4
    assert Path(told["report"]).is_file()

    file = "run/iterations/002/learner/controllers/1.npz"
    replayed = mbpl("trial", "--controller", file, "--seed", "9", "--mode", "sampled", "--save", "t.npz", "--json")
    assert replayed.returncode == 0, replayed.stderr
    told = json.loads(replayed.stdout)
    assert (told["task"], told["controller"], told["condition"]) == ("pendulum_swingup", "tiny 1", 0)
    # what training itself would have got from the same request
    law, task = LinearGaussianController.load(file), load_task("pendulum_swingup")
    expected = AgentRecipe.in_lockstep(task).build().run(law, ExecutionMode.SAMPLED, 0, 9)
    found = Trial.load("t.npz")
    np.testing.assert_array_equal(found.states, expected.states)
    np.testing.assert_array_equal(found.actions, expected.actions)
    assert told["final_distance"] == pytest.approx(task.distances(expected.states, 0)[-1])


def test_a_line_an_iteration_and_a_table_tell_people_how_it_goes(mbpl) -> None:
    outcome = mbpl(*BEGIN)
    assert outcome.returncode == 0, outcome.stderr
    lines = [line for line in outcome.stdout.splitlines() if "cost" in line and "eta" in line]
    assert len(lines) == 3
    assert "kl      0.25" in lines[1] and "success       0 %" in lines[1]
    assert "report: runs/lqr_flm-pendulum_swingup-0-" in outcome.stdout


def test_an_interrupted_run_says_how_to_go_on_and_does(mbpl, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: object, report: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as change:
        change.setattr(command.Watch, "on_iteration", interrupt)
        stopped = mbpl(*BEGIN, "--output", "run", "--json")
    assert stopped.returncode == 130
    told = json.loads(stopped.stdout)
    assert (told["finished"], len(told["iterations"])) == (False, 1)
    assert told["resume"] == "mbpl train --resume run"
    done = mbpl(*told["resume"].split()[1:], "--executor", "inline", "--json")
    assert done.returncode == 0, done.stderr
    assert [it["iteration"] for it in json.loads(done.stdout)["iterations"]] == [1, 2]
    again = mbpl("train", "--resume", "run", "--executor", "inline")
    assert again.returncode == 0
    assert "from iteration 2 of 2 iterations" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lqr", "--task", "pendulum_swingup"], "METHOD: found 'lqr'; must be one of lqr_flm, gps"),
        (["lqr_flm"], "METHOD and --task: found lqr_flm and None; must be given, or --resume"),
        (["gps", "--task", "pendulum_swingup", "--agent", "sim"], "--agent: found 'sim'; must be one of mujoco, ros"),
        (["gps", "--task", "pendulum_swingup", "--iterations", "0"], "--iterations: found 0; must be a whole number"),
        (["gps", "--task", "pendulum_swingup", "--seed", "-1"], "--seed: found -1; must be a whole number in 0"),
        (["lqr_flm", "--task", "nowhere.yaml"], "nowhere.yaml"),
        (["lqr_flm", "--task", "arm_reach", "--executor", "fork"], "executor: found 'fork'; must be one of process"),
        (["lqr_flm", "--task", "arm_reach", "--workers", "0"], "workers: found 0; must be a whole number in 1"),
        (["--resume", "nowhere"], "nowhere: no such directory"),
        (["--resume", ".", "--seed", "0"], "--seed: found '0'; must be left out with --resume"),
        (["lqr_flm", "--resume", "."], "METHOD: found 'lqr_flm'; must be left out with --resume"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(mbpl, arguments, words, tmp_path: Path) -> None:
    outcome = mbpl("train", *arguments)
    assert outcome.returncode == 2
    assert words in outcome.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "CONTROLLER and --controller: found neither; must be one of them"),
        (["hold", "--controller", "x.npz"], "found both; must be one of them"),
        (["hold", "--mode", "sampled"], "must be left out with the name of a controller"),
        (["--controller", "x.npz", "--mode", "best"], "--mode: found 'best'; must be one of open_loop, mean, sampled"),
        (["--controller", "x.npz", "--agent", "sim"], "--agent: found 'sim'; must be one of mujoco, ros"),
        (["--controller", "x.npz", "--agent", "ros", "-t", "arm_reach"], "--task: found 'arm_reach'; must be left out"),
        (["--controller", "x.npz", "--bag", "bag"], "--bag or --label: found given; must be left out in process"),
        (["--controller", "x.npz"], "x.npz: no such file"),
        (["--controller", "law.npz"], "--task: found none; must be given: law.npz does not lie in the directory"),
        (["--controller", "trial.npz", "-t", "arm_reach"], "holds a 'trial'; a trial needs a 'linear_gaussian_contr"),
    ],
)
def test_what_cannot_be_tried_is_refused(mbpl, arguments, words, make_controller, make_trial) -> None:
    make_controller().save("law.npz")
    make_trial().save("trial.npz")
    outcome = mbpl("trial", *arguments)
    assert outcome.returncode == 2
    assert words in outcome.stderr
