"""Node `neural_policy`: streams what a policy does, and how that changes with the state."""

from __future__ import annotations

from pathlib import Path

from mbpl_control.core import MbplError, RefusedError
from mbpl_control.nodes.knot_source import Checkpoint, KnotSource
from mbpl_control.nodes.node_tools import main as run_node
from mbpl_control.policies import GaussianPolicy
from mbpl_control.policies.feedback import PolicyFeedback, check_policy
from mbpl_control.tasks import Task


class NeuralPolicy(KnotSource):
    """At each step of the policy one knot: action, Jacobian by the state, covariance."""

    def __init__(self) -> None:
        """Declare parameters; the work begins with configuration."""
        super().__init__("neural_policy", "policy")

    def read(self, path: Path, task: Task) -> Checkpoint:
        """See `KnotSource.read`."""
        policy = GaussianPolicy.load(path)
        try:
            check_policy(policy, task)
        except MbplError as error:
            raise RefusedError(f"{path}: {error}") from error
        return Checkpoint(policy, policy.dt, policy.hash)

    def feedback(self, content: GaussianPolicy, task: Task, condition: int) -> PolicyFeedback:
        """See `KnotSource.feedback`."""
        return PolicyFeedback(content, task, condition)


def main() -> None:
    """Run the node."""
    run_node(NeuralPolicy)


if __name__ == "__main__":
    main()
