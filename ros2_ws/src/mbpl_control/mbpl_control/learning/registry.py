"""Learners by name."""

from __future__ import annotations

from typing import Any

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import check_choice
from mbpl_control.learning.learner import Learner
from mbpl_control.learning.lqr_flm import LqrFlm
from mbpl_control.tasks.task import Task

METHODS = ("lqr_flm", "gps")
VARIANTS = ("mdgps", "badmm", "lagrangian")


def build_learner(
    method: str,
    task: Task,
    seed: int,
    iterations: int | None = None,
    samples: int | None = None,
    variant: str | None = None,
) -> Learner:
    """A learner of the task, with the options of its file where none are given.

    Args:
        method: "lqr_flm" or "gps".
        task: what is learned.
        seed: of everything drawn.
        iterations: of the whole run, which some schedules follow.
        samples: trials a condition and iteration, at least 2.
        variant: of gps: "mdgps", "badmm" or "lagrangian".

    Raises:
        InvalidFieldError: no such method or variant, or a variant of a method that has none.
    """
    check_choice("learner", "method", method, METHODS)
    given = task.learning
    changed: dict[str, Any] = {}
    if iterations is not None:
        changed["iterations"] = iterations
    if samples is not None:
        if samples < 2:
            raise InvalidFieldError("learner", "samples", str(samples), "at least 2, for a fit")
        changed["samples"] = samples
    if variant is not None:
        if method != "gps":
            raise InvalidFieldError("learner", "variant", repr(variant), f"left out: {method} has no variants")
        check_choice("learner", "variant", variant, VARIANTS)
        changed["gps"] = given.gps.model_copy(update={"variant": variant})
    options = given.model_copy(update=changed)
    if method == "gps":
        # torch is loaded for those who train a policy
        from mbpl_control.gps.learner import GuidedPolicySearch

        return GuidedPolicySearch(task, seed, options)
    return LqrFlm(task, seed, options)
