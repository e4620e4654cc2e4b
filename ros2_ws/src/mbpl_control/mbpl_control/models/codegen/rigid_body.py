r"""Rigid-body algorithms over expressions: written as the maths reads, and run once, when a kernel is generated.

All in world axes about the world's origin, where velocities, momenta and inertias of a subtree are plain sums, and no
vector is carried from one link's frame to the next.

Source: Featherstone 2008; the derivatives are those of Singh, Russell and Wensing 2022, "Efficient analytical
derivatives of rigid-body dynamics using spatial vector algebra", a form of Carpentier and Mansard 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from mbpl_control.models.codegen.expression import Scalar
from mbpl_control.models.codegen.spatial import (
    Coriolis,
    Force,
    Inertia,
    Motion,
    Symbols,
    cross,
    dot,
    product,
    symbols,
)
from mbpl_control.models.codegen.tree import Tree

_Part = TypeVar("_Part", Force, Inertia, Coriolis)


@dataclass(frozen=True)
class Pose:
    """A joint's frame in the world: `rotation` (3, 3), `origin` (3,), and S, the motion of a unit of its velocity."""

    rotation: Symbols
    origin: Symbols
    direction: Motion


@dataclass(frozen=True)
class Position:
    """A joint's position: of a slide its `offset`, else `cosine` and `sine` of its angle."""

    offset: Scalar = 0.0
    cosine: Scalar = 1.0
    sine: Scalar = 0.0


def poses(tree: Tree, positions: Sequence[Position]) -> list[Pose]:
    """Where the joints are: R = R_parent R_0 R_z(q), o = o_parent + R_parent t."""
    found: list[Pose] = []
    world = Pose(symbols(np.eye(3)), symbols(np.zeros(3)), Motion(symbols(np.zeros(3)), symbols(np.zeros(3))))
    for joint, position in zip(tree.joints, positions, strict=True):
        parent = world if joint.parent < 0 else found[joint.parent]
        at_zero = product(parent.rotation, symbols(joint.rotation))
        origin = parent.origin + product(parent.rotation, symbols(joint.translation))
        x, y, axis = at_zero.T
        if joint.slides:
            origin = origin + axis * position.offset
            direction = Motion(symbols(np.zeros(3)), axis)
        else:
            c, s = position.cosine, position.sine
            x, y = x * c + y * s, y * c - x * s
            direction = Motion(axis, cross(origin, axis))
        found.append(Pose(np.stack([x, y, axis], axis=1), origin, direction))
    return found


def inertias(tree: Tree, where: Sequence[Pose]) -> list[Inertia]:
    """Inertia of each joint's body."""
    found = []
    for joint, pose in zip(tree.joints, where, strict=True):
        center = pose.origin + product(pose.rotation, symbols(joint.center))
        turned = product(pose.rotation, symbols(joint.rotational))
        rotational = _symmetric_product(turned, pose.rotation)
        moment = center * joint.mass
        apart = np.outer(moment, center)
        along = dot(moment, center)
        rotational = rotational - apart
        for i in range(3):
            rotational[i, i] = rotational[i, i] + along
        found.append(Inertia(joint.mass, moment, rotational))
    return found


def composite(tree: Tree, parts: Sequence[_Part]) -> list[_Part]:
    """Of each joint: the sum over it and all that hangs on it."""
    sums = list(parts)
    for i in reversed(range(tree.size)):
        parent = tree.joints[i].parent
        if parent >= 0:
            sums[parent] = sums[parent] + sums[i]
    return sums


@dataclass(frozen=True)
class Movement:
    r"""What moves, and how the directions S of the joints are carried along by what comes before them.

    Attributes:
        velocities: w of each joint's body.
        accelerations: a of each joint's body, against gravity.
        carried: Ψ' = w_parent × S, how S changes.
        carried_twice: Ψ'' = a_parent × S + w_parent × Ψ'.
    """

    velocities: list[Motion]
    accelerations: list[Motion]
    carried: list[Motion]
    carried_twice: list[Motion]


def movement(tree: Tree, where: Sequence[Pose], velocity: Symbols, acceleration: Symbols) -> Movement:
    """Velocities w = w_parent + S q', accelerations a = a_parent + S q'' + Ψ' q'."""
    none = symbols(np.zeros(3))
    still, fall = Motion(none, none), Motion(none, symbols(-tree.gravity))
    out = Movement([], [], [], [])
    for i, joint in enumerate(tree.joints):
        w = still if joint.parent < 0 else out.velocities[joint.parent]
        a = fall if joint.parent < 0 else out.accelerations[joint.parent]
        direction = where[i].direction
        carried = w.cross(direction)
        out.carried.append(carried)
        out.carried_twice.append(a.cross(direction) + w.cross(carried))
        out.velocities.append(w + direction * velocity[i])
        out.accelerations.append(a + direction * acceleration[i] + carried * velocity[i])
    return out


def forces(bodies: Sequence[Inertia], moving: Movement) -> list[Force]:
    """The force that moves each body as it moves: I a + w ×* I w."""
    pairs = zip(bodies, moving.velocities, moving.accelerations, strict=True)
    return [inertia.times(a) + w.cross_force(inertia.times(w)) for inertia, w, a in pairs]


