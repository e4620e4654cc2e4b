"""A recorded trial in parts that any format can hold: one JSON header and arrays of numbers, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mbpl_control.bags.recorded import RecordedTrial
from mbpl_control.core import ActionDefinition, LinearGaussianController, StateDefinition, Trial
from mbpl_control.core.errors import FileFormatError, InvalidFieldError
from mbpl_control.core.validation import Array

#: Version of the schemas of HDF5 and Parquet that this code writes and reads.
SCHEMA_VERSION = 1
TRIAL_ARRAYS = ("states", "actions", "times", "costs")
LAW_ARRAYS = ("nominal_states", "nominal_actions", "gains", "feedforward", "covariances")
#: What is told of a trial by columns and attributes of its own, beside the header.
PLAIN = ("task", "task_hash", "condition", "controller", "seed", "success", "stop_reason")
_LAW = ("dt", "execution", "end_rule", "anchor", "noise_smoothing", "name")


def header_of(recorded: RecordedTrial) -> str:
    """All of a recorded trial that is no array, as JSON."""
    trial, law = recorded.trial, recorded.law
    content = {
        "path": str(recorded.path),
        "complete": recorded.complete,
        "start_ns": recorded.start_ns,
        "bag_metadata": dict(recorded.metadata),
        "state": trial.state.to_dict(),
        "action": trial.action.to_dict(),
        "dt": trial.dt,
        "steps": trial.steps,
        **{name: getattr(trial, name) for name in PLAIN},
        "metadata": dict(trial.metadata),
        "law": None,
    }
    if law is not None:
        content["law"] = {
            "state": law.state.to_dict(),
            "action": law.action.to_dict(),
            **{name: getattr(law, name) for name in _LAW},
            "metadata": dict(law.metadata),
        }
    return json.dumps(content, ensure_ascii=False)


def arrays_of(recorded: RecordedTrial) -> dict[str, Array]:
    """The arrays of a recorded trial by name; those of its law begin with "law/"."""
    arrays = {name: getattr(recorded.trial, name) for name in TRIAL_ARRAYS}
    arrays["robot_states"] = recorded.robot_states
    if recorded.law is not None:
        arrays |= {f"law/{name}": getattr(recorded.law, name) for name in LAW_ARRAYS}
    return arrays


def recorded_of(text: str, arrays: Mapping[str, Any], where: str) -> RecordedTrial:
    """The recorded trial of a header and its arrays, as it was.

    Args:
        text: what `header_of` wrote.
        arrays: those of `arrays_of`.
        where: file and trial, for errors.

    Raises:
        FileFormatError: something is missing, or is not of a trial.
    """
    try:
        header = json.loads(text)
        told = header["law"]
        law = None
        if told is not None:
            law = LinearGaussianController(
                StateDefinition.from_dict(told["state"]),
                ActionDefinition.from_dict(told["action"]),
                **{name: told[name] for name in _LAW},
                **{name: arrays[f"law/{name}"] for name in LAW_ARRAYS},
                metadata=told["metadata"],
            )
        action = ActionDefinition.from_dict(header["action"])
        taken: dict[str, Any] = {name: arrays[name] for name in TRIAL_ARRAYS}
        # no rows tell no width
        taken["actions"] = taken["actions"].reshape(-1, action.size)
        trial = Trial(
            StateDefinition.from_dict(header["state"]),
            action,
            header["dt"],
            **taken,
            **{name: header[name] for name in PLAIN},
            metadata=header["metadata"],
        )
        return RecordedTrial(
            Path(header["path"]),
            trial,
            law,
            header["bag_metadata"],
            header["complete"],
            np.asarray(arrays["robot_states"]),
            header["start_ns"],
        )
    except (KeyError, TypeError, ValueError, InvalidFieldError) as error:
        raise FileFormatError(f"{where}: not a trial that mbpl exported: {error!r}") from error


def state_names(state: StateDefinition) -> list[str]:
    """A name for each number of x: what it is, and whose."""
    names = []
    for block in state.blocks:
        for name in block.names:
            size = len(state.indices(block.kind, [name]))
            base = f"{block.kind}.{name}"
            names += [base] if size == 1 else [f"{base}.{i}" for i in range(size)]
    return names


def check_version(version: Any, where: str) -> None:
    """Refuse a schema this code does not know.

    Raises:
        FileFormatError: it is another.
    """
    if isinstance(version, bool) or not isinstance(version, (int, np.integer)) or not 1 <= version <= SCHEMA_VERSION:
        raise FileFormatError(f"{where}: schema version {version}; this mbpl reads 1 to {SCHEMA_VERSION}")
