"""An ensemble of networks that each say a Gaussian: what they disagree about is what is not known yet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import expit
from torch import Tensor
from torch.nn.functional import silu

from mbpl_control.core.errors import InvalidFieldError, SolverError
from mbpl_control.core.validation import Array, check_positive, check_whole, float_array
from mbpl_control.mbrl.learned_dynamics import LearnedDynamics, Transitions
from mbpl_control.mbrl.stacked import stacked_layers, stacked_outputs
from mbpl_control.policies.network import one_thread

OWNER = "EnsembleDynamics"
#: Bounds of ln σ² of a standardised difference, before they are learned.
LOG_VARIANCE = (-10.0, 0.5)
#: Weight of what pulls the learned bounds together.
BOUND_WEIGHT = 0.01
#: κ is looked for between these, and only where so many transitions are held out.
INFLATION = (0.25, 100.0)
FEWEST = 10
#: No number of an input or a difference is divided by less.
LEAST_SCALE = 1e-8


@dataclass(frozen=True)
class EnsembleOptions:
    """How an ensemble learns.

    Attributes:
        members: M.
        hidden: units of each hidden layer.
        steps: of Adam each time transitions are taken in.
        batch_size: transitions a step and member.
        learning_rate: of Adam.
        weight_decay: a step shrinks weights by this times the learning rate.
        held_out: share of the transitions that no member learns from; by them the deviations are calibrated.
        ridge: λ of the regression for L, in standardised inputs; as many transitions' worth of "no effect".

    Raises:
        InvalidFieldError: an option out of its range.
    """

    members: int = 5
    hidden: tuple[int, ...] = (64, 64)
    steps: int = 1000
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    held_out: float = 0.1
    ridge: float = 1e-3

    def __post_init__(self) -> None:
        """Check each."""
        check_whole(OWNER, "members", self.members, 1, 1000)
        check_whole(OWNER, "steps", self.steps, 1, 10**9)
        check_whole(OWNER, "batch_size", self.batch_size, 1, 10**6)
        for units in self.hidden:
            check_whole(OWNER, "hidden", units, 1, 10**6)
        check_positive(OWNER, "learning_rate", self.learning_rate)
        if not 0.0 <= self.weight_decay < math.inf:
            raise InvalidFieldError(OWNER, "weight_decay", str(self.weight_decay), "at least 0 and finite")
        check_positive(OWNER, "ridge", self.ridge)
        if not 0.0 <= self.held_out < 1.0:
            raise InvalidFieldError(OWNER, "held_out", str(self.held_out), "at least 0 and below 1")


class EnsembleDynamics(LearnedDynamics):
    r"""M networks, x' ~ 1/M Σ_j N( x + L (x, u, 1) + μ_j(x, u), κ diag σ_j²(x, u) ).

    Each is trained by maximum likelihood on its own bootstrap: how often a transition counts for a member is drawn
    once, Poisson(1), when it is taken in, so that members go on disagreeing about what only some of them have seen. ln
    σ² is held between bounds that are learned, too. L is the ridge regression of x' − x of all that was taken in, so
    that networks have only to find what is not linear. Inputs and what L leaves are standardised by what was taken in
    so far; Adam goes on where it was. κ (n,) makes the errors on transitions held out as large as they were expected.

    Args:
        n: numbers of x.
        m: numbers of u.
        seed: of weights, bootstrap and batches.
        options: how it learns.

    Attributes:
        held_out: transitions nobody learned from.
        inflation: κ (n,), within `INFLATION`; 1 while fewer than `FEWEST` transitions are held out.

    Source: Lakshminarayanan, Pritzel, Blundell 2017, "Simple and scalable predictive uncertainty estimation using deep
    ensembles"; Chua, Calandra, McAllister, Levine 2018, "Deep reinforcement learning in a handful of trials using
    probabilistic dynamics models" (bounds of ln σ²); Oza and Russell 2001, "Online bagging" (Poisson counts).
    """

    def __init__(self, n: int, m: int, seed: int, options: EnsembleOptions | None = None) -> None:
        """Random weights; nothing is known."""
        self.n, self.m = check_whole(OWNER, "n", n, 1, 10**6), check_whole(OWNER, "m", m, 0, 10**6)
        self.options = EnsembleOptions() if options is None else options
        self._rng = np.random.default_rng(seed)
        sizes = (n + m, *self.options.hidden, 2 * n)
        count = self.hypotheses = self.options.members
        self._layers = stacked_layers(count, sizes, self._rng)
        self._bounds = [torch.full((n,), bound, dtype=torch.float64).requires_grad_() for bound in LOG_VARIANCE]
        # the same memory as the layers, which Adam changes in place
        self._arrays: list[Array] = [part.detach().numpy() for part in self._layers]
        self._round()
        self._optimiser = torch.optim.AdamW(
            [
                {"params": self._layers[0::2], "weight_decay": self.options.weight_decay},
                {"params": [*self._layers[1::2], *self._bounds], "weight_decay": 0.0},
            ],
            lr=self.options.learning_rate,
        )
        empty = Transitions(np.zeros((0, n)), np.zeros((0, m)), np.zeros((0, n)))
        self._data, self.held_out = empty, empty
        self._counts: Array = np.zeros((0, count), dtype=np.int64)
        self._input = (np.zeros(n + m), np.ones(n + m))
        self._output = (np.zeros(n), np.ones(n))
        # L of standardised inputs (n + m, n); its constant is the mean of the differences
        self._linear = np.zeros((n + m, n))
        self.inflation = np.ones(n)

    def learn(self, more: Transitions) -> None:
        """See `LearnedDynamics.learn`.

        Raises:
            InvalidFieldError: other sizes, or no transition at all.
            SolverError: the loss left the finite numbers.
        """
        if more.states.shape[1] != self.n or more.actions.shape[1] != self.m:
            found = f"{more.states.shape[1]} and {more.actions.shape[1]} numbers"
            raise InvalidFieldError(OWNER, "transitions", found, f"{self.n} and {self.m}")
        out = self._rng.random(len(more)) < self.options.held_out
        if not len(self._data) and out.all():
            out[:] = False
        self.held_out = self.held_out.joined(Transitions(more.states[out], more.actions[out], more.successors[out]))
        self._data = self._data.joined(Transitions(more.states[~out], more.actions[~out], more.successors[~out]))
        fresh = self._rng.poisson(1.0, size=(int((~out).sum()), self.options.members))
        self._counts = np.concatenate([self._counts, fresh])
        if not len(self._data):
            raise InvalidFieldError(OWNER, "transitions", "none", "at least 1")
        self._standardise()
        with one_thread():
            self._descend()
        self._round()
        self._calibrate()

    ARRAYS = (
        *("parameters", "first_moments", "second_moments", "counts", "inflation"),
        *(f"{which}_{name}" for which in ("data", "held") for name in ("states", "actions", "successors")),
    )

    def parts(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """JSON data and arrays, by the names in `ARRAYS`, that say all of it: Adam and the generator, too."""
        state = [self._optimiser.state.get(part, {}) for part in self._trained()]
        arrays = {"counts": self._counts, "inflation": self.inflation}
        for name, key in (("parameters", None), ("first_moments", "exp_avg"), ("second_moments", "exp_avg_sq")):
            each = [part if key is None else s.get(key, part) for part, s in zip(self._trained(), state, strict=True)]
            arrays[name] = np.concatenate([part.detach().numpy().ravel() for part in each])
        for which, data in (("data", self._data), ("held", self.held_out)):
            arrays |= {f"{which}_{name}": getattr(data, name) for name in ("states", "actions", "successors")}
        header = {
            "n": self.n,
            "m": self.m,
            "options": asdict(self.options),
            "adam_steps": int(state[0].get("step", 0)),
            "generator": self._rng.bit_generator.state,
        }
        return header, arrays

    @classmethod
    def of_parts(cls, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> EnsembleDynamics:
        """Inverse of `parts`; what it learns next is the same to the last bit.

        Raises:
            InvalidFieldError: they do not fit each other.
        """
        options = dict(header["options"])
        dynamics = cls(header["n"], header["m"], 0, EnsembleOptions(**{**options, "hidden": tuple(options["hidden"])}))
        size = sum(part.numel() for part in dynamics._trained())
        flat = {
            name: torch.tensor(float_array(OWNER, name, arrays[name], (size,)))
            for name in ("parameters", "first_moments", "second_moments")
        }
        states, begin = {}, 0
        for index, part in enumerate(dynamics._trained()):
            rows = slice(begin, begin + part.numel())
            begin = rows.stop
            with torch.no_grad():
                part.copy_(flat["parameters"][rows].reshape(part.shape))
            moments = [flat[name][rows].reshape(part.shape).clone() for name in ("first_moments", "second_moments")]
            states[index] = {
                "step": torch.tensor(float(header["adam_steps"])),
                "exp_avg": moments[0],
                "exp_avg_sq": moments[1],
            }
        if header["adam_steps"]:
            groups = dynamics._optimiser.state_dict()["param_groups"]
            dynamics._optimiser.load_state_dict({"state": states, "param_groups": groups})
        names = ("states", "actions", "successors")
        dynamics._data, dynamics.held_out = (
            Transitions(*(arrays[f"{which}_{name}"] for name in names)) for which in ("data", "held")
        )
        dynamics._counts = np.array(arrays["counts"], dtype=np.int64)
        if dynamics._counts.shape != (len(dynamics._data), dynamics.options.members):
            allowed = f"({len(dynamics._data)}, {dynamics.options.members})"
            raise InvalidFieldError(OWNER, "counts", f"shape {dynamics._counts.shape}", allowed)
        dynamics.inflation = np.array(float_array(OWNER, "inflation", arrays["inflation"], (dynamics.n,)))
        dynamics._rng.bit_generator.state = header["generator"]
        dynamics._round()
        if len(dynamics._data):
            dynamics._standardise()
        return dynamics

    def _trained(self) -> list[Tensor]:
        """What Adam changes, in its order."""
        return [part for group in self._optimiser.param_groups for part in group["params"]]

    def _round(self) -> None:
        """Keep the weights in single precision, too, for those who follow many particles."""
        self._singles: list[np.ndarray] = [part.astype(np.float32) for part in self._arrays]

    def _standardise(self) -> None:
        inputs = np.concatenate([self._data.states, self._data.actions], axis=1)
        difference = self._data.successors - self._data.states
        self._input = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), LEAST_SCALE)
        offset = difference.mean(axis=0)
        z = self._inputs(self._data.states, self._data.actions)
        self._linear = np.linalg.solve(z.T @ z + self.options.ridge * np.eye(z.shape[1]), z.T @ (difference - offset))
        left = difference - offset - z @ self._linear
        self._output = offset, np.maximum(left.std(axis=0), LEAST_SCALE)

    def _descend(self) -> None:
        inputs = torch.tensor(self._inputs(self._data.states, self._data.actions))
        mean, scale = self._output
        left = self._data.successors - self._data.states - mean - inputs.numpy() @ self._linear
        wanted = torch.tensor(left / scale)
        # a member that no transition counts for learns from all of them
        own = [np.repeat(np.arange(len(wanted)), c) if c.any() else np.arange(len(wanted)) for c in self._counts.T]
        lower, upper = self._bounds
        for _ in range(self.options.steps):
            rows = torch.tensor(np.array([self._rng.choice(rows, self.options.batch_size) for rows in own]))
            mu, log_variance = self._heads(inputs[rows])
            error = (wanted[rows] - mu).square()
            loss = 0.5 * (error * torch.exp(-log_variance) + log_variance).mean(dim=1).sum()
            loss = loss + BOUND_WEIGHT * (upper - lower).sum()
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()
        if not math.isfinite(float(loss.detach())):
            raise SolverError("ensemble: the loss is not finite; a lower learning rate may help")

    def _calibrate(self) -> None:
        """κ, with which errors on transitions held out are on average as large as expected, where there are enough."""
        self.inflation = np.ones(self.n)
        if len(self.held_out) < FEWEST:
            return
        means, deviations = self.members(self.held_out.states, self.held_out.actions)
        error, doubt = np.square(self.held_out.successors - means.mean(axis=0)), means.var(axis=0)
        noise = np.square(deviations).mean(axis=0)
        for i in range(self.n):

            def excess(log_kappa: float, i: int = i) -> float:
                return float(np.mean(error[:, i] / (math.exp(log_kappa) * noise[:, i] + doubt[:, i]))) - 1.0

            # it falls with κ; where doubt alone is too much, or no noise in reach is enough, the nearer end is taken
            low, high = (math.log(bound) for bound in INFLATION)
            ends = excess(low) > 0.0, excess(high) > 0.0
            root = float(brentq(excess, low, high)) if ends == (True, False) else (high if ends[1] else low)
            self.inflation[i] = math.exp(root)

    def _inputs(self, states: Array, actions: Array) -> Array:
        mean, scale = self._input
        return np.asarray((np.concatenate([states, actions], axis=-1) - mean) / scale)

    def _heads(self, inputs: Tensor, fixed: bool = False) -> tuple[Tensor, Tensor]:
        """Standardised μ and ln σ² of each member, (M, B, n) each, of inputs (M, B, n + m), as torch sees them.

        Args:
            inputs: standardised.
            fixed: whether the weights are constants, and only the inputs are differentiated by.
        """
        layers, (lower, upper) = self._layers, self._bounds
        if fixed:
            layers, lower, upper = [part.detach() for part in layers], lower.detach(), upper.detach()
        y = stacked_outputs(layers, inputs, silu)
        return y[..., : self.n], _within(y[..., self.n :], lower, upper)

    def _outputs(self, inputs: Array, single: bool = False) -> Array:
        """What the last layer says (M, B, 2 n), of standardised inputs (B, n + m) or (M, B, n + m).

        The products are numpy's and the rest is torch's, in place: each is the quicker of the two on few rows. Single
        precision takes half the time.
        """
        arrays = self._singles if single else self._arrays
        h = inputs.astype(arrays[0].dtype, copy=False)
        for weights, bias in zip(arrays[:-2:2], arrays[1:-2:2], strict=True):
            h = np.matmul(h, weights)
            h += bias
            silu(torch.from_numpy(h), inplace=True)
        return np.asarray(np.matmul(h, arrays[-2]) + arrays[-1])

    def _means(self, states: Array, inputs: Array, outputs: Array) -> Array:
        mean, scale = self._output
        return np.asarray(states + (mean + inputs @ self._linear) + scale * outputs[..., : self.n])

    def _deviations(self, outputs: Array) -> Array:
        with torch.no_grad():
            said = torch.from_numpy(outputs[..., self.n :])
            log_variance = _within(said, *(bound.to(said.dtype) for bound in self._bounds))
            deviation = torch.exp(0.5 * log_variance).numpy()
        return np.asarray(deviation * (self._output[1] * np.sqrt(self.inflation)))

    def differentiable(self, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """E[x'] and standard deviations as each member says them, (M, B, n) each, differentiable by torch in x and u.

        The weights are constants of it. It may be mapped by `torch.func.vmap`.

        Args:
            states: x (B, n), of which every member is asked, or (M, B, n), each member of its own.
            actions: u (B, m) or (M, B, m).
        """
        offset, divisor = (torch.tensor(part) for part in self._input)
        mean, scale = (torch.tensor(part) for part in self._output)
        inputs = (torch.cat([states, actions], dim=-1) - offset) / divisor
        mu, log_variance = self._heads(inputs.expand(self.options.members, -1, -1), fixed=True)
        deviation = torch.exp(0.5 * log_variance) * scale * torch.tensor(np.sqrt(self.inflation))
        return states + mean + inputs @ torch.from_numpy(self._linear) + scale * mu, deviation

    def members(self, states: Array, actions: Array) -> tuple[Array, Array]:
        """E[x'] and standard deviations as each member says them, (M, B, n) each.

        Args:
            states: (B, n), or (M, B, n) where each member has rows of its own.
            actions: (B, m), or (M, B, m).
        """
        with one_thread():
            inputs = self._inputs(states, actions)
            outputs = self._outputs(inputs)
            return self._means(states, inputs, outputs), self._deviations(outputs)

    def mean(self, states: Array, actions: Array) -> Array:
        """See `LearnedDynamics.mean`."""
        with one_thread():
            inputs = self._inputs(states, actions)
            return np.asarray(self._means(states, inputs, self._outputs(inputs)).mean(axis=0))

    def moments(self, states: Array, actions: Array) -> tuple[Array, Array]:
        """See `LearnedDynamics.moments`; the mixture's. What members disagree about is in its deviation."""
        means, deviations = self.members(states, actions)
        return means.mean(axis=0), np.sqrt(np.square(deviations).mean(axis=0) + means.var(axis=0))

    def sample(self, states: Array, actions: Array, rng: np.random.Generator) -> Array:
        """See `LearnedDynamics.sample`; each row of a member by lot."""
        means, deviations = self.members(states, actions)
        rows = np.arange(len(states))
        who = rng.integers(self.options.members, size=len(states))
        return np.asarray(means[who, rows] + deviations[who, rows] * rng.standard_normal(states.shape))

    def log_likelihood(self, states: Array, actions: Array, successors: Array) -> Array:
        """See `LearnedDynamics.log_likelihood`."""
        means, deviations = self.members(states, actions)
        each = -0.5 * (np.square((successors - means) / deviations) + np.log(2.0 * np.pi * np.square(deviations)))
        return np.asarray(np.logaddexp.reduce(each.sum(axis=2), axis=0) - np.log(self.options.members))

    def realise(self, states: Array, actions: Array, noise: Array, lots: Array) -> Array:
        """See `LearnedDynamics.realise`; the hypotheses are the members, whose networks speak in single precision."""
        with one_thread():
            inputs = self._inputs(states, actions)
            outputs = self._outputs(inputs, single=True)
            return self._means(states, inputs, outputs) + self._deviations(outputs) * noise

    def jacobian(self, states: Array, actions: Array) -> tuple[Array, Array]:
        """See `LearnedDynamics.jacobian`; from the last layer back to the first."""
        h, slopes = self._inputs(states, actions), []
        for weights, bias in zip(self._arrays[:-2:2], self._arrays[1:-2:2], strict=True):
            z = np.matmul(h, weights) + bias
            gate = expit(z)
            h = z * gate
            slopes.append(gate * (1.0 + z * (1.0 - gate)))
        # (M, B, units, n): of μ by what each layer is given
        back = self._arrays[-2][:, None, :, : self.n]
        for weights, slope in zip(self._arrays[:-2:2][::-1], slopes[::-1], strict=True):
            back = np.matmul(weights[:, None], slope[..., None] * back)
        by_z = np.broadcast_to(back, (self.options.members, len(states), *back.shape[2:])).mean(axis=0)
        by_z = (by_z.transpose(0, 2, 1) * self._output[1][:, None] + self._linear.T) / self._input[1]
        return by_z[:, :, : self.n] + np.eye(self.n), by_z[:, :, self.n :]


def _within(log_variance: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """ln σ² bent smoothly between its bounds."""
    log_variance = upper - torch.nn.functional.softplus(upper - log_variance)
    return lower + torch.nn.functional.softplus(log_variance - lower)