def efforts(tree: Tree, where: Sequence[Pose], total: Sequence[Force], v: Symbols, a: Symbols) -> Symbols:
    """Efforts at the joints S · f of forces of subtrees, with armature and damping: inverse dynamics (n,)."""
    found = [pose.direction.dot(force) for pose, force in zip(where, total, strict=True)]
    own = [joint.armature * a[i] + joint.damping * v[i] for i, joint in enumerate(tree.joints)]
    return np.array(found, dtype=object) + np.array(own, dtype=object)


def inertia_matrix(tree: Tree, where: Sequence[Pose], sums: Sequence[Inertia], step: Scalar = 0.0) -> Symbols:
    """M(q) + armature + step · damping, (n, n): M_ji = S_j · I_i S_i for j on the path of i; zero elsewhere."""
    out = symbols(np.zeros((tree.size, tree.size)))
    for i, joint in enumerate(tree.joints):
        momentum = sums[i].times(where[i].direction)
        for j in tree.path(i):
            out[j, i] = out[i, j] = where[j].direction.dot(momentum)
        out[i, i] = out[i, i] + joint.armature + joint.damping * step
    return out


def effort_derivatives(
    tree: Tree,
    where: Sequence[Pose],
    bodies: Sequence[Inertia],
    sums: Sequence[Inertia],
    moving: Movement,
    total: Sequence[Force],
) -> tuple[Symbols, Symbols]:
    r"""∂τ/∂q and ∂τ/∂v (n, n) of inverse dynamics, damping included, at given accelerations.

    With composite I, C (`Coriolis`) and f of the subtree of i, and j on the path of i,

        ∂τ_i/∂q_j = (Cᵀ S_i) · Ψ'_j + (I S_i) · Ψ''_j      ∂τ_j/∂q_i = S_j · (C Ψ'_i + I Ψ''_i + S_i ×* f)
        ∂τ_i/∂v_j = (Cᵀ S_i) · S_j + (I S_i) · 2 Ψ'_j       ∂τ_j/∂v_i = S_j · (C S_i + 2 I Ψ'_i)

    the last column for j ≠ i in the derivative by q.
    """
    n = tree.size
    by_q, by_v = symbols(np.zeros((n, n))), symbols(np.zeros((n, n)))
    pairs = zip(bodies, moving.velocities, strict=True)
    coriolis = composite(tree, [Coriolis.of(inertia, w) for inertia, w in pairs])
    for i in range(n):
        direction, carried, twice = where[i].direction, moving.carried[i], moving.carried_twice[i]
        turned = coriolis[i].transposed_times(direction)
        momentum = sums[i].times(direction)
        push = coriolis[i].times(carried.angular) + sums[i].times(twice) + direction.cross_force(total[i])
        drag = coriolis[i].times(direction.angular) + sums[i].times(carried * 2.0)
        for j in tree.path(i):
            other = where[j].direction
            by_q[i, j] = dot(turned, moving.carried[j].angular) + moving.carried_twice[j].dot(momentum)
            by_v[i, j] = dot(turned, other.angular) + 2.0 * moving.carried[j].dot(momentum)
            if j != i:
                by_q[j, i] = other.dot(push)
                by_v[j, i] = other.dot(drag)
        by_v[i, i] = by_v[i, i] + tree.joints[i].damping
    return by_q, by_v


def factor(tree: Tree, matrix: Symbols) -> tuple[Symbols, Symbols]:
    """Lᵀ D L = matrix with L unit lower triangular, (n, n), and D⁻¹ (n,): from the leaves, so that zeros stay zeros."""
    lower = np.array(matrix)
    reciprocal = symbols(np.zeros(tree.size))
    for k in reversed(range(tree.size)):
        reciprocal[k] = 1.0 / lower[k, k]
        before = tree.path(k)[1:]
        for position, i in enumerate(before):
            share = lower[k, i] * reciprocal[k]
            for j in before[position:]:
                lower[i, j] = lower[i, j] - share * lower[k, j]
        for i in before:
            lower[k, i] = lower[k, i] * reciprocal[k]
    return lower, reciprocal


def solve(tree: Tree, lower: Symbols, reciprocal: Symbols, right: Symbols) -> Symbols:
    """X (n,) of Lᵀ D L x = right."""
    x = np.array(right)
    for i in reversed(range(tree.size)):
        for j in tree.path(i)[1:]:
            x[j] = x[j] - lower[i, j] * x[i]
    x = x * reciprocal
    for i in range(tree.size):
        for j in tree.path(i)[1:]:
            x[i] = x[i] - lower[i, j] * x[j]
    return x


def inverse(tree: Tree, lower: Symbols, reciprocal: Symbols) -> Symbols:
    """(Lᵀ D L)⁻¹ = L⁻¹ D⁻¹ L⁻ᵀ (n, n)."""
    n = tree.size
    undone = symbols(np.eye(n))
    for i in range(n):
        for j in tree.path(i)[1:]:
            undone[i] = undone[i] - undone[j] * lower[i, j]
    scaled = undone * reciprocal
    out = symbols(np.zeros((n, n)))
    for i in range(n):
        for j in range(i + 1):
            out[i, j] = out[j, i] = dot(scaled[i, : j + 1], undone[j, : j + 1])
    return out


def _symmetric_product(a: Symbols, b: Symbols) -> Symbols:
    """A bᵀ (3, 3) where it is known to be symmetric."""
    out = symbols(np.zeros((3, 3)))
    for i in range(3):
        for j in range(i + 1):
            out[i, j] = out[j, i] = dot(a[i], b[j])
    return out
