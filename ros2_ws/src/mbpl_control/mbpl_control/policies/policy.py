"""Neural Gaussian policies, as they are executed and kept: numpy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mbpl_control.core import archive
from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import FileFormatError, InvalidFieldError
from mbpl_control.core.hashing import content_hash
from mbpl_control.core.state_definition import StateDefinition
from mbpl_control.core.validation import Array, check_covariances, check_positive, check_whole, float_array
from mbpl_control.policies.architecture import PolicyArchitecture, unflatten
from mbpl_control.policies.covariance_head import CovarianceHead
from mbpl_control.policies.features import FeatureMap
from mbpl_control.policies.report import TrainingReport
from mbpl_control.policies.targets import PolicyTargets

OWNER = "GaussianPolicy"
KIND = "gaussian_policy"


@dataclass(frozen=True, eq=False)
class AdamMoments:
    """What Adam remembers from one training to the next.

    Attributes:
        first: running mean of the gradient (P,).
        second: running mean of its square (P,).
        steps: taken so far.
    """

    first: Array
    second: Array
    steps: int


class GaussianPolicy:
    r"""π_θ(u | o) = N( μ_θ(o), Σ ), a neural network from observations to actions.

        z = (φ(o) − mean φ) / std φ,   h_{l+1} = σ(W_l h_l + b_l),   μ = s ⊙ (W_L h_L + b_L)

    φ gives angles as sine and cosine (`FeatureMap`). Mean and std of φ and the action scale s come from the targets of
    the first training and stay; until then they are zeros and ones, and Σ is the identity in the actions' units. With
    the squash "tanh" the mean is kept within the limits of the actions, of middle c and half width w:

        μ = c + w ⊙ tanh( s ⊙ (W_L h_L + b_L) / w )

    Evaluation is numpy in float64; one policy gives the same bits each time it is asked the same.

    Attributes:
        observation: what o is; no numbers, none of them a quaternion.
        action: what u is; m numbers.
        dt: step it is asked at, s.
        task: name of the task.
        task_hash: content hash of the task.
        architecture: of the network, and which covariance.
        seed: of the initial weights.
        parameters: θ (P,), weights and biases of each layer in turn; read-only, `assign` replaces them.
        feature_mean: mean of φ (nf,).
        feature_scale: std of φ (nf,).
        action_scale: s (m,).
        covariance: Σ (m, m), positive definite; of a state-dependent covariance that of the first training, around
            which the network's stays.
        covariance_head: the Cholesky factor of Σ, from Σ above and from what the network gives.
        trainings: trainings that are behind it.
        report: of the last training.
        moments: of Adam, when it trained the policy.

    Raises:
        InvalidFieldError: a field has a wrong value, or an action without limits is to be squashed.
    """

    def __init__(
        self,
        observation: StateDefinition,
        action: ActionDefinition,
        dt: float,
        *,
        seed: int,
        architecture: PolicyArchitecture | None = None,
        task: str = "",
        task_hash: str = "",
    ) -> None:
        """Draw the initial weights."""
        self.observation = observation
        self.action = action
        self.dt = check_positive(OWNER, "dt", dt, "s")
        self.task = task
        self.task_hash = task_hash
        self.architecture = PolicyArchitecture() if architecture is None else architecture
        self.seed = check_whole(OWNER, "seed", seed, 0, 2**64 - 1)
        if self.architecture.squash != "none" and not np.isfinite([action.lower, action.upper]).all():
            raise InvalidFieldError(OWNER, "action", "an actuator without limits", "limited, to be squashed")
        self.features = FeatureMap(observation)
        self.shapes = self.architecture.shapes(self.features.size, action.size)
        self.feature_mean = np.zeros(self.features.size)
        self.feature_scale = np.ones(self.features.size)
        self.action_scale = np.ones(action.size)
        self.trainings = 0
        self.report: TrainingReport | None = None
        self.moments: AdamMoments | None = None
        self.assign(
            self.architecture.initial_parameters(self.features.size, action.size, self.seed), np.eye(action.size)
        )

    def assign(self, parameters: Array, covariance: Array) -> None:
        """Replace θ (P,) and Σ (m, m).

        Raises:
            InvalidFieldError: a wrong shape or a number that is not finite; Σ is not positive definite.
        """
        m = self.action.size
        count = self.architecture.parameter_count(self.features.size, m)
        self.parameters = float_array(OWNER, "parameters", parameters, (count,))
        self.covariance = float_array(OWNER, "covariance", covariance, (m, m))
        check_covariances(OWNER, "covariance", self.covariance)
        self.covariance_head = CovarianceHead(self.covariance, self.architecture.log_std_range)
        layers = unflatten(self.parameters, self.shapes)
        self._hidden = list(zip(layers[:-2:2], layers[1:-2:2], strict=True))
        self._last = layers[-2], layers[-1]

    def fit_scales(self, targets: PolicyTargets) -> None:
        """Fix mean and std of φ, and s (root mean square of the targets' means, from c if squashed), by their weights.

        A feature that hardly varies is left in its own unit (`PolicyArchitecture.constant_below`), and so is an
        action that is always zero.
        """
        weights = targets.weights / targets.weights.sum()
        features = self.features(targets.observations)
        mean = weights @ features
        std = np.sqrt(weights @ (features - mean) ** 2)
        self.feature_mean = mean
        self.feature_scale = np.where(std < self.architecture.constant_below, 1.0, std)
        middle = 0.0 if self.architecture.squash == "none" else 0.5 * (self.action.lower + self.action.upper)
        size = np.sqrt(weights @ (targets.means - middle) ** 2)
        self.action_scale = np.where(size == 0.0, 1.0, size)

    def standardise(self, observations: Array) -> Array:
        """Network inputs z of observations. (..., no) → (..., nf)."""
        return (self.features(observations) - self.feature_mean) / self.feature_scale

    def means(self, observations: Array) -> Array:
        """μ_θ(o). (B, no) → (B, m).

        Raises:
            InvalidFieldError: a wrong shape, or a number that is not finite.
        """
        return self._mean(self._outputs(observations)[:, : self.action.size])[0]

    def distribution(self, observations: Array) -> tuple[Array, Array]:
        """μ_θ(o) and Σ. (B, no) → (B, m), (B, m, m).

        Raises:
            InvalidFieldError: a wrong shape, or a number that is not finite.
        """
        m = self.action.size
        outputs = self._outputs(observations)
        if self.architecture.state_dependent:
            factors = self.covariance_head.factors(outputs[:, m:])
            covariances = factors @ np.swapaxes(factors, -1, -2)
        else:
            covariances = np.tile(self.covariance, (outputs.shape[0], 1, 1))
        return self._mean(outputs[:, :m])[0], covariances

    def linearize(self, observation: Array) -> tuple[Array, Array, Array]:
        """μ_θ(o), dμ_θ/do and Σ. (no,) → (m,), (m, no), (m, m).

        The Jacobian is that of plain numbers. Since an observation holds no quaternions it is that of its tangent
        space, too, and so the gain of a `FeedbackLaw`.

        Raises:
            InvalidFieldError: a wrong shape, or a number that is not finite.
        """
        o = float_array(OWNER, "observation", observation, (self.observation.size,))
        m = self.action.size
        h = self.standardise(o)
        slopes = []
        for weights, bias in self._hidden:
            h, slope = self._activate(weights @ h + bias)
            slopes.append(slope)
        weights, bias = self._last
        outputs = weights @ h + bias
        mean, slope = self._mean(outputs[:m])
        # from the m outputs backwards: fewer rows than the inputs have columns
        jacobian = slope[:, None] * weights[:m]
        for (weights, _), slope in zip(reversed(self._hidden), reversed(slopes), strict=True):
            jacobian = (jacobian * slope) @ weights
        jacobian = jacobian / self.feature_scale
        if not self.features.identity:
            jacobian = jacobian @ self.features.jacobian(o)
        if self.architecture.state_dependent:
            factor = self.covariance_head.factors(outputs[None, m:])[0]
            return mean, jacobian, factor @ factor.T
        return mean, jacobian, self.covariance.copy()

    def _outputs(self, observations: Array) -> Array:
        """What the last layer gives. (B, no) → (B, outputs)."""
        o = float_array(OWNER, "observations", observations, (None, self.observation.size))
        h = self.standardise(o)
        for weights, bias in self._hidden:
            h, _ = self._activate(h @ weights.T + bias)
        weights, bias = self._last
        return h @ weights.T + bias

    def _mean(self, y: Array) -> tuple[Array, Array]:
        """μ and dμ/dy of the first m numbers y (..., m) that the last layer gives."""
        a = self.action_scale * y
        if self.architecture.squash == "none":
            return a, self.action_scale
        lower, upper = self.action.lower, self.action.upper
        half = 0.5 * (upper - lower)
        t = np.tanh(a / half)
        # beyond a limit by rounding only
        return np.clip(0.5 * (lower + upper) + half * t, lower, upper), self.action_scale * (1.0 - t * t)

    def _activate(self, a: Array) -> tuple[Array, Array]:
        """σ(a) and σ'(a); that of ReLU is zero at zero."""
        if self.architecture.activation == "relu":
            positive = a > 0.0
            return a * positive, positive.astype(np.float64)
        h = np.tanh(a)
        return h, 1.0 - h * h

    @property
    def hash(self) -> str:
        """Of all that decides what it answers; the same after `save` and `load`."""
        arrays = [np.asarray(getattr(self, name)).tobytes().hex() for name in _OWN_ARRAYS]
        definitions = [self.observation.to_dict(), self.action.to_dict(), self.architecture.to_dict(), self.dt]
        return content_hash([definitions, arrays])

    def save(self, path: str | Path) -> Path:
        """Write the policy to `path` (.npz), with all that further training needs; never half a file."""
        state = self.to_state()
        return archive.save(path, KIND, state["header"], state["arrays"])

    @classmethod
    def load(cls, path: str | Path) -> GaussianPolicy:
        """Read what `save` wrote. Arrays and JSON: nothing in the file is ever executed.

        Raises:
            FileFormatError: not such a file, of an unknown schema version, or its content is no valid policy.
        """
        header, arrays = archive.load(path, KIND, _ARRAYS, _HEADER)
        try:
            return cls.from_state({"header": header, "arrays": arrays})
        except (InvalidFieldError, KeyError, TypeError, ValueError) as error:
            raise FileFormatError(f"{path}: not a valid policy: {error}") from error

    def to_state(self) -> dict[str, Any]:
        """All of the policy: a "header" of JSON data and "arrays" by name.

        A policy made from it and trained further equals this one, trained further the same way, to the last bit.
        """
        none = np.zeros((0, self.parameters.size))
        moments = none if self.moments is None else np.stack([self.moments.first, self.moments.second])
        header = {
            "observation": self.observation.to_dict(),
            "action": self.action.to_dict(),
            "architecture": self.architecture.to_dict(),
            **{name: getattr(self, name) for name in _PLAIN},
            "moment_steps": 0 if self.moments is None else self.moments.steps,
            "report": None if self.report is None else self.report.to_dict(),
        }
        arrays = {name: np.array(getattr(self, name)) for name in _OWN_ARRAYS}
        return {"header": header, "arrays": {**arrays, "moments": moments}}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> GaussianPolicy:
        """Inverse of `to_state`.

        Raises:
            InvalidFieldError: a field has a wrong shape or value.
            KeyError: a field is missing.
        """
        header, arrays = state["header"], state["arrays"]
        policy = cls(
            StateDefinition.from_dict(header["observation"]),
            ActionDefinition.from_dict(header["action"]),
            header["dt"],
            seed=header["seed"],
            architecture=PolicyArchitecture.from_dict(header["architecture"]),
            task=header["task"],
            task_hash=header["task_hash"],
        )
        for name in ("feature_mean", "feature_scale", "action_scale"):
            setattr(policy, name, float_array(OWNER, name, arrays[name], getattr(policy, name).shape))
        for name in ("feature_scale", "action_scale"):
            if getattr(policy, name).min() <= 0.0:
                raise InvalidFieldError(OWNER, name, str(getattr(policy, name).min()), "above 0")
        policy.assign(arrays["parameters"], arrays["covariance"])
        policy.trainings = check_whole(OWNER, "trainings", header["trainings"], 0, 2**63 - 1)
        if header["report"] is not None:
            policy.report = TrainingReport.from_dict(header["report"])
        count = 0 if np.size(arrays["moments"]) == 0 else 2
        moments = float_array(OWNER, "moments", arrays["moments"], (count, policy.parameters.size))
        if count:
            steps = check_whole(OWNER, "moment_steps", header["moment_steps"], 1, 2**63 - 1)
            policy.moments = AdamMoments(moments[0], moments[1], steps)
        return policy


_OWN_ARRAYS = ("parameters", "feature_mean", "feature_scale", "action_scale", "covariance")
_ARRAYS = (*_OWN_ARRAYS, "moments")
_PLAIN = ("dt", "task", "task_hash", "seed", "trainings")
_HEADER = ("observation", "action", "architecture", *_PLAIN, "moment_steps", "report")
