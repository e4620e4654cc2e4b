"""`mbpl train` of step learners and `mbpl compare` as a user runs them, with small learners."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.cli import compare as compare_command
from mbpl_control.cli import train_steps as command
from mbpl_control.cli.main import main
from mbpl_control.cli.several import spread
from mbpl_control.core import ExecutionMode
from mbpl_control.core.errors import InvalidFieldError, MbplError, SolverError
from mbpl_control.mbrl.methods import METHODS, build_method
from mbpl_control.mbrl.sac_learner import SacLearner
from mbpl_control.mbrl.task_problem import load_problem
from mbpl_control.policies.policy import GaussianPolicy
from mbpl_control.runs.step_run import StepRun
from mbpl_control.tasks import load_task


@dataclass(frozen=True)
class Outcome:
    """What a run of the command left."""

    returncode: int
    stdout: str
    stderr: str


def module_at(path: Path) -> ModuleType:
    """A file of a test as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def mbpl(task_files: Path, monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path) -> Callable[..., Outcome]:
    """Run the command in this process, with small learners under all names of methods."""
    tests = task_files.parents[1] / "tests" / "unit"
    for module in (command, compare_command):
        monkeypatch.setattr(module, "build_method", module_at(tests / "cli" / "tiny_steps.py").build)
    monkeypatch.setattr(compare_command, "build_registered", module_at(tests / "runs" / "tiny_learner.py").build)
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


TASK = "rotary_pendulum_balance"
BEGIN = ("train", "sac", "--task", TASK, "--steps", "120", "--every", "50", "--seeds", "3", "5")


def columns(path: Path, *without: str) -> dict[str, list[Any]]:
    table = pyarrow.parquet.read_table(path).to_pydict()
    return {name: values for name, values in table.items() if name not in without}


def test_every_seed_leaves_its_evaluations_and_a_policy_that_runs_on_the_robot(mbpl, tmp_path: Path) -> None:
    outcome = mbpl(*BEGIN, "--output", "run", "--json")
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.count("\n") == 1
    told = json.loads(outcome.stdout)
    assert (told["run"], told["method"], told["task"], told["finished"]) == ("run", "sac", TASK, True)
    assert [each["seed"] for each in told["seeds"]] == [3, 5]
    # episodes of 50 steps, from each of 3 starts, until 120 steps are over
    for each in told["seeds"]:
        assert [e["steps"] for e in each["evaluations"]] == [50, 100, 150]
    rows = columns(tmp_path / "run" / "evaluations.parquet")
    assert list(rows) == ["seed", "evaluation", "steps", "seconds", "episode", "return", "success"]
    assert rows["seed"] == [3] * 9 + [5] * 9 and rows["episode"] == [0, 1, 2] * 6
    np.testing.assert_allclose(np.mean(rows["return"][:3]), told["seeds"][0]["evaluations"][0]["return"])
    assert Path(told["report"]).is_file()

    # the policy does on the robot, by name, what its learner was judged by
    file = told["seeds"][1]["policy"]
    task, policy = load_task(TASK), GaussianPolicy.load(file)
    assert (policy.task, policy.task_hash) == (task.name, task.hash)
    trial = AgentRecipe.in_lockstep(task).build().run(policy, ExecutionMode.MEAN, 2, 0)
    assert rows["return"][-1] == pytest.approx(-trial.cost, rel=1e-9)
    assert mbpl("trial", "--controller", file, "--task", TASK, "--json").returncode == 0


def test_an_interrupted_run_goes_on_and_comes_to_the_same(
    mbpl, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = mbpl(*BEGIN, "--output", "whole")
    assert whole.returncode == 0, whole.stderr
    save, kept = StepRun.save_evaluations, []

    def interrupt(self: StepRun, seed: int, evaluations: list) -> None:
        save(self, seed, evaluations)
        kept.append(seed)
        if len(kept) == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as change:
        change.setattr(StepRun, "save_evaluations", interrupt)
        stopped = mbpl(*BEGIN, "--output", "run", "--json")
    assert stopped.returncode == 130
    told = json.loads(stopped.stdout)
    assert (told["finished"], told["resume"]) == (False, "mbpl train --resume run")
    assert [len(each["evaluations"]) for each in told["seeds"]] == [3, 2]
    assert StepRun.open(tmp_path / "run").left == [5]
    before = (tmp_path / "run" / "seeds" / "3" / "evaluations.parquet").read_bytes()
    done = mbpl(*told["resume"].split()[1:])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "seeds" / "3" / "evaluations.parquet").read_bytes() == before
    tables = [columns(tmp_path / name / "evaluations.parquet", "seconds") for name in ("whole", "run")]
    assert tables[0] == tables[1]


