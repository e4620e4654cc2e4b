"""One executed trial: what was in force, what happened, what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mbpl_control.core import archive
from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.state_definition import StateDefinition
from mbpl_control.core.validation import (
    Array,
    check_metadata,
    check_positive,
    check_whole,
    float_array,
)

OWNER = "Trial"


@dataclass(frozen=True, eq=False)
class Trial:
    """A trajectory of T steps with its costs.

    Attributes:
        state: what x is; nx numbers.
        action: what u is; m numbers.
        dt: duration of a step, s.
        states: (T+1, nx).
        actions: (T, m), as applied after all limits.
        times: (T+1,) s since the start, increasing; t·dt when None was given.
        costs: (T+1,), or empty when not evaluated.
        task: name of the task.
        task_hash: content hash of the task.
        condition: index of the start condition; −1 for a start of its own.
        controller: name of the controller that ran.
        seed: of its noise.
        success: whether the task's success rule held.
        stop_reason: "completed", or "aborted: why".
        metadata: strings and numbers.

    Raises:
        InvalidFieldError: a field has a wrong shape or value.
    """

    state: StateDefinition
    action: ActionDefinition
    dt: float
    states: Array
    actions: Array
    times: Array = None  # type: ignore[assignment]
    costs: Array = field(default_factory=lambda: np.zeros(0))
    task: str = ""
    task_hash: str = ""
    condition: int = -1
    controller: str = ""
    seed: int = 0
    success: bool = False
    stop_reason: str = "completed"
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check each field."""

        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        put("dt", check_positive(OWNER, "dt", self.dt, "s"))
        put("actions", float_array(OWNER, "actions", self.actions, (None, self.action.size)))
        steps = self.actions.shape[0]
        put("states", float_array(OWNER, "states", self.states, (steps + 1, self.state.size)))
        times = self.dt * np.arange(steps + 1) if self.times is None else self.times
        put("times", float_array(OWNER, "times", times, (steps + 1,)))
        if (np.diff(self.times) <= 0.0).any():
            raise InvalidFieldError(OWNER, "times", "times that do not grow", "increasing")
        length = 0 if np.size(self.costs) == 0 else steps + 1
        put("costs", float_array(OWNER, "costs", self.costs, (length,)))
        put("condition", check_whole(OWNER, "condition", self.condition, -1, 2**31 - 1))
        put("seed", check_whole(OWNER, "seed", self.seed, 0, 2**64 - 1))
        put("success", bool(self.success))
        put("metadata", check_metadata(OWNER, self.metadata))

    @property
    def steps(self) -> int:
        """T, the number of actions."""
        return int(self.actions.shape[0])

    @property
    def cost(self) -> float:
        """Total cost; NaN when the costs were not evaluated."""
        return float(np.sum(self.costs)) if self.costs.size else float("nan")

    def save(self, path: str | Path) -> Path:
        """Write the trial to `path` (.npz); a reader never sees half a file."""
        header = {
            "state": self.state.to_dict(),
            "action": self.action.to_dict(),
            "dt": self.dt,
            **{name: getattr(self, name) for name in _PLAIN},
            "metadata": dict(self.metadata),
        }
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        return archive.save(path, "trial", header, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Trial:
        """Read what `save` wrote.

        Raises:
            FileFormatError: not such a file, or of an unknown schema version.
            InvalidFieldError: its content is not a valid trial.
        """
        header, arrays = archive.load(path, "trial", _ARRAYS, _HEADER)
        return cls(
            StateDefinition.from_dict(header["state"]),
            ActionDefinition.from_dict(header["action"]),
            header["dt"],
            **arrays,
            **{name: header[name] for name in _PLAIN},
            metadata=header["metadata"],
        )


_ARRAYS = ("states", "actions", "times", "costs")
_PLAIN = ("task", "task_hash", "condition", "controller", "seed", "success", "stop_reason")
_HEADER = ("state", "action", "dt", *_PLAIN, "metadata")
