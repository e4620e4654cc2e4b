"""Policies and learning on the running graph, in lockstep: the same to the last bit as in process."""

from __future__ import annotations

from pathlib import Path

import launch_pytest
import numpy as np
import pytest
from bringup import bringup
from diagnostic_msgs.msg import DiagnosticArray
from launch import LaunchDescription
from listening import Listener
from mbpl_msgs import msg
from mbpl_msgs.action import RunTrial, TrainPolicy
from mbpl_msgs.msg import LinearGaussianController, LinearGaussianDynamics
from std_srvs.srv import SetBool, Trigger
from typer.testing import CliRunner

from mbpl_control.agents.pool import AgentRunner
from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.agents.ros import RosAgent
from mbpl_control.cli.main import app
from mbpl_control.core import ExecutionMode, RefusedError, Trial
from mbpl_control.learning.live_fit import FittedTrials, LiveFit
from mbpl_control.learning.local_model import TrialSet
from mbpl_control.learning.registry import build_learner
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.qos import EVENTS, LAWS
from mbpl_control.policies import GaussianPolicy
from mbpl_control.runs import RunDirectory, TrainingRun
from mbpl_control.runs.beginning import new_run
from mbpl_control.runs.supervision import REJECTED
from mbpl_control.tasks import Task, load_task

TASK = "rotary_pendulum_balance"
#: s within which a small training ends on a busy machine.
TRAINING = 300.0
#: Hz; two states a step, so that it shows who answers which.
RATE = 80.0
SERVICES = (
    "mujoco_sim/reset",
    "controller_manager/switch_controller",
    "neural_policy/plan",
    "lqr_flm_controller/plan",
    "gps_trainer/pause",
)


@launch_pytest.fixture(scope="module")
def graph(domain: int) -> LaunchDescription:
    """The graph of a small task with the nodes that learn, waiting for each command."""
    return bringup(
        "train.launch.py",
        task=TASK,
        mode="lockstep",
        rate=str(RATE),
        start="false",
        online="true",
        record="false",
        log_level="warn",
    )


@pytest.fixture(autouse=True)
def _everything_is_up(client: GraphClient) -> None:
    client.wait_for_services(SERVICES, 90.0)


def untrained(task: Task, seed: int) -> GaussianPolicy:
    """A policy that was never trained, and so moves the robot by its own will."""
    policy = GaussianPolicy(task.observation, task.action, task.dt, seed=seed, task=task.name)
    policy.assign(policy.parameters, 0.01 * np.eye(task.action.size))
    return policy


@pytest.mark.launch(fixture=graph)
@pytest.mark.parametrize("mode", [ExecutionMode.MEAN, ExecutionMode.SAMPLED], ids=lambda mode: mode.value)
def test_a_trial_of_a_policy_on_the_graph_equals_the_same_trial_in_process_to_the_last_bit(
    client: GraphClient, mode: ExecutionMode
) -> None:
    task = load_task(TASK)
    here, there = AgentRecipe.in_lockstep(task, RATE).build(), RosAgent(task, client)
    for seed, condition in ((3, 0), (4, 2), (5, 1)):
        policy = untrained(task, seed)
        expected = here.run(policy, mode, condition, seed)
        found = there.run(policy, mode, condition, seed)
        assert found.stop_reason == expected.stop_reason == "completed"
        np.testing.assert_array_equal(found.states, expected.states)
        np.testing.assert_array_equal(found.actions, expected.actions)
        assert found.cost == expected.cost


@pytest.mark.launch(fixture=graph)
def test_a_policy_in_a_file_is_tried_on_the_graph_from_the_shell_as_it_is_in_process(
    client: GraphClient, tmp_path: Path
) -> None:
    task = load_task(TASK)
    policy, saved = untrained(task, 6), tmp_path / "trial.npz"
    expected = AgentRecipe.in_lockstep(task, RATE).build().run(policy, ExecutionMode.MEAN, 1, 6)
    words = ["trial", "--controller", str(policy.save(tmp_path / "policy.npz")), "--agent", "ros"]
    result = CliRunner().invoke(app, [*words, "--condition", "1", "--seed", "6", "--no-record", "--save", str(saved)])
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(Trial.load(saved).states, expected.states)