def test_a_method_without_a_policy_says_so_and_gymnasium_has_tasks_too(mbpl, tmp_path: Path) -> None:
    begin = ("train", "linear_quadratic", "--task", "gym:InvertedPendulum-v5", "--steps", "20")
    outcome = mbpl(*begin, "--output", "run")
    assert outcome.returncode == 0, outcome.stderr
    assert not (tmp_path / "run" / "seeds" / "0" / "policy.npz").exists()
    assert "the method has no policy to keep" in (tmp_path / "run" / "report.html").read_text()
    again = mbpl("train", "--resume", "run")
    assert again.returncode == 0 and "return at the end" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sac", "-t", TASK], "--steps: found none; must be given with sac"),
        (["sac", "-t", TASK, "--steps", "0"], "--steps: found 0; must be a whole number in 1"),
        (["sac", "-t", TASK, "--steps", "9", "--every", "0"], "--every: found 0; must be a whole number in 1"),
        (
            ["sac", "-t", TASK, "--steps", "9", "--seeds", "1", "1"],
            "--seeds: found 1, 1; must be one or more, each once",
        ),
        (
            ["sac", "-t", TASK, "--steps", "9", "--seed", "1"],
            "--seed: found '1'; must be left out with sac, which learns",
        ),
        (
            ["mbpo", "-t", TASK, "--steps", "9", "--iterations", "2"],
            "--iterations: found '2'; must be left out with mbpo",
        ),
        (["sac", "-t", TASK, "--steps", "9", "--agent", "ros"], "--agent: found 'ros'; must be left out"),
        (["sac", "-t", TASK, "--steps", "9", "--workers", "2"], "--workers: found '2'; must be left out"),
        (["lqr_flm", "-t", TASK, "--steps", "9"], "--steps: found '9'; must be left out with lqr_flm, which learns by"),
        (["gps", "-t", TASK, "--seeds", "1", "2"], "--seeds: found '[1, 2]'; must be left out with gps"),
        (["sac", "-t", "gym:Ant-v5", "--steps", "9"], "task: found 'Ant-v5'; must be one of InvertedPendulum-v5"),
        (["sac", "-t", "puck_push", "--steps", "9"], "puck_push.yaml: what its start conditions cost differs"),
        (["lqr_flm", "-t", "gym:InvertedPendulum-v5"], "no task 'gym:InvertedPendulum-v5'"),
    ],
)
def test_what_cannot_be_learned_is_refused_before_anything_is_written(mbpl, arguments, words, tmp_path: Path) -> None:
    outcome = mbpl("train", *arguments)
    assert outcome.returncode == 2
    assert words in outcome.stderr
    assert list(tmp_path.iterdir()) == []


COMPARE = (
    "compare",
    "--task",
    TASK,
    "--methods",
    "lqr_flm",
    "backprop",
    "mpc_cem",
    "--seeds",
    "0",
    "1",
    "--steps",
    "200",
)


def test_methods_of_both_kinds_stand_in_one_table(mbpl, tmp_path: Path) -> None:
    outcome = mbpl(*COMPARE, "--output", "all", "--executor", "inline", "--json")
    assert outcome.returncode == 0, outcome.stderr
    told = json.loads(outcome.stdout)
    assert [(c["method"], c["seed"]) for c in told["curves"]] == [
        (method, seed) for method in ("lqr_flm", "backprop", "mpc_cem") for seed in (0, 1)
    ]
    steps = {c["method"]: c["steps"] for c in told["curves"]}
    # whole iterations that fit: those of the small learner are 6 trials of 10 steps; step learners have episodes of 50
    assert steps == {"lqr_flm": 180, "backprop": 200, "mpc_cem": 200}
    page = (tmp_path / "all" / "report.html").read_text()
    for name in steps:
        assert f"<td>{name}</td>" in page
    resumed = mbpl("compare", "--resume", "all", "--json", "--executor", "inline")
    assert json.loads(resumed.stdout)["curves"] == told["curves"]


