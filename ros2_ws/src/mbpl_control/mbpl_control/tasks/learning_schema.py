"""What a task file may say about learning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mbpl_control.tasks.section import Count, NotNegative, Number, Positive, Section


class InitialSection(Section):
    """The first controller, from which learning starts; see `learning.initial`."""

    kind: Literal["hold", "pd", "lqr_init"] = "lqr_init"
    bias: Literal["gravity", "zero"] = "gravity"
    inverse_inertia: Positive | list[Positive] = 1.0
    stiffness: Positive = 1.0
    damping: NotNegative = 0.5
    variance: Positive = 1.0
    final_weight: Positive = 1.0
    std: Positive | list[Positive] = 1.0


class PriorSection(Section):
    """The mixture prior over transitions; see `fitting.prior.PriorOptions`."""

    clusters: Annotated[int, Field(strict=True, ge=2)] = 20
    points_per_cluster: Count = 40
    window: Annotated[int, Field(strict=True, ge=1)] = 20
    first_iterations: Count = 10
    iterations: Count = 3
    strength: Positive = 1.0
    ridge: Positive = 1e-6


class StepSection(Section):
    """The size of a step: bound = kl · T · multiplier, nats, the multiplier adapted between floor and cap.

    Where a condition's trials end near the target (`exploration.close_within`), the cap is `close_cap`. A step whose
    trials cost more than those before it by `take_back` standard errors, and more than it promised to gain, is taken
    back.
    """

    kl: Positive = 0.2
    start: Positive = 5.0
    floor: Positive = 4.0
    cap: Positive = 25.0
    close_cap: Positive = 25.0
    take_back: Positive = 2.0

    @model_validator(mode="after")
    def _ordered(self) -> StepSection:
        if not self.floor <= self.start <= self.cap:
            raise ValueError(f"start {self.start} must lie between floor {self.floor} and cap {self.cap}")
        if self.close_cap < self.floor:
            raise ValueError(f"close_cap {self.close_cap} must not be below floor {self.floor}")
        return self


class ExplorationSection(Section):
    """Noise of the trials.

    It is smoothed over steps; its standard deviation stays between floor and ceiling, shares of the effort limit. Once
    a condition's trials end within a distance of the target (m or rad), the trials use only a share of it.
    """

    smoothing: NotNegative = 2.0
    close_share: Positive = 1.0
    close_within: Positive = 0.1
    floor: NotNegative = 1e-3
    ceiling: Positive = 0.5

    @model_validator(mode="after")
    def _ordered(self) -> ExplorationSection:
        if self.floor > self.ceiling:
            raise ValueError(f"floor {self.floor} must not be above ceiling {self.ceiling}")
        return self


class SurrogateSection(Section):
    """How the cost is made quadratic: expanded at the trials, or majorised, from a distance (m) on where that helps."""

    kind: Literal["taylor", "majorize", "auto"] = "auto"
    majorize_within: Positive = 0.1
    hessian: Literal["exact", "gauss_newton"] = "gauss_newton"
    rounds: Count = 2


class GpsSection(Section):
    """Guided policy search.

    A training of the policy takes `policy_iterations` steps of Adam, in `policy_rounds` rounds of as many each, rounded
    up: before each of them the policy runs on the fitted dynamics, and is taught where it goes. Natural gradient takes
    its own number of steps in each.
    """

    variant: Literal["mdgps", "badmm", "lagrangian"] = "mdgps"
    sample_from: Literal["controllers", "policy", "better"] = "controllers"
    step_rule: Literal["global", "local"] = "global"
    hidden: list[Count] = [40, 40]
    covariance: Literal["constant", "state_dependent"] = "constant"
    optimizer: Literal["adam", "natural_gradient"] = "adam"
    policy_iterations: Count = 3000
    policy_rounds: Count = 3
    neighbours: Annotated[int, Field(strict=True, ge=0)] = 14
    policy_share: Annotated[Number, Field(ge=0.0, le=1.0)] = 0.5


class LearningSection(Section):
    """Learning local controllers from trials, and a policy from them."""

    samples: Annotated[int, Field(strict=True, ge=2)] = 5
    iterations: Count | None = None
    entropy: NotNegative = 0.0
    ridge: Positive = 1e-6
    start_variance: Positive = 1e-6
    initial: InitialSection = InitialSection()
    prior: PriorSection = PriorSection()
    step: StepSection = StepSection()
    exploration: ExplorationSection = ExplorationSection()
    surrogate: SurrogateSection = SurrogateSection()
    gps: GpsSection = GpsSection()
