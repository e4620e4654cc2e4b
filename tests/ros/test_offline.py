"""From trials on the graph, through their bags alone, to controllers and a policy on the graph again."""

from __future__ import annotations

import json
from pathlib import Path

import launch_pytest
import numpy as np
import pytest
from bringup import bringup
from launch import LaunchDescription
from mbpl_msgs.action import RunTrial
from typer.testing import CliRunner

from mbpl_control.agents.pool import AgentRunner
from mbpl_control.agents.ros import RosAgent
from mbpl_control.bags.export.hdf5 import read_hdf5
from mbpl_control.bags.export.lerobot import read_lerobot
from mbpl_control.bags.export.parquet import read_parquet
from mbpl_control.bags.recorded import find_bags, read_all
from mbpl_control.cli.main import app
from mbpl_control.core import RefusedError
from mbpl_control.learning.registry import build_learner
from mbpl_control.nodes.client import GraphClient
from mbpl_control.policies import GaussianPolicy
from mbpl_control.runs import RunDirectory, TrainingRun
from mbpl_control.runs.beginning import new_run
from mbpl_control.tasks import load_task

pytestmark = pytest.mark.timeout(600)  # s; a machine may be slow, and speed is a matter for bench/

TASK = "rotary_pendulum_balance"
ITERATIONS, SAMPLES = 2, 3
SERVICES = ("mujoco_sim/reset", "controller_manager/switch_controller", "neural_policy/plan", "bag_recorder/start")


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the recorder of the module's graph writes."""
    return tmp_path_factory.mktemp("bags")


@launch_pytest.fixture(scope="module")
def graph(domain: int, bags: Path) -> LaunchDescription:
    """A small task in lockstep, with the nodes that learn and the recorder."""
    return bringup(
        "train.launch.py",
        task=TASK,
        mode="lockstep",
        rate="40.0",
        start="false",
        record="true",
        bags=str(bags),
        log_level="warn",
    )


@pytest.fixture(scope="module")
def run(bags: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the run goes that is learned on the graph."""
    return tmp_path_factory.mktemp("online") / "run"


@pytest.fixture(autouse=True)
def _everything_is_up(client: GraphClient) -> None:
    client.wait_for_services(SERVICES, 120.0)


def train(client: GraphClient, run: Path) -> RunDirectory:
    """The run on the graph, each trial recorded; learned once."""
    if (run / "run.yaml").is_file():
        return RunDirectory.open(run)
    task = load_task(TASK)
    directory = new_run(
        "lqr_flm", TASK, agent="ros", seed=3, iterations=ITERATIONS, samples=SAMPLES, variant=None, output=run
    )
    learner = build_learner("lqr_flm", task, 3, ITERATIONS, SAMPLES)
    directory.begin()
    assert TrainingRun(directory, learner, AgentRunner(RosAgent(task, client, record=True))).run()
    return directory


@pytest.mark.launch(fixture=graph)
def test_what_is_fitted_to_bags_is_what_was_learned_from_the_trials_to_the_last_bit(
    client: GraphClient, bags: Path, run: Path, tmp_path: Path
) -> None:
    online = train(client, run)
    task = load_task(TASK)
    heard = [t for it in online.iterations() for t in (*it.trials(), *it.evaluation())]
    read = list(read_all(find_bags(bags), task))
    assert len(read) == len(heard) == ITERATIONS * 3 * (SAMPLES + 1)
    by_seed = {r.trial.seed: r for r in read}
    for trial in heard:
        np.testing.assert_array_equal(by_seed[trial.seed].trial.states, trial.states)
        np.testing.assert_array_equal(by_seed[trial.seed].trial.actions, trial.actions)
        np.testing.assert_array_equal(by_seed[trial.seed].trial.costs, trial.costs)
    for iteration in online.iterations():
        for trial in (*iteration.trials(), *iteration.evaluation()):
            assert by_seed[trial.seed].metadata["iteration"] == iteration.report.iteration
    words = ["fit", "--bags", str(bags), "--task", TASK, "--output", str(tmp_path / "run"), "--seed", "3", "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert not told["left_out"] and not any(it["notes"] for it in told["iterations"])
    assert all(len(row["predictions"]) == 2 for it in told["iterations"] for row in it["conditions"])
    offline = RunDirectory.open(tmp_path / "run")
    for before, after in zip(online.iterations(), offline.iterations(), strict=True):
        files = sorted(path.relative_to(before.learner) for path in before.learner.rglob("*.npz"))
        for file in files:
            assert (before.learner / file).read_bytes() == (after.learner / file).read_bytes(), file


@pytest.mark.launch(fixture=graph)
def test_a_policy_from_bags_runs_in_the_node_of_policies_and_one_of_another_robot_is_refused(
    client: GraphClient, bags: Path, run: Path, tmp_path: Path
) -> None:
    train(client, run)
    out = tmp_path / "policy.npz"
    words = ["distill", "--bags", str(bags), "--task", TASK, "--out", str(out), "--iterations", "500", "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["soft_trials"] == report["trials"] == 3 * (SAMPLES + 1)
    policy = GaussianPolicy.load(out)
    assert policy.report is not None and policy.report.about["task_hash"] == load_task(TASK).hash
    assert policy.hash[:8] in client.set_checkpoint(out)
    assert client.run_trial(RunTrial.Goal(controller="neural_policy", condition=1)).ok
    arm = load_task("arm_reach")
    other = GaussianPolicy(arm.observation, arm.action, arm.dt, seed=0, task=arm.name, task_hash=arm.hash)
    with pytest.raises(RefusedError, match="arm_reach"):
        client.set_checkpoint(other.save(tmp_path / "other.npz"))
    # an existing file is never written over
    again = CliRunner().invoke(app, words)
    assert again.exit_code != 0


@pytest.mark.launch(fixture=graph)
def test_what_a_graph_recorded_is_exported_and_told_on_one_page(
    client: GraphClient, bags: Path, run: Path, tmp_path: Path
) -> None:
    train(client, run)
    read = list(read_all(find_bags(bags), load_task(TASK)))
    formats = {
        "hdf5": (tmp_path / "trials.h5", lambda path: [r.trial for r in read_hdf5(path)], np.float64),
        "parquet": (tmp_path / "trials", lambda path: [r.trial for r in read_parquet(path)], np.float64),
        "lerobot": (tmp_path / "dataset", lambda path: list(read_lerobot(path)), np.float32),
    }
    for name, (output, back, precision) in formats.items():
        words = ["export", "--bags", str(bags), "--format", name, "--output", str(output)]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        for found, recorded in zip(back(output), read, strict=True):
            np.testing.assert_array_equal(found.states, recorded.trial.states.astype(precision))
            np.testing.assert_array_equal(found.actions, recorded.trial.actions.astype(precision))
            assert found.seed == recorded.trial.seed
        # nothing that exists is written over
        assert CliRunner().invoke(app, words).exit_code != 0
    page = tmp_path / "report.html"
    result = CliRunner().invoke(app, ["report", str(run), str(bags), "--output", str(page)])
    assert result.exit_code == 0, result.output
    text = page.read_text(encoding="utf-8")
    for recorded in read:
        assert recorded.path.name in text
