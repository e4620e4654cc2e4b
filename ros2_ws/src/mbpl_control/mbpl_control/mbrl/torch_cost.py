"""A cost of costs/ as a function of torch, with its own exact derivatives."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from mbpl_control.core.validation import Array


class PointCost(Protocol):
    """l(x, u) of numpy, point by point, with derivatives; nothing couples x and u in the second."""

    def value(self, states: Array, actions: Array) -> Array:
        """l. (N, n), (N, m) → (N,)."""

    def gradient(self, states: Array, actions: Array) -> tuple[Array, Array]:
        """dl/dx (N, n) and dl/du (N, m)."""

    def curvature(self, states: Array, actions: Array) -> tuple[Array, Array]:
        """d²l/dx² (N, n, n) and d²l/du² (N, m, m)."""


def torch_cost(cost: PointCost, states: Tensor, actions: Tensor) -> Tensor:
    """l of states (N, n) and actions (N, m) → (N,), twice differentiable.

    It may stand inside `torch.func.vmap`, `grad`, `vjp`, `jacrev` and `hessian`, backwards or forwards. A third
    derivative raises an error.
    """
    return _Value.apply(cost, states, actions)


def _numbers(*tensors: Tensor) -> list[Array]:
    return [tensor.detach().numpy() for tensor in tensors]


def _keep(ctx: Any, inputs: tuple[Any, ...]) -> None:
    """The cost and where it was asked, for derivatives both ways."""
    ctx.cost = inputs[0]
    ctx.save_for_backward(*inputs[1:])
    ctx.save_for_forward(*inputs[1:])


def _folded(info: Any, in_dims: tuple[int | None, ...], tensors: tuple[Tensor, ...]) -> list[Tensor]:
    """Arguments under vmap, with what they are mapped over joined with the points: (V, N, ·) → (V N, ·)."""
    out = []
    for tensor, dim in zip(tensors, in_dims, strict=True):
        whole = tensor.expand(info.batch_size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
        out.append(whole.flatten(0, 1))
    return out


class _Value(Function):
    """l, whose derivative is `_Gradient`: numpy sees only plain tensors, in `forward`."""

    @staticmethod
    def forward(cost: PointCost, states: Tensor, actions: Tensor) -> Tensor:
        return torch.from_numpy(cost.value(*_numbers(states, actions)))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        _keep(ctx, inputs)

    @staticmethod
    def backward(ctx: Any, by_value: Tensor) -> tuple[None, Tensor, Tensor]:
        by_states, by_actions = _Gradient.apply(ctx.cost, *ctx.saved_tensors)
        return None, by_value[:, None] * by_states, by_value[:, None] * by_actions

    @staticmethod
    def jvp(ctx: Any, _: None, states: Tensor, actions: Tensor) -> Tensor:
        by_states, by_actions = _Gradient.apply(ctx.cost, *ctx.saved_tensors)
        return (by_states * states).sum(dim=1) + (by_actions * actions).sum(dim=1)

    @staticmethod
    def vmap(info: Any, in_dims: Any, cost: PointCost, *points: Tensor) -> tuple[Tensor, int]:
        value = _Value.apply(cost, *_folded(info, in_dims[1:], points))
        return value.unflatten(0, (info.batch_size, -1)), 0


class _Gradient(Function):
    """dl/dx and dl/du."""

    @staticmethod
    def forward(cost: PointCost, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        by_states, by_actions = cost.gradient(*_numbers(states, actions))
        return torch.from_numpy(by_states), torch.from_numpy(by_actions)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        _keep(ctx, inputs)

    @staticmethod
    def backward(ctx: Any, by_x: Tensor, by_u: Tensor) -> tuple[None, Tensor, Tensor]:
        state, action = _Curvature.apply(ctx.cost, *ctx.saved_tensors)
        return None, (state @ by_x[..., None])[..., 0], (action @ by_u[..., None])[..., 0]

    @staticmethod
    def jvp(ctx: Any, _: None, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        # second derivatives are symmetric, and none is by state and action
        return _Gradient.backward(ctx, states, actions)[1:]

    @staticmethod
    def vmap(info: Any, in_dims: Any, cost: PointCost, *points: Tensor) -> tuple[tuple[Tensor, ...], Any]:
        parts = _Gradient.apply(cost, *_folded(info, in_dims[1:], points))
        return tuple(part.unflatten(0, (info.batch_size, -1)) for part in parts), (0, 0)


class _Curvature(Function):
    """d²l/dx² and d²l/du²."""

    @staticmethod
    def forward(cost: PointCost, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        by_states, by_actions = cost.curvature(*_numbers(states, actions))
        return torch.from_numpy(by_states), torch.from_numpy(by_actions)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Nothing to keep."""

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *_: Tensor) -> None:
        raise NotImplementedError("costs have two derivatives; a third was asked for")

    @staticmethod
    def vmap(info: Any, in_dims: Any, cost: PointCost, *points: Tensor) -> tuple[tuple[Tensor, ...], Any]:
        parts = _Curvature.apply(cost, *_folded(info, in_dims[1:], points))
        return tuple(part.unflatten(0, (info.batch_size, -1)) for part in parts), (0, 0)
