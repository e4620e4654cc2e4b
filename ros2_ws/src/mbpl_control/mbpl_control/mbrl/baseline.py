"""Values that a return is compared with, so that a likelihood ratio varies less."""

from __future__ import annotations

import torch
from torch import Tensor

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import check_choice

BASELINES = ("none", "mean", "linear", "quadratic")


def features(states: Tensor, kind: str) -> Tensor:
    """What a value is linear in: nothing, 1, (1, x), or (1, x, x_i x_j). (N, n) → (N, k)."""
    check_choice("baseline", "kind", kind, BASELINES)
    if kind == "none":
        return states[:, :0]
    parts = [torch.ones_like(states[:, :1])]
    if kind in ("linear", "quadratic"):
        parts.append(states)
    if kind == "quadratic":
        rows, columns = torch.triu_indices(states.shape[1], states.shape[1])
        parts.append(states[:, rows] * states[:, columns])
    return torch.cat(parts, dim=1)


def left_out(states: Tensor, returns: Tensor, kind: str) -> Tensor:
    r"""What the other particles say of each particle's return: least squares that leaves the particle itself out.

        b_i = (ŷ_i − h_i y_i) / (1 − h_i),   ŷ = H y,   H = Φ (ΦᵀΦ)⁻¹ Φᵀ,   h_i = H_ii

    b_i depends on x_i and on the other particles, but not on the noise that follows x_i: as E[∇ log p] = 0, a
    likelihood ratio of y_i − b_i has the mean of one of y_i, whatever the features.

    Args:
        states: where the returns begin, x (N, n).
        returns: y (N,).
        kind: "none" (b = 0), "mean" of the others, "linear" or "quadratic" in the state.

    Returns:
        b (N,).

    Raises:
        InvalidFieldError: an unknown kind, or no more particles than features.

    Source: Weisberg 2005, "Applied linear regression", on predicted residuals (PRESS).
    """
    phi = features(states, kind)
    count, size = phi.shape
    if not size:
        return torch.zeros_like(returns)
    if count <= size:
        raise InvalidFieldError("baseline", "particles", str(count), f"above {size} for a '{kind}' baseline")
    # numbers of a state that are the same in all particles, as at a given start, leave the rest as it is
    basis, values, _ = torch.linalg.svd(phi, full_matrices=False)
    basis = basis[:, values > values[0] * count * torch.finfo(phi.dtype).eps]
    leverage = basis.square().sum(dim=1)
    fitted = basis @ (basis.T @ returns)
    return (fitted - leverage * returns) / (1.0 - leverage).clamp_min(torch.finfo(phi.dtype).eps)
