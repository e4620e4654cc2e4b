"""The law that was in force at each step of a trial, from the topic applied_law."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from mbpl_control.bags.columns import Columns, columns_of, in_turn
from mbpl_control.bags.gathering import Gathering
from mbpl_control.core import ActionDefinition, BagError, LinearGaussianController, StateDefinition, Trial
from mbpl_control.core.alignment import SAME_INSTANT, Stamps
from mbpl_control.core.from_messages import state_definition_from_msg, unflat
from mbpl_control.core.state_space import SPACE_SIZES
from mbpl_control.core.validation import Array

#: Steps in a row of which the applied law may be missing: states that a busy machine kept from the manager.
LONGEST_HOLE = 5


def law_in_force(
    gathered: Gathering, controller: str, knots: Stamps, action: ActionDefinition, dt: float
) -> LinearGaussianController | None:
    r"""The law of each step, in its own state: the first one stamped in it, t_k ≤ stamp < t_{k+1}.

    A step in which none was applied, because no state of it reached the manager, has a law of a horizon joined from
    its neighbours, linearly in all its numbers, and along the shortest path in x̂; of a stream of laws, which have no
    steps, the one before, which was still in force.

    Returns:
        None when the controller applied no law in this time, or only to part of the actuators.

    Raises:
        BagError: more than `LONGEST_HOLE` steps in a row have none, or a law has a wrong size.
    """
    steps = len(knots) - 1
    by_step: dict[int, Any] = {}
    begin, end = int(knots[0]) - SAME_INSTANT, int(knots[-1]) - SAME_INSTANT
    for stamp in sorted(s for name, s in gathered.laws if name == controller and begin <= s < end):
        step = int(np.searchsorted(knots, stamp + SAME_INSTANT, side="right")) - 1
        by_step.setdefault(step, gathered.laws[controller, stamp])
    if not by_step or any(tuple(m.joint_names) != action.joint_names for m in by_step.values()):
        return None
    known = np.array(sorted(by_step))
    hole = int(np.diff(known, prepend=-1, append=steps).max()) - 1
    if hole > LONGEST_HOLE:
        raise BagError(
            f"{gathered.path}: {len(known)} of {steps} steps have an applied law, {hole} in a row have none; at most "
            f"{LONGEST_HOLE} are joined"
        )
    laws = columns_of([by_step[int(t)] for t in known])
    state = state_definition_from_msg(by_step[int(known[0])].state_definition)
    nx, ndx, m = state.size, state.tangent_size, action.size
    shapes = {"reference_state": (nx,), "action": (m,), "gain": (m, ndx), "covariance": (m, m)}
    rows = {name: in_turn(laws, partial(_field, name=name, shape=shape)) for name, shape in shapes.items()}
    streamed = bool((in_turn(laws, lambda c: c.numbers("step")) != known).any())
    after = np.minimum(np.searchsorted(known, np.arange(steps)), len(known) - 1)
    before = np.where(known[after] > np.arange(steps), np.maximum(after - 1, 0), after)
    width = np.maximum(known[after] - known[before], 1)
    fraction = np.zeros(steps) if streamed else np.clip((np.arange(steps) - known[before]) / width, 0.0, 1.0)

    def joined(values: Array) -> Array:
        weight = fraction.reshape(-1, *[1] * (values.ndim - 1))
        with np.errstate(invalid="ignore"):  # a number that is none is refused by the law itself
            filled: Array = np.where(
                weight > 0.0, (1.0 - weight) * values[before] + weight * values[after], values[before]
            )
        return filled

    references = np.array(rows["reference_state"][before])
    for t in np.flatnonzero(fraction > 0.0):
        a, b = rows["reference_state"][before[t]], rows["reference_state"][after[t]]
        references[t] = state.space.interpolate(a, b, float(fraction[t]))
    return LinearGaussianController(
        state,
        action,
        dt,
        np.concatenate([references, references[-1:]]),
        joined(rows["action"]),
        joined(rows["gain"]),
        covariances=joined(rows["covariance"]),
        name=controller,
        metadata={"steps_without_law": steps - len(known)},
    )


def in_state_of(law: LinearGaussianController, trial: Trial) -> LinearGaussianController:
    """The same law on the whole state of a trial, of which it may use a part only.

    Its gains on what it does not use are zero, and its x̂ is there what was measured, so every mean is the same.

    Raises:
        DefinitionMismatchError: the trial's state lacks something the law uses.
    """
    if law.state == trial.state:
        return law
    places = law.state.selection_from(trial.state)
    references = np.array(trial.states)
    references[:, places] = law.nominal_states
    gains = np.zeros((law.steps, trial.action.size, trial.state.tangent_size))
    gains[:, :, _tangent_places(law.state, trial.state)] = law.gains
    return replace(law, state=trial.state, nominal_states=references, gains=gains)


def _tangent_places(part: StateDefinition, whole: StateDefinition) -> list[int]:
    """Where the tangent coordinates of a part of a state are among those of the whole."""
    first: dict[tuple[str, str], int] = {}
    at = 0
    for block in whole.blocks:
        for name, space in zip(block.names, block.spaces, strict=True):
            first[block.kind, name] = at
            at += SPACE_SIZES[space][1]
    return [
        first[block.kind, name] + k
        for block in part.blocks
        for name, space in zip(block.names, block.spaces, strict=True)
        for k in range(SPACE_SIZES[space][1])
    ]


def _field(laws: Columns, name: str, shape: tuple[int, ...]) -> Array:
    """A field (N, *shape) of some laws; deterministic ones may come without their covariance."""
    values = laws.numbers(name).astype(np.float64)
    if name == "covariance" and values.shape[1] == 0:
        return np.zeros((len(values), *shape))
    unflat("FeedbackLaw", name, values[0], shape)  # of one layout all are as long, or refused
    return values.reshape(-1, *shape)
