"""What a training did."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mbpl_control.core.errors import InvalidFieldError


@dataclass(frozen=True)
class TrainingReport:
    """What a training did.

    Attributes:
        trainer: name of the trainer.
        samples: targets it was trained on.
        loss_before: loss on them before, dimensionless; see docs/policies.md.
        loss_after: the same after.
        held_out_before: loss on targets that were kept out; NaN when none were.
        held_out_after: the same after.
        kl: mean over all targets' observations of KL(policy before ‖ policy after), nats; NaN at the first training,
            before which there was no policy to speak of.
        steps: steps of the optimiser.
        seconds: wall time.
        about: what else is to be told of it, JSON data; such as what distilled the policy says of its teachers.
    """

    trainer: str
    samples: int
    loss_before: float
    loss_after: float
    held_out_before: float
    held_out_after: float
    kl: float
    steps: int
    seconds: float
    about: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON; NaN is None."""
        plain = asdict(self)
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in plain.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainingReport:
        """Inverse of `to_dict`.

        Raises:
            InvalidFieldError: the data do not describe a report.
        """
        try:
            fields: dict[str, Any] = {key: math.nan if value is None else value for key, value in data.items()}
            return cls(**fields)
        except (AttributeError, TypeError) as error:
            raise InvalidFieldError(
                "TrainingReport", "data", repr(data)[:80], "the fields of a TrainingReport"
            ) from error