def in_process(path: Path, method: str, iterations: int, seed: int) -> RunDirectory:
    """The run that the trainer is asked for, by the same code and another agent."""
    task = load_task(TASK)
    directory = new_run(
        method, TASK, agent="mujoco", seed=seed, iterations=iterations, samples=2, variant=None, output=path
    )
    directory.begin()
    learner = build_learner(method, task, seed, iterations, 2)
    runner = AgentRunner(AgentRecipe.in_lockstep(task, RATE).build())
    assert TrainingRun(directory, learner, runner).run()
    return directory


def learned(directory: RunDirectory) -> dict[str, object]:
    """All that the learner kept after the last iteration; of a policy, what decides its answers."""
    learner = directory.iterations()[-1].learner
    return {
        str(path.relative_to(learner)): GaussianPolicy.load(path).hash
        if path.name == "policy.npz"
        else path.read_bytes()
        for path in sorted(learner.rglob("*.npz"))
    }


@pytest.mark.launch(fixture=graph)
@pytest.mark.parametrize("method", ["lqr_flm", "gps"])
def test_learning_on_the_graph_gives_what_it_gives_in_process_to_the_last_bit(
    client: GraphClient, tmp_path: Path, method: str
) -> None:
    goal = TrainPolicy.Goal(method=method, iterations=2, samples=2, seed=7, run_directory=str(tmp_path / "graph"))
    shown: list[TrainPolicy.Feedback] = []
    result = client.train(goal, TRAINING, shown.append)
    found, expected = RunDirectory.open(tmp_path / "graph"), in_process(tmp_path / "here", method, 2, 7)
    assert learned(found) == learned(expected)
    # and each law that was learned is there to be tried
    assert {"learned_0", "learned_1", "learned_2"} <= {c.name for c in client.controllers()}
    client.run_trial(RunTrial.Goal(controller="learned_1", condition=1))
    assert {(f.iteration, f.trial) for f in shown} >= {(0, 6), (1, 1), (2, 0)}
    assert shown[-1].iterations == 2 and np.isfinite(shown[-1].cost)
    assert bool(result.policy) == (method == "gps")
    if method == "gps":
        assert client.run_trial(RunTrial.Goal(controller="neural_policy", condition=2)).ok


def ask(client: GraphClient, kind: type, service: str, request: object) -> object:
    """An answer of the trainer."""
    return client._call(kind, f"gps_trainer/{service}", request)


@pytest.mark.launch(fixture=graph)
def test_a_person_pauses_rejects_a_trial_cancels_and_has_it_go_on(client: GraphClient, tmp_path: Path) -> None:
    path = tmp_path / "run"
    goal = TrainPolicy.Goal(method="lqr_flm", iterations=2, samples=3, seed=1, run_directory=str(path))
    assert not ask(client, Trigger, "reject_trial", Trigger.Request()).success
    seen: list[TrainPolicy.Feedback] = []
    said: list[str] = []

    def watch(feedback: TrainPolicy.Feedback) -> None:
        # called from the thread that must not wait: requests go out, and are answered later
        seen.append(feedback)
        if feedback.iteration == 0 and feedback.trial == 2 and not said:
            said.append("paused")
            pause.call_async(SetBool.Request(data=True))
        elif feedback.paused and said == ["paused"]:
            said.append("rejected")
            reject.call_async(Trigger.Request())
            pause.call_async(SetBool.Request(data=False))
        elif feedback.iteration == 1 and feedback.trial == 1 and "cancelled" not in said:
            said.append("cancelled")
            client.cancel_training()

    pause = client.node.create_client(SetBool, "gps_trainer/pause")
    reject = client.node.create_client(Trigger, "gps_trainer/reject_trial")
    assert pause.wait_for_service(10.0) and reject.wait_for_service(10.0)
    with pytest.raises(RefusedError, match="stopped after iteration 1 of 2"):
        client.train(goal, TRAINING, watch)
    assert said == ["paused", "rejected", "cancelled"]
    # the trial that had run last when it was rejected, and no other
    first = RunDirectory.open(path).iterations()[0]
    number = next(f.trial for f in seen if f.paused)
    assert [t.stop_reason == REJECTED for t in first.trials()] == [i == number - 1 for i in range(9)]
    assert any(REJECTED in event for event in first.report.events)
    # the same goal goes on where it was left
    assert client.train(goal, TRAINING).ok
    assert RunDirectory.open(path).newest == 2
    with pytest.raises(RefusedError, match="holds a run with seed 1"):
        client.train(TrainPolicy.Goal(method="lqr_flm", seed=2, run_directory=str(path)), TRAINING)


