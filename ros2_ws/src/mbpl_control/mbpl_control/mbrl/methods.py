"""Learners of learning problems by name; each is loaded when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, cast

from mbpl_control.core.errors import InvalidFieldError, MbplError
from mbpl_control.core.validation import check_choice
from mbpl_control.mbrl.ensemble import EnsembleDynamics
from mbpl_control.mbrl.evaluation import StepLearner
from mbpl_control.mbrl.problem import LearningProblem

#: Makes a learner from a problem, a seed and further arguments by name.
Builder = Callable[[LearningProblem, int, Mapping[str, Any]], StepLearner]


def _part(module: str, name: str) -> Any:
    """Something of mbrl, loaded now.

    Raises:
        MbplError: this installation does not have it.
    """
    try:
        return getattr(importlib.import_module(f"mbpl_control.mbrl.{module}"), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise MbplError(f"mbrl/{module}.py::{name} is not part of this installation: {error}") from error


def _linear_quadratic(problem: LearningProblem, seed: int, options: Mapping[str, Any]) -> StepLearner:
    learner = _part("linear_quadratic", "LinearQuadraticLearner")
    return cast(StepLearner, learner(problem, seed, **options))


def _mpc(planner: str) -> Builder:
    """MPC on an ensemble, with that planner."""

    def build(problem: LearningProblem, seed: int, options: Mapping[str, Any]) -> StepLearner:
        learner, plan = _part("mpc_learner", "MpcLearner"), _part("planning.registry", "problem_planner")
        dynamics = EnsembleDynamics(problem.n, problem.m, seed)
        return cast(StepLearner, learner(problem, dynamics, lambda *of: plan(planner, *of), seed, **options))

    return build


def _backprop(problem: LearningProblem, seed: int, options: Mapping[str, Any]) -> StepLearner:
    return cast(StepLearner, _part("backprop", "BackpropLearner")(problem, seed, **options))


def _sac(name: str) -> Builder:
    """Soft actor-critic, as that method uses a model."""

    def build(problem: LearningProblem, seed: int, options: Mapping[str, Any]) -> StepLearner:
        learner, its = _part("sac_learner", "SacLearner"), _part("sac_learner", "METHODS")[name]
        return cast(StepLearner, learner(problem, seed, **{"options": its, **options}))

    return build


METHODS: Mapping[str, Builder] = {
    "linear_quadratic": _linear_quadratic,
    "mpc_cem": _mpc("cem"),
    "mpc_icem": _mpc("icem"),
    "mpc_mppi": _mpc("mppi"),
    "mpc_ilqr": _mpc("ilqr"),
    "backprop": _backprop,
    "sac": _sac("SAC"),
    "sac_pink": _sac("SAC, pink"),
    "mba": _sac("MBA"),
    "mve": _sac("MVE"),
    "mbpo": _sac("MBPO"),
    "mbpo_pink": _sac("MBPO, pink"),
}


def build_method(
    method: str,
    problem: LearningProblem,
    seed: int,
    options: Mapping[str, Any] | None = None,
    methods: Mapping[str, Builder] = METHODS,
) -> StepLearner:
    """A learner by the name of its method.

    Args:
        method: its name.
        problem: what is learned.
        seed: of everything drawn.
        options: further arguments of the learner, by name.
        methods: that there are.

    Raises:
        InvalidFieldError: no such method, or an argument that its learner does not take.
        MbplError: the method is not part of this installation.
    """
    build = methods[check_choice("methods", "method", method, tuple(methods))]
    try:
        return build(problem, seed, options or {})
    except TypeError as error:
        if not options:
            raise
        found = ", ".join(options)
        raise InvalidFieldError("methods", f"options of {method}", found, f"such as it takes: {error}") from error
