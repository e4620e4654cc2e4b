"""Trials on the ROS graph: the same contract as in process, over DDS."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from mbpl_msgs.action import RunTrial
from mbpl_msgs.srv import LoadController

from mbpl_control.agents.agent import Agent, Law, law_name
from mbpl_control.agents.law_source import UNDER_TRIAL
from mbpl_control.core import ExecutionMode, LinearGaussianController, Trial
from mbpl_control.core.errors import DefinitionMismatchError
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.client import GraphClient
from mbpl_control.policies.policy import GaussianPolicy
from mbpl_control.tasks.task import Task

#: The node that executes policies.
POLICY_NODE = "neural_policy"


def load_law(client: GraphClient, law: Law, mode: ExecutionMode) -> None:
    """Load a controller into the running manager, or let it follow the node of policies, as `UNDER_TRIAL`.

    Raises:
        RefusedError: the manager does not take it.
    """
    request = LoadController.Request(name=UNDER_TRIAL, mode=mode.value, replace=True)
    if isinstance(law, LinearGaussianController):
        request.type, request.law = "linear_gaussian", [convert.controller_to_msg(law)]
    else:
        request.type, request.source = "feedback_law", f"{POLICY_NODE}/feedback_law"
    client.load(request)


def give_policy(client: GraphClient, policy: GaussianPolicy) -> None:
    """Have the node of policies execute this one.

    Raises:
        RefusedError: it does not fit the graph's task.
        MbplError: there is no such node.
    """
    # the node has read it when it answers
    with tempfile.TemporaryDirectory(prefix="mbpl-policy-") as directory:
        client.set_checkpoint(policy.save(Path(directory) / "policy.npz"), POLICY_NODE)


class RosAgent(Agent):
    """Has the trial runner try each law: a controller loaded into the manager, or a policy given to `neural_policy`.

    Args:
        task: what is tried; the graph must run the same one.
        client: joined to the graph.
        record: whether each trial becomes a bag.
        label: free text kept with trials and bags.
    """

    def __init__(self, task: Task, client: GraphClient, record: bool = False, label: str = "") -> None:
        """Keep the client; the caller closes it."""
        self.task = task
        self._client = client
        self._record, self._label = record, label
        #: hash of the policy the node was given last
        self._policy = ""

    def run(self, law: Law, mode: ExecutionMode, condition: int, seed: int, iteration: int = 0) -> Trial:
        """See `Agent.run`."""
        if isinstance(law, GaussianPolicy) and law.hash != self._policy:
            give_policy(self._client, law)
            self._policy = law.hash
        load_law(self._client, law, mode)
        goal = RunTrial.Goal(
            condition=condition,
            controller=UNDER_TRIAL,
            seed=seed,
            record=self._record,
            label=self._label,
            iteration=iteration,
        )
        trial = convert.trial_from_msg(self._client.run_trial(goal).trial)
        if trial.task_hash != self.task.hash:
            raise DefinitionMismatchError(
                f"the graph runs task '{trial.task}' ({trial.task_hash}); "
                f"here it is '{self.task.name}' ({self.task.hash})"
            )
        return replace(trial, controller=law_name(law))
