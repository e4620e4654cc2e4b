"""What iLQR refuses: starts, guesses and options that are wrong, problems that have no answer."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import InvalidFieldError, SolverError
from mbpl_control.trajopt import ILQR, ILQROptions


def test_a_start_that_diverges_is_an_error_that_names_the_step(make_linear_problem) -> None:
    problem = make_linear_problem(0)
    problem.dynamics.a = 1e200 * np.eye(4)
    with pytest.raises(SolverError, match="first trajectory is not finite at step 2; give other first actions"):
        ILQR(problem.dynamics, problem.cost).solve(np.ones(4), problem.zero)


def test_a_cost_that_is_not_finite_is_an_error(make_linear_problem) -> None:
    problem = make_linear_problem(0)
    problem.cost.final_slope[0] = np.nan
    with pytest.raises(SolverError, match="not finite in its cost"):
        ILQR(problem.dynamics, problem.cost).solve(problem.start, problem.zero)


def test_an_action_that_costs_nothing_and_does_nothing_is_an_error(make_linear_problem) -> None:
    problem = make_linear_problem(0)
    problem.dynamics.b[:, 1] = 0.0
    problem.cost.running[:, 5, :] = problem.cost.running[:, :, 5] = 0.0
    problem.cost.running[:, 5, 5] = -1.0
    options = ILQROptions(max_regularization=1e3)
    with pytest.raises(SolverError, match="Q_uu is not positive definite at step 11 .* does every action have a cost"):
        ILQR(problem.dynamics, problem.cost, options).solve(problem.start, problem.zero)


@pytest.mark.parametrize(
    ("start", "actions", "message"),
    [
        (np.zeros(3), np.zeros((5, 2)), r"ILQR\.start: found shape \(3,\); must be of shape \(4,\)"),
        (np.zeros(4), np.zeros((5, 3)), r"ILQR\.actions: found shape \(5, 3\)"),
        (np.zeros(4), np.zeros((0, 2)), "0 steps; must be at least 1 step"),
        (np.zeros(4), np.full((5, 2), np.nan), "nan at index"),
    ],
)
def test_a_wrong_start_or_guess_is_an_error_that_names_it(make_linear_problem, start, actions, message: str) -> None:
    problem = make_linear_problem(0)
    with pytest.raises(InvalidFieldError, match=message):
        ILQR(problem.dynamics, problem.cost).solve(start, actions)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_iterations", 0),
        ("max_iterations", 2.5),
        ("max_iterations", True),
        ("cost_tolerance", 0.0),
        ("gradient_tolerance", -1.0),
        ("regularization", -1.0),
        ("regularization", 1e20),
        ("acceptance", float("nan")),
        ("time_budget", 0.0),
        ("hessian", "newton"),
    ],
)
def test_an_option_out_of_range_is_an_error_that_names_it(option: str, value: object) -> None:
    with pytest.raises(InvalidFieldError, match=rf"ILQROptions\.{option}: found "):
        ILQROptions(**{option: value})
