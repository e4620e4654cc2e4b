"""Networks of one shape, evaluated together: each layer of all of them is one product."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

#: Of Adam.
BETAS, EPSILON = (0.9, 0.999), 1e-8


def stacked_layers(
    count: int, sizes: Sequence[int], rng: np.random.Generator, gain: float = 1.0, dtype: torch.dtype = torch.float64
) -> list[Tensor]:
    """Weights (M, inputs, outputs), drawn from N(0, gain / inputs), and biases (M, 1, outputs), zero, layer by layer.

    Args:
        count: M networks.
        sizes: numbers of the input, of each hidden layer and of the output.
        rng: draws the weights.
        gain: 2 keeps the size of what passes through layers of ReLU; the last layer has 1.
        dtype: of all of them.

    Source: He et al. 2015, "Delving deep into rectifiers"; LeCun et al. 1998, "Efficient backprop".
    """
    layers: list[Tensor] = []
    for place, (inputs, outputs) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        of_layer = gain if place < len(sizes) - 2 else 1.0
        weights = rng.standard_normal((count, inputs, outputs)) / math.sqrt(inputs / of_layer)
        layers += [torch.tensor(weights, dtype=dtype), torch.zeros(count, 1, outputs, dtype=dtype)]
    for part in layers:
        part.requires_grad_()
    return layers


def stacked_outputs(layers: Sequence[Tensor], inputs: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """What each network gives. (M, B, inputs) → (M, B, outputs)."""
    h = inputs
    for weights, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
        h = activation(torch.baddbmm(bias, h, weights))
    return torch.baddbmm(layers[-1], h, layers[-2])


class ReluStack:
    r"""M networks of ReLU whose parameters are one vector; their derivatives are written out.

        h_0 = input,   h_{l+1} = max(h_l W_l + b_l, 0),   output = h_L W_L + b_L

    Small networks spend their time between the operations, not in them: without a graph, and with one vector for what
    an optimiser changes, an update takes less of it.

    Args:
        count: M.
        sizes: numbers of the input, of each hidden layer and of the output.
        rng: draws the weights; see `stacked_layers`.
        dtype: of all of it.

    Attributes:
        vector: all parameters (P,); change it in place.
        layers: weights (M, inputs, outputs) and bias (M, 1, outputs) of each layer in turn, as views of it.
    """

    def __init__(self, count: int, sizes: Sequence[int], rng: np.random.Generator, dtype: torch.dtype) -> None:
        """Draw the weights."""
        layers = [part.detach() for part in stacked_layers(count, sizes, rng, 2.0, dtype)]
        self._shapes = [part.shape for part in layers]
        self.vector = torch.cat([part.flatten() for part in layers])
        self.layers = self._views(self.vector)

    def _views(self, vector: Tensor) -> list[Tensor]:
        parts = vector.split([shape.numel() for shape in self._shapes])
        return [part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def copy(self) -> ReluStack:
        """One of the same parameters, which go their own way from now on."""
        other = copy.copy(self)
        other.vector = self.vector.clone()
        other.layers = other._views(other.vector)
        return other

    def rebase(self, shift: Tensor, factor: Tensor) -> None:
        """Give as before when, of the first k numbers of the input, z' is put in that was shift + factor z' (k,)."""
        weights, bias = self.layers[0][:, : len(shift)], self.layers[1]
        bias += (shift @ weights)[:, None]
        weights *= factor[:, None]

    def seen(self, inputs: Tensor) -> list[Tensor]:
        """What each layer is given, and the output last. (M, B, inputs) → (M, B, .) each."""
        found = [inputs]
        for weights, bias in zip(self.layers[:-2:2], self.layers[1:-2:2], strict=True):
            found.append(torch.baddbmm(bias, found[-1], weights).relu_())
        found.append(torch.baddbmm(self.layers[-1], found[-1], self.layers[-2]))
        return found

    def gradient(self, seen: Sequence[Tensor], by_output: Tensor) -> Tensor:
        """(P,), of a number whose derivative by the output is given (M, B, outputs)."""
        gradient = torch.empty_like(self.vector)
        views = self._views(gradient)
        for layer, by in self._backwards(seen, by_output):
            torch.bmm(seen[layer].mT, by, out=views[2 * layer])
            torch.sum(by, dim=1, keepdim=True, out=views[2 * layer + 1])
        return gradient

    def by_input(self, seen: Sequence[Tensor], by_output: Tensor) -> Tensor:
        """(M, B, inputs), of a number whose derivative by the output is given (M, B, outputs)."""
        *_, (_, by) = self._backwards(seen, by_output)
        return torch.bmm(by, self.layers[0].mT)

    def _backwards(self, seen: Sequence[Tensor], by_output: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Each layer from the last on, with the derivative by what it gives before the ReLU."""
        by = by_output
        for layer in reversed(range(len(seen) - 1)):
            yield layer, by
            if layer:
                by = torch.bmm(by, self.layers[2 * layer].mT).mul_(seen[layer] > 0.0)


class Adam:
    """Adam on one vector, in place.

    Args:
        vector: what is changed.
        learning_rate: of a step.

    Source: Kingma and Ba 2015, "Adam: a method for stochastic optimization", algorithm 1.
    """

    def __init__(self, vector: Tensor, learning_rate: float) -> None:
        """No step was taken."""
        self._vector, self.learning_rate = vector, learning_rate
        self._first, self._second = torch.zeros_like(vector), torch.zeros_like(vector)
        self._steps = 0

    def step(self, gradient: Tensor) -> None:
        """Go down a gradient (P,)."""
        self._steps += 1
        self._first.lerp_(gradient, 1.0 - BETAS[0])
        self._second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1.0 - BETAS[1])
        root = math.sqrt(1.0 - BETAS[1] ** self._steps)
        size = self._second.sqrt().add_(EPSILON * root)
        rate = self.learning_rate * root / (1.0 - BETAS[0] ** self._steps)
        self._vector.addcdiv_(self._first, size, value=-rate)
