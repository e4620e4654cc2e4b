"""What a learner of local controllers keeps on disk, and becomes again from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from mbpl_control.core import LinearGaussianController, archive
from mbpl_control.core.errors import FileFormatError
from mbpl_control.core.validation import Array
from mbpl_control.costs.cost import Quadratization
from mbpl_control.fitting.local_dynamics import LocalDynamics
from mbpl_control.learning.condition_state import ConditionState
from mbpl_control.learning.local_model import LocalModel, TrialSet
from mbpl_control.tasks.task import Task

KIND = "learner"
#: Numbers of a `ConditionState`, in the order in which they are kept.
NUMBERS = ("eta", "multiplier", "trial_cost", "predicted_cost", "policy_cost", "distance", "by_policy")


def save_local(
    directory: Path,
    task: Task,
    header: dict[str, Any],
    states: dict[int, ConditionState],
    extra: dict[str, Array],
) -> None:
    """Write controllers and dynamics, each a file of its own, and the learner's memory.

    Args:
        directory: an empty one.
        task: whose controllers they are.
        header: what says which learner this is; checked by `load_local`.
        states: by condition.
        extra: more arrays of the learner.
    """
    arrays = dict(extra)
    for name in ("controllers", "dynamics", "made_from"):
        (directory / name).mkdir()
    for c, s in states.items():
        file = f"condition_{c}.npz"
        s.controller.save(directory / "controllers" / file)
        arrays[f"condition.{c}"] = np.array([getattr(s, name) for name in NUMBERS])
        if s.model is not None and s.made_from is not None:
            s.made_from.save(directory / "made_from" / file)
            s.model.absolute_dynamics(task, s.samples).save(directory / "dynamics" / file)
            arrays |= _flat(f"model.{c}", s.model)
            arrays[f"samples.{c}"] = np.array(s.samples)
            arrays |= {f"trials.{c}.{f.name}": getattr(s.trials, f.name) for f in fields(TrialSet)}
        if s.spread is not None:
            arrays[f"spread.{c}"] = s.spread
    archive.save(directory / "learner.npz", KIND, header | {"arrays": sorted(arrays)}, arrays)


def load_local(
    directory: Path, header: dict[str, Any], states: dict[int, ConditionState]
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read what `save_local` wrote into `states`; header and arrays, for what else the learner keeps.

    Raises:
        FileFormatError: not written by `save_local`, or for another task or other options.
    """
    path = directory / "learner.npz"
    found, _ = archive.load(path, KIND, (), (*header, "arrays"))
    for name, value in header.items():
        if found[name] != value:
            raise FileFormatError(f"{path}: {name} is {found[name]}; this learner's is {value}")
    _, arrays = archive.load(path, KIND, found["arrays"], ())
    for c, s in states.items():
        file = f"condition_{c}.npz"
        s.controller = LinearGaussianController.load(directory / "controllers" / file)
        for name, value in zip(NUMBERS, arrays[f"condition.{c}"], strict=True):
            setattr(s, name, float(value))
        s.by_policy = bool(s.by_policy)
        s.model, s.made_from, s.spread = None, None, arrays.get(f"spread.{c}")
        if f"samples.{c}" in arrays:
            s.made_from = LinearGaussianController.load(directory / "made_from" / file)
            s.model = _model(f"model.{c}", arrays)
            s.samples = int(arrays[f"samples.{c}"])
            s.trials = TrialSet(**{f.name: arrays[f"trials.{c}.{f.name}"] for f in fields(TrialSet)})
    return found, arrays


def prefixed(name: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Arrays of a part of the learner under the part's name; `under` takes them out again."""
    return {f"{name}.{key}": value for key, value in arrays.items()}


def under(name: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays that `prefixed` put under a name, as they were called before."""
    start = f"{name}."
    return {key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)}


def _flat(prefix: str, model: LocalModel) -> dict[str, Array]:
    """Every array of a local model under a name of its own."""
    out: dict[str, Array] = {}
    for part in fields(model):
        value = getattr(model, part.name)
        if isinstance(value, (LocalDynamics, Quadratization)):
            out |= {f"{prefix}.{part.name}.{f.name}": getattr(value, f.name) for f in fields(value)}
        else:
            out[f"{prefix}.{part.name}"] = value
    return out


def _model(prefix: str, arrays: dict[str, Array]) -> LocalModel:
    def parts(kind: Any, name: str) -> Any:
        return kind(**{f.name: arrays[f"{prefix}.{name}.{f.name}"] for f in fields(kind)})

    plain = {f.name: arrays[f"{prefix}.{f.name}"] for f in fields(LocalModel) if f.name not in ("dynamics", "cost")}
    return LocalModel(dynamics=parts(LocalDynamics, "dynamics"), cost=parts(Quadratization, "cost"), **plain)