def test_a_method_that_ends_with_an_error_does_not_keep_the_others_from_learning(
    mbpl, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = command.build_method

    def lame(method, problem, seed, options=None):
        learner = whole(method, problem, seed, options)
        if method == "backprop" and seed == 1:

            def advance() -> None:
                raise SolverError("the gradient is not finite")

            learner.advance = advance
        return learner

    monkeypatch.setattr(command, "build_method", lame)
    outcome = mbpl(*COMPARE, "--output", "all", "--executor", "inline", "--json")
    assert outcome.returncode == 2
    assert "1 of 3 methods ended with an error: backprop: the gradient is not finite" in outcome.stderr
    told = json.loads(outcome.stdout)
    assert told["failed"] == {"backprop": "the gradient is not finite"}
    assert not told["finished"]
    # what it learned before stays, and what comes after it is learned
    assert [(c["method"], c["seed"]) for c in told["curves"]] == [
        ("lqr_flm", 0),
        ("lqr_flm", 1),
        ("backprop", 0),
        ("mpc_cem", 0),
        ("mpc_cem", 1),
    ]
    assert "backprop ended with an error" in (tmp_path / "all" / "report.html").read_text()
    monkeypatch.setattr(command, "build_method", whole)
    resumed = mbpl("compare", "--resume", "all", "--json", "--executor", "inline")
    assert resumed.returncode == 0, resumed.stderr
    assert len(json.loads(resumed.stdout)["curves"]) == 6


def test_a_method_may_have_steps_of_its_own(mbpl, tmp_path: Path) -> None:
    methods = ("--methods", "lqr_flm=60", "mpc_cem=100", "backprop")
    arguments = ("compare", "--task", TASK, *methods, "--steps", "200", "--output", "own")
    outcome = mbpl(*arguments, "--executor", "inline", "--json")
    assert outcome.returncode == 0, outcome.stderr
    told = json.loads(outcome.stdout)
    assert {c["method"]: c["steps"] for c in told["curves"]} == {"lqr_flm": 60, "mpc_cem": 100, "backprop": 200}
    assert "60 of lqr_flm, 100 of mpc_cem, 200 of backprop" in (tmp_path / "own" / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["-t", TASK, "--methods", "sac"],
            "--task, --methods and --steps: found rotary_pendulum_balance, sac and None",
        ),
        (
            ["-t", TASK, "--steps", "9", "--methods", "sac", "dqn"],
            "--methods: found 'dqn'; must be one of lqr_flm, gps",
        ),
        (
            ["-t", TASK, "--steps", "9", "--methods", "sac", "sac"],
            "--methods: found sac, sac; must be each once",
        ),
        (
            ["-t", TASK, "--steps", "9", "--methods", "sac=many"],
            "--methods: found sac=many; must be NAME or NAME=STEPS, a whole number",
        ),
        (
            ["-t", TASK, "--steps", "9", "--methods", "sac=0"],
            "steps of sac: found 0; must be",
        ),
        (["-t", TASK, "--steps", "9", "--methods", "sac", "--episodes", "0"], "--episodes: found 0; must be"),
        (
            ["-t", "gym:Pendulum-v1", "--steps", "9", "--methods", "gps"],
            "--methods: found gps; must be one of linear_q",
        ),
        (["--resume", "nowhere"], "nowhere/compare.yaml: no such file; a directory of a comparison has one"),
        (["--resume", ".", "--steps", "9"], "--steps: found '9'; must be left out with --resume"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_written(mbpl, arguments, words, tmp_path: Path) -> None:
    outcome = mbpl("compare", *arguments)
    assert outcome.returncode == 2
    assert words in outcome.stderr
    assert list(tmp_path.iterdir()) == []


def test_options_with_several_values_end_where_the_next_begins() -> None:
    typed = ["train", "--seeds", "0", "1", "sac", "--methods", "a", "b", "-t", "x", "--seeds", "-1"]
    assert " ".join(spread(typed)) == "train --seeds 0 --seeds 1 sac --methods a --methods b -t x --seeds -1"
    assert spread(["--seeds", "0", "--seeds", "1"]) == ["--seeds", "0", "--seeds", "1"]
    typed = ["train", "--option", "a=1", "b=2", "sac", "--option", "c.d=[1, 2]"]
    assert " ".join(spread(typed)) == "train --option a=1 --option b=2 sac --option c.d=[1, 2]"


def test_every_method_can_be_built_and_changed_by_name() -> None:
    problem = load_problem("gym:InvertedPendulum-v5")
    with pytest.raises(MbplError, match="method: found 'dqn'; must be one of linear_quadratic, mpc_cem"):
        build_method("dqn", problem, 0)
    for name in METHODS:
        learner = build_method(name, problem, 0)
        assert learner.problem is problem and learner.steps == 0
    changed = build_method("mbpo", problem, 0, {"branches.newest": 500, "sac.hidden": [32], "ensemble.members": 3})
    assert isinstance(changed, SacLearner) and changed.branches is not None
    assert (changed.branches.options.newest, changed.options.sac.hidden) == (500, (32,))
    assert changed.options.colour == 0.0 and changed.dynamics.options.members == 3
    planned = build_method("mpc_icem", problem, 0, {"planner.samples": 40, "collection.every": 25})
    assert planned.collection.every == 25
    assert build_method("backprop", problem, 0, {"ensemble.steps": 7}).dynamics.options.steps == 7
    # what has no effect is no option
    with pytest.raises(InvalidFieldError, match=r"sac.option: found 'ensemble.steps'; must be one of explore, colour"):
        build_method("sac", problem, 0, {"ensemble.steps": 7})
    with pytest.raises(InvalidFieldError, match=r"mve.option: found 'branches.newest'; must be"):
        build_method("mve", problem, 0, {"branches.newest": 7})


def test_options_are_kept_with_the_run_and_given_to_every_seed(mbpl, monkeypatch, tmp_path: Path) -> None:
    given: list[Any] = []
    tiny = command.build_method

    def told(method: str, problem: Any, seed: int, options: Any) -> Any:
        given.append(dict(options))
        return tiny(method, problem, seed, options)

    monkeypatch.setattr(command, "build_method", told)
    outcome = mbpl(*BEGIN, "--option", "colour=1", "sac.hidden=[32, 32]", "--output", "run")
    assert outcome.returncode == 0, outcome.stderr
    changed = {"colour": 1, "sac.hidden": [32, 32]}
    assert given == [changed, changed]
    assert StepRun.open(tmp_path / "run").description.options == changed
    assert "colour = 1, sac.hidden = [32, 32]" in (tmp_path / "run" / "report.html").read_text()

    compared = ("compare", "--task", TASK, "--methods", "sac", "backprop", "--steps", "60", "--output", "all")
    outcome = mbpl(*compared, "--option", "sac:updates=5", "backprop:descent.clip=0.5")
    assert outcome.returncode == 0, outcome.stderr
    assert given[2:] == [{"updates": 5}, {"descent.clip": 0.5}]
    page = (tmp_path / "all" / "report.html").read_text()
    assert "options of sac" in page and "descent.clip = 0.5" in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "sac", "--option", "colour=-1"), "colour: found -1.0; must be at least 0 and finite"),
        (("train", "sac", "--option", "warmth=1"), "option: found 'warmth'; must be one of explore, colour"),
        (("train", "sac", "--option", "warmth"), "--option: found 'warmth'; must be NAME=VALUE"),
        (("compare", "--methods", "sac", "--option", "colour=1"), "found 'colour'; must be METHOD:NAME=VALUE"),
        (("compare", "--methods", "sac", "--option", "mbpo:colour=1"), "must be of a step learner compared: sac"),
        (("compare", "--methods", "sac", "--option", "sac:warmth=1"), "option: found 'warmth'; must be one of"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(
    mbpl, monkeypatch, arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    for module in (command, compare_command):
        monkeypatch.setattr(module, "build_method", build_method)
    outcome = mbpl(*arguments, "--task", TASK, "--steps", "100", "--output", "run")
    assert outcome.returncode == 2
    assert words in outcome.stderr
    by_iterations = mbpl("train", "gps", "--task", TASK, "--option", "colour=1", "--output", "run")
    assert "--option: found \"['colour=1']\"; must be left out with gps" in by_iterations.stderr
    assert list(tmp_path.iterdir()) == []