@pytest.mark.launch(fixture=graph)
def test_a_controller_gets_better_by_trials_that_a_person_runs_one_by_one(client: GraphClient) -> None:
    samples = load_task(TASK).learning.samples
    costs = []
    with (
        Listener(client.node, LinearGaussianDynamics, "dynamics", EVENTS) as fits,
        Listener(client.node, LinearGaussianController, "lqr_flm_controller/controller", LAWS) as laws,
    ):
        for step in range(4):
            goals = [RunTrial.Goal(controller="lqr_flm_sampled", seed=10 * step + s) for s in range(samples)]
            costs.append(np.mean([client.run_trial(goal).cost for goal in goals]))
            laws.wait(lambda m, step=step: any(law.controller == f"lqr_flm_0_{step + 1}" for law in m))
        assert len(fits.messages) == 4
    assert costs[-1] < 0.5 * costs[0]
    dynamics = convert.dynamics_from_msg(fits.messages[-1])
    assert dynamics.samples == samples
    assert dynamics.metadata["one_step_error"] > 0.0 and dynamics.metadata["held_out_error"] > 0.0
    assert (dynamics.metadata["condition"], dynamics.metadata["poor"]) == (0, 0)
    # the law without noise is the same law
    assert client.run_trial(RunTrial.Goal(controller="lqr_flm", seed=1)).cost < costs[0]
    with pytest.raises(RefusedError, match="no controller is learned from start condition 3; from 0, 1, 2 there is"):
        client.run_trial(RunTrial.Goal(controller="lqr_flm", condition=3))


@pytest.mark.launch(fixture=graph)
def test_dynamics_follow_a_trial_step_by_step_as_the_same_fit_does_afterwards(client: GraphClient) -> None:
    task = load_task(TASK)
    samples = task.learning.samples
    with (
        Listener(client.node, LinearGaussianDynamics, "dynamics", EVENTS) as fits,
        Listener(client.node, LinearGaussianDynamics, "online_dynamics", EVENTS) as online,
        Listener(client.node, msg.Trial, "trials", EVENTS) as heard,
        Listener(client.node, DiagnosticArray, "/diagnostics", EVENTS) as said,
    ):
        for condition in (0, 2):
            for seed in range(samples):
                client.run_trial(RunTrial.Goal(controller="lqr_flm_sampled", condition=condition, seed=100 + seed))
        fits.wait(lambda m: len(m) == 2)
        heard.wait(lambda m: len(m) == 2 * samples)
        client.run_trial(RunTrial.Goal(controller="lqr_flm_sampled", condition=2, seed=200))
        heard.wait(lambda m: len(m) == 2 * samples + 1)
        start = convert.time_to_ns(heard.messages[-1].header.stamp)
        # each is stamped with the state its step ends in; those of the trials before may still be coming
        followed: list[LinearGaussianDynamics] = []

        def all_followed(messages: list[LinearGaussianDynamics]) -> bool:
            followed[:] = [m for m in messages if convert.time_to_ns(m.header.stamp) > start]
            return len(followed) == task.horizon

        online.wait(all_followed)
        said.wait(lambda m: any(s.name.endswith("dynamics_fitter: online") for array in m for s in array.status))
    trials = [convert.trial_from_msg(m) for m in heard.messages]
    sets = [TrialSet.of(trials[:samples]), TrialSet.of(trials[samples:-1])]
    dynamics = [convert.dynamics_from_msg(m) for m in fits.messages]
    fitted = [FittedTrials.of(c, d, of) for c, d, of in zip((0, 2), dynamics, sets, strict=True)]
    live, last = LiveFit(fitted), trials[-1]
    for t, message in enumerate(followed):
        expected = live.update(t, last.states[t], last.actions[t], last.states[t + 1])
        found = convert.dynamics_from_msg(message)
        assert (found.metadata["step"], found.metadata["condition"]) == (t, expected.condition)
        np.testing.assert_allclose(found.a, expected.dynamics.a, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(found.b, expected.dynamics.b, rtol=1e-6, atol=1e-8)
