"""Vectors and bodies in three dimensions, of numbers or of expressions: arrays of objects, so that numpy adds them up.

All is written in world axes about the world's origin, where vectors of different bodies simply add. A motion is
(ω, v) with v the velocity of the point of the body that is at the origin; a force is (n, f), its moment about the
origin first.

Source: Featherstone 2008, chapter 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mbpl_control.models.codegen.expression import Scalar

#: An array of expressions and numbers.
Symbols = Any


def symbols(numbers: Any) -> Symbols:
    """Numbers as an array that expressions may stand in, too."""
    return np.asarray(numbers, dtype=np.float64).astype(object)


def cross(a: Symbols, b: Symbols) -> Symbols:
    """A × b of vectors (3,)."""
    return np.array(
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]],
        dtype=object,
    )


def dot(a: Symbols, b: Symbols) -> Scalar:
    """Σ a_i b_i of vectors of one length."""
    total: Scalar = 0.0
    for x, y in zip(a, b, strict=True):
        total = total + x * y
    return total


def product(a: Symbols, b: Symbols) -> Symbols:
    """A b of a matrix and a vector or a matrix."""
    if b.ndim == 1:
        return np.array([dot(row, b) for row in a], dtype=object)
    return np.array([[dot(row, column) for column in b.T] for row in a], dtype=object)


def cross_matrix(a: Symbols) -> Symbols:
    """The matrix a× (3, 3)."""
    return np.array([[0.0, -a[2], a[1]], [a[2], 0.0, -a[0]], [-a[1], a[0], 0.0]], dtype=object)


@dataclass(frozen=True)
class Motion:
    """A velocity, acceleration or direction of motion: `angular` ω (3,) and `linear` v (3,) at the origin."""

    angular: Symbols
    linear: Symbols

    def __add__(self, other: Motion) -> Motion:
        """Sum."""
        return Motion(self.angular + other.angular, self.linear + other.linear)

    def __mul__(self, factor: Scalar) -> Motion:
        """Multiple."""
        return Motion(self.angular * factor, self.linear * factor)

    def cross(self, other: Motion) -> Motion:
        """How `other` changes when it is carried along by this motion: (ω × ω', ω × v' + v × ω')."""
        linear = cross(self.angular, other.linear) + cross(self.linear, other.angular)
        return Motion(cross(self.angular, other.angular), linear)

    def cross_force(self, force: Force) -> Force:
        """How a force changes when it is carried along: (ω × n + v × f, ω × f)."""
        moment = cross(self.angular, force.moment) + cross(self.linear, force.force)
        return Force(moment, cross(self.angular, force.force))

    def dot(self, force: Force) -> Scalar:
        """Power of a force under this motion."""
        return dot(self.angular, force.moment) + dot(self.linear, force.force)


@dataclass(frozen=True)
class Force:
    """A force or momentum: `moment` n (3,) about the origin and `force` f (3,)."""

    moment: Symbols
    force: Symbols

    def __add__(self, other: Force) -> Force:
        """Sum."""
        return Force(self.moment + other.moment, self.force + other.force)


@dataclass(frozen=True)
class Inertia:
    """Of one body or of several that are stiff: I (ω, v) = (J ω + c × v, m v − c × ω).

    Attributes:
        mass: m.
        moment: c (3,), mass times centre of mass.
        rotational: J (3, 3), symmetric, about the origin.
    """

    mass: Scalar
    moment: Symbols
    rotational: Symbols

    def __add__(self, other: Inertia) -> Inertia:
        """Both bodies as one."""
        return Inertia(self.mass + other.mass, self.moment + other.moment, self.rotational + other.rotational)

    def times(self, motion: Motion) -> Force:
        """Momentum of the body, or the force that accelerates it."""
        moment = product(self.rotational, motion.angular) + cross(self.moment, motion.linear)
        return Force(moment, motion.linear * self.mass - cross(self.moment, motion.angular))


@dataclass(frozen=True)
class Coriolis:
    r"""How the force I a + w ×* I w on a body that moves with w changes with w: a matrix.

        C = w×* I − I w× + (I w) ×̄* = [ Σ − k×   0 ]
                                       [ −2 p×    0 ]

    with (k, p) = I w the momentum and Σ = ω×J − J ω× − (v cᵀ + c vᵀ − 2 (c·v) 1), symmetric. It adds up over bodies as
    Σ, k and p do.

    Source: the matrix 2B of Singh, Russell and Wensing 2022; that half of it vanishes follows from its definition.

    Attributes:
        change: Σ (3, 3).
        momentum: (k, p).
    """

    change: Symbols
    momentum: Force

    @classmethod
    def of(cls, inertia: Inertia, velocity: Motion) -> Coriolis:
        """That of a body moving with `velocity`."""
        turned = product(cross_matrix(velocity.angular), inertia.rotational)
        carried = np.outer(velocity.linear, inertia.moment)
        change = turned + turned.T - carried - carried.T
        along = 2.0 * dot(inertia.moment, velocity.linear)
        for i in range(3):
            change[i, i] = change[i, i] + along
        return cls(change, inertia.times(velocity))

    def __add__(self, other: Coriolis) -> Coriolis:
        """Of both bodies."""
        return Coriolis(self.change + other.change, self.momentum + other.momentum)

    def times(self, angular: Symbols) -> Force:
        """C (ω', v'), which does not depend on v'."""
        k, p = self.momentum.moment, self.momentum.force
        return Force(product(self.change, angular) - cross(k, angular), cross(p, angular) * -2.0)

    def transposed_times(self, direction: Motion) -> Symbols:
        """The part of Cᵀ (ω', v') that is not zero (3,): Σ ω' + k × ω' + 2 p × v'."""
        k, p = self.momentum.moment, self.momentum.force
        turned = product(self.change, direction.angular) + cross(k, direction.angular)
        return turned + cross(p, direction.linear) * 2.0
