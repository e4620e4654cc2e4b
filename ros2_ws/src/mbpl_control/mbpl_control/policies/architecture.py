"""The shape of a policy's network, and where each weight lies in the vector of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, check_choice, check_positive, check_whole

OWNER = "PolicyArchitecture"
ACTIVATIONS = ("relu", "tanh")
COVARIANCES = ("constant", "state_dependent")
SQUASHES = ("none", "tanh")

#: A numpy array or a torch tensor.
Vector = TypeVar("Vector", bound=Any)


@dataclass(frozen=True)
class PolicyArchitecture:
    """Which network, and which covariance.

    Attributes:
        hidden: units of each hidden layer; none makes the policy linear in its features.
        activation: "relu" or "tanh".
        covariance: "constant" (one Σ for all observations, in closed form from the targets) or "state_dependent" (the
            network's last layer gives a Cholesky factor, too).
        log_std_range: a state-dependent standard deviation stays within e^±this of that of the first training.
        constant_below: a feature whose standard deviation at the first training is below this, in its own unit, counts
            as constant: it is centred, but not scaled up.
        squash: "none", or "tanh", which keeps the mean within the limits of the actions (`GaussianPolicy`).
    """

    hidden: tuple[int, ...] = (40, 40)
    activation: str = "relu"
    covariance: str = "constant"
    log_std_range: float = 7.0
    constant_below: float = 1e-3
    squash: str = "none"

    def __post_init__(self) -> None:
        """Check each field."""
        if not isinstance(self.hidden, tuple | list):
            raise InvalidFieldError(OWNER, "hidden", repr(self.hidden), "a sequence of sizes")
        sizes = tuple(check_whole(OWNER, "hidden", size, 1, 10**5) for size in self.hidden)
        object.__setattr__(self, "hidden", sizes)
        check_choice(OWNER, "activation", self.activation, ACTIVATIONS)
        check_choice(OWNER, "covariance", self.covariance, COVARIANCES)
        check_positive(OWNER, "log_std_range", self.log_std_range)
        check_positive(OWNER, "constant_below", self.constant_below)
        check_choice(OWNER, "squash", self.squash, SQUASHES)

    @property
    def state_dependent(self) -> bool:
        """Whether the network gives the covariance, too."""
        return self.covariance == "state_dependent"

    def outputs(self, actions: int) -> int:
        """Numbers the last layer gives for m actions: m means, and m + m (m − 1) / 2 of a Cholesky factor."""
        return actions + actions * (actions + 1) // 2 if self.state_dependent else actions

    def shapes(self, features: int, actions: int) -> list[tuple[int, int]]:
        """(outputs, inputs) of each layer."""
        sizes = (features, *self.hidden, self.outputs(actions))
        return [(after, before) for before, after in zip(sizes[:-1], sizes[1:], strict=True)]

    def parameter_count(self, features: int, actions: int) -> int:
        """P, the weights and biases of all layers."""
        return sum(rows * (columns + 1) for rows, columns in self.shapes(features, actions))

    def initial_parameters(self, features: int, actions: int, seed: int) -> Array:
        """Weights (P,) drawn from N(0, g / inputs), g = 2 for ReLU and 1 else; biases, and what gives Σ, are zero.

        Source: He et al. 2015, "Delving deep into rectifiers"; LeCun et al. 1998, "Efficient backprop".
        """
        rng = np.random.default_rng(seed)
        parts = []
        shapes = self.shapes(features, actions)
        for layer, (rows, columns) in enumerate(shapes):
            last = layer == len(shapes) - 1
            gain = 2.0 if self.activation == "relu" and not last else 1.0
            weights = np.sqrt(gain / columns) * rng.standard_normal((rows, columns))
            if last:
                weights[actions:] = 0.0
            parts += [weights.ravel(), np.zeros(rows)]
        return np.concatenate(parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON; a squash that is none is left out, so that policies from before keep their hash."""
        data = {**asdict(self), "hidden": list(self.hidden)}
        if self.squash == "none":
            del data["squash"]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PolicyArchitecture:
        """Inverse of `to_dict`.

        Raises:
            InvalidFieldError: the data do not describe an architecture.
        """
        try:
            return cls(**{**data, "hidden": tuple(data["hidden"])})
        except (KeyError, TypeError) as error:
            raise InvalidFieldError(OWNER, "data", repr(data)[:80], "the fields of a PolicyArchitecture") from error


def unflatten(parameters: Vector, shapes: list[tuple[int, int]]) -> list[Vector]:
    """The vector of all parameters (P,) as weights (outputs, inputs) and bias (outputs,) of each layer in turn."""
    parts: list[Vector] = []
    start = 0
    for rows, columns in shapes:
        middle = start + rows * columns
        parts += [parameters[start:middle].reshape(rows, columns), parameters[middle : middle + rows]]
        start = middle + rows
    return parts
