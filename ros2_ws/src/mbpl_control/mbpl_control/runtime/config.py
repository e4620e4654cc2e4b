"""Settings of the controller manager."""

from __future__ import annotations

from dataclasses import dataclass

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import check_choice, check_positive, check_whole
from mbpl_control.safety.jumps import JUMP_MARGIN, SPEED_FACTOR

OWNER = "ManagerConfig"


@dataclass(frozen=True)
class ManagerConfig:
    """Times and bounds the manager keeps to.

    Attributes:
        rate: Hz, expected rate of states.
        state_timeout: s without a fresh state until the fallback.
        law_timeout: s without a fresh law of a streaming source until the fallback.
        law_wait: s a state may wait for the law that is made for it, see `LawWait`; 0: none waits, the newest law that
            has come answers.
        zero_timeout: s of fallback without a fresh state until zero effort.
        blend_time: s over which the command goes from what was applied to a newly activated law.
        stream_blend_time: s over which it goes from one law of a stream to the next.
        max_gain: largest |K| a law may have.
        future_slack: s a law's stamp may be ahead of the robot's clock.
        hold_frequency: rad/s, stiffness of the hold, see `HoldGains`.
        max_planned_action: largest planned action a law may have, times the robot's limit.
        jump_margin: rad or m a position may change from state to state beyond `jump_speed_factor` times what its speed
            limit allows, before the robot counts as put somewhere else.
        jump_speed_factor: times the speed limit that still counts as motion.
        fallback_controllers: names of controllers that are tried in this order when one fails, before `fallback`.
        fallback: "hold", or "damp", a hold without a spring.
        emergency_stop: "damp" (gravity compensation and damping) or "zero" effort.
        seed: of sampled laws; each activation takes the next number.
    """

    rate: float = 200.0
    state_timeout: float = 0.1
    law_timeout: float = 0.5
    law_wait: float = 0.0
    zero_timeout: float = 1.0
    blend_time: float = 0.06
    stream_blend_time: float = 0.04
    max_gain: float = 1e5
    future_slack: float = 0.05
    hold_frequency: float = 12.0
    max_planned_action: float = 2.0
    jump_margin: float = JUMP_MARGIN
    jump_speed_factor: float = SPEED_FACTOR
    fallback_controllers: tuple[str, ...] = ()
    fallback: str = "hold"
    emergency_stop: str = "damp"
    seed: int = 0

    def __post_init__(self) -> None:
        """Check each setting."""
        for name in (
            "rate",
            "state_timeout",
            "law_timeout",
            "zero_timeout",
            "max_gain",
            "future_slack",
            "hold_frequency",
            "max_planned_action",
            "jump_margin",
            "jump_speed_factor",
        ):
            check_positive(OWNER, name, getattr(self, name))
        for name in ("blend_time", "stream_blend_time"):
            if not 0.0 <= getattr(self, name) <= 10.0:
                raise InvalidFieldError(OWNER, name, f"{getattr(self, name)} s", "0 to 10 s")
        if not 0.0 <= self.law_wait < self.state_timeout:
            allowed = f"0 to below state_timeout, {self.state_timeout} s"
            raise InvalidFieldError(OWNER, "law_wait", f"{self.law_wait} s", allowed)
        check_whole(OWNER, "seed", self.seed, 0, 2**63 - 1)
        if len(set(self.fallback_controllers)) != len(self.fallback_controllers):
            found = ", ".join(self.fallback_controllers)
            raise InvalidFieldError(OWNER, "fallback_controllers", found, "each name once")
        check_choice(OWNER, "fallback", self.fallback, ("hold", "damp"))
        check_choice(OWNER, "emergency_stop", self.emergency_stop, ("damp", "zero"))
        if self.state_timeout * self.rate < 2.0:
            raise InvalidFieldError(
                OWNER, "state_timeout", f"{self.state_timeout} s", f"at least two periods of {self.rate} Hz"
            )
