"""Natural gradient: the steepest step in KL, whatever the parameters are."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import vjp

from mbpl_control.core.errors import InvalidFieldError, SolverError
from mbpl_control.core.validation import check_positive, check_whole

OWNER = "NaturalGradientOptions"


@dataclass(frozen=True)
class NaturalGradientOptions:
    """How a natural step is searched for.

    Attributes:
        cg_iterations: most iterations of conjugate gradient.
        cg_tolerance: it ends when the residual is this fraction of the gradient, both as norms.
        damping: a ≥ 0 in (F + a ρ I) d = g, with ρ = gᵀ F g / gᵀ g. It steadies the search where F is nearly singular,
            and breaks the invariance to the choice of parameters.
        acceptance: least ratio of actual to first-order decrease of the objective.
        max_reductions: of the step's length, before the search gives up.
    """

    cg_iterations: int = 20
    cg_tolerance: float = 1e-8
    damping: float = 0.0
    acceptance: float = 0.01
    max_reductions: int = 30

    def __post_init__(self) -> None:
        """Check each option."""
        check_whole(OWNER, "cg_iterations", self.cg_iterations, 1, 10**6)
        check_positive(OWNER, "cg_tolerance", self.cg_tolerance)
        check_whole(OWNER, "max_reductions", self.max_reductions, 0, 10**3)
        if not 0.0 <= self.damping < float("inf"):
            raise InvalidFieldError(OWNER, "damping", str(self.damping), "at least 0 and finite")
        if not 0.0 <= self.acceptance < 1.0:
            raise InvalidFieldError(OWNER, "acceptance", str(self.acceptance), "at least 0 and below 1")


@dataclass(frozen=True, eq=False)
class NaturalStep:
    """A step, or why there is none.

    Attributes:
        parameters: θ after the step (P,); those before it when none was accepted.
        accepted: whether there is a step.
        kl: KL(before ‖ after), nats.
        objective_before: at the old parameters.
        objective: at the new ones.
        reductions: how often the step that should have met the bound was made shorter.
        cg_iterations: iterations of conjugate gradient.
    """

    parameters: Tensor
    accepted: bool
    kl: float
    objective_before: float
    objective: float
    reductions: int
    cg_iterations: int


class FisherProduct:
    r"""v ↦ F v = Jᵀ M J v at θ, without forming J or F.

    Args:
        parameters: θ (P,).
        mean_fn: θ ↦ h (B, k), what says which distribution there is for each of B observations.
        metric: v ↦ M v (B, k) → (B, k), the Fisher information of the distributions in the coordinates h at θ, with
            the weights of a mean over the observations in it.

    Source: Schraudolph 2002, "Fast curvature matrix-vector products"; Schulman et al. 2015, appendix C.
    """

    def __init__(
        self, parameters: Tensor, mean_fn: Callable[[Tensor], Tensor], metric: Callable[[Tensor], Tensor]
    ) -> None:
        """Evaluate the network once, for all products."""
        self._metric = metric
        self._pull = vjp(mean_fn, parameters)[1]
        # w ↦ Jᵀ w is linear, so that its own transpose is J at any w: both products go through graphs that are there,
        # where forward mode would evaluate the network anew for each
        self._push = vjp(lambda w: self._pull(w)[0], torch.zeros_like(mean_fn(parameters)))[1]

    def __call__(self, v: Tensor) -> Tensor:
        """F v. (P,) → (P,)."""
        (pushed,) = self._push(v)
        (out,) = self._pull(self._metric(pushed))
        return out


def conjugate_gradient(
    product: Callable[[Tensor], Tensor], b: Tensor, iterations: int, tolerance: float
) -> tuple[Tensor, int]:
    """x with A x ≈ b for a positive semidefinite A given by its products, from x = 0. (P,) → (P,), iterations.

    Ends early when ‖b − A x‖ ≤ `tolerance` ‖b‖, or in a direction in which A is zero to rounding.

    Source: Hestenes and Stiefel 1952.
    """
    x = torch.zeros_like(b)
    residual = b.clone()
    direction = b.clone()
    size = float(residual @ residual)
    limit = tolerance**2 * size
    done = 0
    while done < iterations and size > limit:
        image = product(direction)
        curvature = float(direction @ image)
        if not curvature > torch.finfo(b.dtype).eps * float(direction.norm() * image.norm()):
            break
        step = size / curvature
        x = x + step * direction
        residual = residual - step * image
        before, size = size, float(residual @ residual)
        direction = residual + (size / before) * direction
        done += 1
    return x, done


def natural_step(
    parameters: Tensor,
    mean_fn: Callable[[Tensor], Tensor],
    objective_gradient: Tensor,
    kl_fn: Callable[[Tensor], float],
    objective_fn: Callable[[Tensor], float],
    bound: float,
    *,
    metric: Callable[[Tensor], Tensor],
    options: NaturalGradientOptions | None = None,
) -> NaturalStep:
    r"""One step down an objective, of at most `bound` nats.

        min_Δ gᵀ Δ   subject to   ½ Δᵀ F Δ ≤ bound,   hence   Δ = −√(2 bound / dᵀ F d) d,   F d = g

    F is KL's second derivative, right for small steps only, so Δ is shortened until the *exact* KL keeps the bound and
    the objective itself falls as it should, and from there on as long as that lowers the objective further: a step that
    overshoots by nearly all it gains is no step. Damping is in the search for d alone: the length of the step is by
    the true F.

    Args:
        parameters: θ (P,).
        mean_fn: θ ↦ h (B, k); see `FisherProduct`.
        objective_gradient: g (P,), of the objective at θ.
        kl_fn: θ' ↦ mean KL(θ ‖ θ') over the observations, nats.
        objective_fn: θ' ↦ the objective, to be made small.
        bound: nats, above 0.
        metric: v ↦ M v; see `FisherProduct`.
        options: of the search.

    Raises:
        SolverError: the gradient is not finite.

    Source: Amari 1998, "Natural gradient works efficiently in learning"; Schulman et al. 2015, "Trust region policy
    optimization".
    """
    options = NaturalGradientOptions() if options is None else options
    check_positive("natural_step", "bound", bound, "nats")
    g = objective_gradient
    if not bool(torch.isfinite(g).all()):
        raise SolverError("natural step: the gradient of the objective is not finite; it must be")
    before = objective_fn(parameters)
    none = NaturalStep(parameters, False, 0.0, before, before, 0, 0)
    squared = float(g @ g)
    if squared == 0.0:
        return none
    fisher = FisherProduct(parameters, mean_fn, metric)
    shift = options.damping * float(g @ fisher(g)) / squared if options.damping > 0.0 else 0.0
    direction, iterations = conjugate_gradient(
        lambda v: fisher(v) + shift * v, g, options.cg_iterations, options.cg_tolerance
    )
    curvature = float(direction @ fisher(direction))
    if not curvature > 0.0:
        return none
    scale = math.sqrt(2.0 * bound / curvature)
    slope = float(g @ direction)
    best: NaturalStep | None = None
    for reductions in range(options.max_reductions + 1):
        candidate = parameters - scale * direction
        kl, objective = kl_fn(candidate), objective_fn(candidate)
        if best is not None and not objective < best.objective:
            return best
        # NaN fails both
        if kl <= bound and before - objective > options.acceptance * scale * slope:
            best = NaturalStep(candidate, True, kl, before, objective, reductions, iterations)
        if kl > bound and math.isfinite(kl):
            # KL grows about as the square of the length
            scale *= max(0.95 * math.sqrt(bound / kl), 0.1)
        else:
            scale *= 0.5
    return none if best is None else best
