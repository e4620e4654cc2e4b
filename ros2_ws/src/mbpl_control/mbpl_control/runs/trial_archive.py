"""Many trials in one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mbpl_control.core import archive
from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import FileFormatError, InvalidFieldError
from mbpl_control.core.state_definition import StateDefinition
from mbpl_control.core.trial import Trial

KIND = "trials"
_ARRAYS = ("states", "actions", "times", "costs")
_PLAIN = ("task", "task_hash", "condition", "controller", "seed", "success", "stop_reason")


def save_trials(path: str | Path, trials: Sequence[Trial]) -> Path:
    """Write trials of one state, action and step to `path` (.npz); a reader never sees half a file.

    Their arrays stand one behind the other: `steps` and, for each, whether it has costs, tell them apart.

    Raises:
        InvalidFieldError: there are none, or they differ in state, action or step.
    """
    if not trials:
        raise InvalidFieldError("save_trials", "trials", "none", "at least 1")
    first = trials[0]
    for trial in trials:
        if (trial.state, trial.dt) != (first.state, first.dt) or trial.action.hash != first.action.hash:
            raise InvalidFieldError("save_trials", "trials", "different states, actions or steps", "alike")
    header = {
        "state": first.state.to_dict(),
        "action": first.action.to_dict(),
        "dt": first.dt,
        "trials": [
            {
                **{name: getattr(trial, name) for name in _PLAIN},
                "steps": trial.steps,
                "costs": trial.costs.size > 0,
                "metadata": dict(trial.metadata),
            }
            for trial in trials
        ],
    }
    arrays = {name: np.concatenate([getattr(trial, name) for trial in trials]) for name in _ARRAYS}
    return archive.save(path, KIND, header, arrays)


def load_trials(path: str | Path) -> list[Trial]:
    """Read what `save_trials` wrote.

    Raises:
        FileFormatError: not such a file.
        InvalidFieldError: its content is no trials.
    """
    header, arrays = archive.load(path, KIND, _ARRAYS, ("state", "action", "dt", "trials"))
    state, action = StateDefinition.from_dict(header["state"]), ActionDefinition.from_dict(header["action"])
    at = dict.fromkeys(_ARRAYS, 0)
    trials = []
    try:
        for entry in header["trials"]:
            steps = entry["steps"]
            counts = {"states": steps + 1, "actions": steps, "times": steps + 1}
            counts["costs"] = steps + 1 if entry["costs"] else 0
            parts = {name: arrays[name][at[name] : at[name] + counts[name]] for name in _ARRAYS}
            at = {name: at[name] + counts[name] for name in _ARRAYS}
            plain = {name: entry[name] for name in _PLAIN}
            trials.append(Trial(state, action, header["dt"], **parts, **plain, metadata=entry["metadata"]))
    except (KeyError, TypeError, IndexError) as error:
        raise FileFormatError(f"{path}: not a valid list of trials: {error!r}") from error
    return trials
