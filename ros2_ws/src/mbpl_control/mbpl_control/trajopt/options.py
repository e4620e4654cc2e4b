"""How iLQR searches."""

from __future__ import annotations

from dataclasses import dataclass

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import check_choice, check_positive, check_whole

OWNER = "ILQROptions"


@dataclass(frozen=True)
class ILQROptions:
    """How long to search, and how carefully.

    Attributes:
        max_iterations: at least 1.
        cost_tolerance: stop when an accepted step lowers the cost by less than this fraction of 1 + |cost|, and the
            model without regularisation promises little more.
        gradient_tolerance: stop when |dJ/dk| of every action that no limit holds is at most this, per unit of action.
        hessian: "exact" or "gauss_newton" for the cost.
        regularization: first μ; of 0 it begins at `ilqr.FIRST_REGULARIZATION` where a pass fails or a step is refused.
        max_regularization: beyond it the search ends.
        acceptance: least ratio of actual to expected reduction.
        form: "forward", the action as the control; "inverse", the acceleration, of a robot whose every joint is driven
            and whose effort is; "auto" for the latter where the model has it, until an effort meets a limit.
        time_budget: s of wall time after which no further iteration starts; none when None.
    """

    max_iterations: int = 300
    cost_tolerance: float = 1e-7
    gradient_tolerance: float = 1e-4
    hessian: str = "gauss_newton"
    regularization: float = 0.0
    max_regularization: float = 1e10
    acceptance: float = 1e-2
    form: str = "auto"
    time_budget: float | None = None

    def __post_init__(self) -> None:
        """Check each option."""
        check_whole(OWNER, "max_iterations", self.max_iterations, 1, 10**9)
        for name in ("cost_tolerance", "gradient_tolerance", "max_regularization", "acceptance"):
            check_positive(OWNER, name, getattr(self, name))
        if not 0.0 <= self.regularization <= self.max_regularization:
            allowed = f"0 to {self.max_regularization}"
            raise InvalidFieldError(OWNER, "regularization", str(self.regularization), allowed)
        if self.time_budget is not None:
            check_positive(OWNER, "time_budget", self.time_budget, "s")
        check_choice(OWNER, "form", self.form, ("auto", "forward", "inverse"))
        check_choice(OWNER, "hessian", self.hessian, ("exact", "gauss_newton"))
