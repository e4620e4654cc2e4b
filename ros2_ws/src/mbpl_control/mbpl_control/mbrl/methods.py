"""Learners of learning problems by name, each with a tree of options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mbpl_control.core.options import with_options
from mbpl_control.core.validation import check_choice
from mbpl_control.mbrl.backprop import BackpropLearner, BackpropOptions
from mbpl_control.mbrl.ensemble import EnsembleDynamics, EnsembleOptions
from mbpl_control.mbrl.evaluation import StepLearner
from mbpl_control.mbrl.learned_dynamics import LearnedDynamics
from mbpl_control.mbrl.linear_quadratic import LinearQuadraticLearner
from mbpl_control.mbrl.model_learner import Collection
from mbpl_control.mbrl.mpc_learner import MpcLearner
from mbpl_control.mbrl.planning.planner import Planner
from mbpl_control.mbrl.planning.registry import PLANNERS, problem_planner
from mbpl_control.mbrl.policy_learner import DYNAMICS, TrialOptions
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.mbrl.sac_learner import METHODS as ACTOR_CRITICS
from mbpl_control.mbrl.sac_learner import SacLearner


@dataclass(frozen=True)
class RegulatorOptions:
    """Options of `linear_quadratic`.

    Attributes:
        collection: how transitions are come by.
    """

    collection: Collection = field(default_factory=Collection)


@dataclass(frozen=True)
class MpcOptions:
    """Options of a planner on an ensemble.

    Attributes:
        planner: of its kind, e.g. `CEMOptions`.
        collection: how transitions are come by.
        ensemble: of the model.
    """

    planner: Any
    collection: Collection = field(default_factory=Collection)
    ensemble: EnsembleOptions = field(default_factory=EnsembleOptions)


@dataclass(frozen=True)
class DescentOptions:
    """Options of `backprop`.

    Attributes:
        descent: how a policy is improved.
        trials: how it is tried.
        ensemble: of the model.
    """

    descent: BackpropOptions = field(default_factory=BackpropOptions)
    trials: TrialOptions = field(default_factory=TrialOptions)
    ensemble: EnsembleOptions = DYNAMICS


@dataclass(frozen=True)
class Method:
    """How a learner is made.

    Attributes:
        options: its own; a dataclass with others inside.
        build: makes it of a problem, a seed and such options.
        unused: options that have no effect on this method.
    """

    options: Any
    build: Callable[[LearningProblem, int, Any], StepLearner]
    unused: tuple[str, ...] = ()


def _regulator(problem: LearningProblem, seed: int, options: RegulatorOptions) -> StepLearner:
    return LinearQuadraticLearner(problem, seed, options.collection)


def _mpc(planner: str) -> Method:
    """MPC on an ensemble, with that planner."""

    def build(problem: LearningProblem, seed: int, options: MpcOptions) -> StepLearner:
        dynamics = EnsembleDynamics(problem.n, problem.m, seed, options.ensemble)

        def make(learned: LearnedDynamics, of: LearningProblem) -> Planner:
            return problem_planner(planner, learned, of, options.planner)

        return MpcLearner(problem, dynamics, make, seed, options.collection)

    return Method(MpcOptions(PLANNERS[planner][1]), build)


def _backprop(problem: LearningProblem, seed: int, options: DescentOptions) -> StepLearner:
    return BackpropLearner(problem, seed, options.descent, options.trials, options.ensemble)


def _actor_critic(name: str) -> Method:
    """Soft actor-critic, as that method uses a model."""
    options = ACTOR_CRITICS[name]
    uses_model = options.horizon > 0 or options.branches is not None
    # how a model is used is what sets the methods apart
    return Method(options, SacLearner, () if uses_model else ("horizon", "model_every", "ensemble"))


METHODS: Mapping[str, Method] = {
    "linear_quadratic": Method(RegulatorOptions(), _regulator),
    "mpc_cem": _mpc("cem"),
    "mpc_icem": _mpc("icem"),
    "mpc_mppi": _mpc("mppi"),
    "mpc_ilqr": _mpc("ilqr"),
    "backprop": Method(DescentOptions(), _backprop),
    "sac": _actor_critic("SAC"),
    "sac_pink": _actor_critic("SAC, pink"),
    "mba": _actor_critic("MBA"),
    "mve": _actor_critic("MVE"),
    "mbpo": _actor_critic("MBPO"),
    "mbpo_pink": _actor_critic("MBPO, pink"),
}


def build_method(
    method: str, problem: LearningProblem, seed: int, options: Mapping[str, Any] | None = None
) -> StepLearner:
    """A learner by the name of its method.

    Args:
        method: its name.
        problem: what is learned.
        seed: of everything drawn.
        options: those that are not its own, by their path, e.g. "ensemble.steps"; see `core.options.with_options`.

    Raises:
        InvalidFieldError: no such method or option, or an option out of its range.
    """
    found = METHODS[check_choice("methods", "method", method, tuple(METHODS))]
    return found.build(problem, seed, with_options(method, found.options, options or {}, found.unused))
