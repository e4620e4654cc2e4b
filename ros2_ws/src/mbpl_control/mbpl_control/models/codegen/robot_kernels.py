"""The kernels of a robot: what each takes, what each gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mbpl_control.models.codegen import rigid_body as body
from mbpl_control.models.codegen.expression import Graph
from mbpl_control.models.codegen.kernel import Kernel, generate, input_vector
from mbpl_control.models.codegen.sine import sine_and_cosine
from mbpl_control.models.codegen.spatial import Inertia, Symbols, cross, product, symbols
from mbpl_control.models.codegen.tree import Tree


@dataclass(frozen=True)
class _State:
    """A robot whose state is known when the kernel runs, and what all kernels begin with."""

    tree: Tree
    inputs: dict[str, Symbols]
    where: list[body.Pose]
    bodies: list[Inertia]

    @classmethod
    def of(cls, tree: Tree, *others: str) -> _State:
        """Inputs q, and `others` with one number a joint, or one in all for `h`."""
        graph = Graph()
        q = input_vector(graph, "q", sum(2 if joint.wound else 1 for joint in tree.joints))
        inputs = {"q": q}
        for name in others:
            inputs[name] = input_vector(graph, name, 1 if name == "h" else tree.size)
        where = body.poses(tree, _positions(tree, q))
        return cls(tree, inputs, where, body.inertias(tree, where))

    def moving(self, acceleration: Symbols) -> tuple[body.Movement, list[body.Force]]:
        """Velocities and accelerations of the bodies, and the forces on subtrees that go with them."""
        moving = body.movement(self.tree, self.where, self.inputs["v"], acceleration)
        return moving, body.composite(self.tree, body.forces(self.bodies, moving))

    def efforts(self, total: Sequence[body.Force], acceleration: Symbols) -> Symbols:
        """Inverse dynamics with what `moving` returned."""
        return body.efforts(self.tree, self.where, total, self.inputs["v"], acceleration)


def _positions(tree: Tree, q: Symbols) -> list[body.Position]:
    found = []
    at = 0
    for joint in tree.joints:
        if joint.slides:
            found.append(body.Position(offset=q[at]))
        elif joint.wound:
            found.append(body.Position(cosine=q[at], sine=q[at + 1]))
        else:
            sine, cosine = sine_and_cosine(q[at])
            found.append(body.Position(cosine=cosine, sine=sine))
        at += 2 if joint.wound else 1
    return found


def forward(tree: Tree) -> Kernel:
    r"""Forward dynamics: a = (M(q) + I_a + h D)⁻¹ (τ − D v − b(q, v)).

    Inputs q (nq,), v (n,), effort (n,), h (1,); output acceleration (n,).
    """
    state = _State.of(tree, "v", "effort", "h")
    a, _ = _solved(state)
    return generate("forward", state.inputs, {"acceleration": a})


def forward_derivatives(tree: Tree) -> Kernel:
    r"""Forward dynamics and ∂a/∂q = −M⁻¹ ∂τ/∂q, ∂a/∂v = −M⁻¹ ∂τ/∂v, ∂a/∂τ = M⁻¹.

    M⁻¹ stands for (M + I_a + h D)⁻¹; ∂τ is of inverse dynamics at the acceleration, damping included. Inputs as of
    `forward`; outputs acceleration (n,), by_q (n, n), by_v (n, n), by_effort (n, n).
    """
    state = _State.of(tree, "v", "effort", "h")
    a, (sums, lower, reciprocal) = _solved(state)
    moving, total = state.moving(a)
    by_q, by_v = body.effort_derivatives(tree, state.where, state.bodies, sums, moving, total)
    by_effort = body.inverse(tree, lower, reciprocal)
    outputs = {"acceleration": a, "by_q": -product(by_effort, by_q), "by_v": -product(by_effort, by_v)}
    # the friction of joints is added to what comes out
    return generate("forward_derivatives", state.inputs, {**outputs, "by_effort": by_effort}, shared=not tree.dry)


def inverse(tree: Tree) -> Kernel:
    r"""Inverse dynamics: τ = (M(q) + I_a) a + b(q, v) + D v. Inputs q, v, acceleration; output effort (n,)."""
    state = _State.of(tree, "v", "acceleration")
    a = state.inputs["acceleration"]
    _, total = state.moving(a)
    return generate("inverse", state.inputs, {"effort": state.efforts(total, a)})


def inverse_derivatives(tree: Tree) -> Kernel:
    """Inverse dynamics and ∂τ/∂q, ∂τ/∂v, ∂τ/∂a = M + I_a.

    Inputs as of `inverse`; outputs effort (n,), by_q (n, n), by_v (n, n), inertia (n, n).
    """
    state = _State.of(tree, "v", "acceleration")
    a = state.inputs["acceleration"]
    sums = body.composite(tree, state.bodies)
    moving, total = state.moving(a)
    by_q, by_v = body.effort_derivatives(tree, state.where, state.bodies, sums, moving, total)
    inertia = body.inertia_matrix(tree, state.where, sums)
    outputs = {"effort": state.efforts(total, a), "by_q": by_q, "by_v": by_v, "inertia": inertia}
    return generate("inverse_derivatives", state.inputs, outputs)


def equation(tree: Tree) -> Kernel:
    """The equation of motion: inertia M + I_a (n, n), and bias b(q, v) + D v (n,). Inputs q, v."""
    state = _State.of(tree, "v")
    none = symbols(np.zeros(tree.size))
    inertia = body.inertia_matrix(tree, state.where, body.composite(tree, state.bodies))
    _, total = state.moving(none)
    return generate("equation", state.inputs, {"inertia": inertia, "bias": state.efforts(total, none)})


def frames(tree: Tree) -> Kernel:
    """Forward kinematics of the tree's F frames, in world axes.

    Input q; outputs positions (F, 3), rotations (F, 3, 3) and jacobians (F, 6, n): rows 0-2 the velocity of the frame's
    origin, 3-5 its angular velocity.
    """
    state = _State.of(tree)
    count = len(tree.frames)
    positions, rotations = symbols(np.zeros((count, 3))), symbols(np.zeros((count, 3, 3)))
    jacobians = symbols(np.zeros((count, 6, tree.size)))
    for f, frame in enumerate(tree.frames):
        if frame.joint < 0:
            positions[f], rotations[f] = symbols(frame.translation), symbols(frame.rotation)
            continue
        pose = state.where[frame.joint]
        positions[f] = pose.origin + product(pose.rotation, symbols(frame.translation))
        rotations[f] = product(pose.rotation, symbols(frame.rotation))
        for j in tree.path(frame.joint):
            direction = state.where[j].direction
            jacobians[f, :3, j] = direction.linear + cross(direction.angular, positions[f])
            jacobians[f, 3:, j] = direction.angular
    return generate("frames", state.inputs, {"positions": positions, "rotations": rotations, "jacobians": jacobians})


#: The kernels by name.
KERNELS: dict[str, Callable[[Tree], Kernel]] = {
    function.__name__: function
    for function in (forward, forward_derivatives, inverse, inverse_derivatives, equation, frames)
}


def _solved(state: _State) -> tuple[Symbols, tuple[list[Inertia], Symbols, Symbols]]:
    """The acceleration under the effort; inertias of subtrees and the factors of M + I_a + h D."""
    tree = state.tree
    sums = body.composite(tree, state.bodies)
    matrix = body.inertia_matrix(tree, state.where, sums, state.inputs["h"][0])
    lower, reciprocal = body.factor(tree, matrix)
    none = symbols(np.zeros(tree.size))
    _, total = state.moving(none)
    a = body.solve(tree, lower, reciprocal, state.inputs["effort"] - state.efforts(total, none))
    return a, (sums, lower, reciprocal)
