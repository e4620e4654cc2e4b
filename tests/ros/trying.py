"""Trials in real time on a machine that has other work, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mbpl_msgs.action import RunTrial

from mbpl_control.core import RefusedError
from mbpl_control.nodes.client import GraphClient

#: How often a trial is run anew.
ATTEMPTS = 4
#: Why the manager ends a trial in which the machine kept states, or laws, from it for longer than its contract bears.
LATE = ("no state for", "no law for", "got lost", "jumped")


def run_whole_trial(
    client: GraphClient,
    goal: RunTrial.Goal,
    deadline: float = 120.0,
    on_feedback: Callable[[RunTrial.Feedback], None] | None = None,
    begin: Callable[[], Any] = lambda: None,
) -> RunTrial.Result:
    """Run a trial, and run it again when a busy machine has cut it short; any other end is an error.

    Args:
        client: joined to the graph.
        goal: the trial.
        deadline: s of wall time of one attempt.
        on_feedback: told how it goes on.
        begin: called before each attempt.
    """
    for attempt in range(ATTEMPTS):
        begin()
        try:
            return client.run_trial(goal, deadline, on_feedback)
        except RefusedError as error:
            if attempt == ATTEMPTS - 1 or not any(words in str(error) for words in LATE):
                raise
    raise AssertionError("the last attempt returns or raises")
