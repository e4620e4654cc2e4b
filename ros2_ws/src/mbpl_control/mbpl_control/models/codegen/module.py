"""The module of a robot: kernels and drivers as the text of one Python file."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from mbpl_control.models.codegen import drivers, friction, inverse_drivers
from mbpl_control.models.codegen.kernel import STRIDE
from mbpl_control.models.codegen.robot_kernels import KERNELS
from mbpl_control.models.codegen.tree import Tree

#: What the constants are called that the drivers know rows by: their number, and those of each output.
ROWS_OF = {"forward": "FORWARD_", "forward_derivatives": "DERIVATIVES_", "equation": "EQUATION_"} | {
    "inverse_derivatives": "INVERSE_"
}
OUTPUTS_OF = {"forward": "FORWARD_", "forward_derivatives": "", "equation": "", "inverse_derivatives": "INVERSE_"}
#: Functions of `friction`, those that are called first.
FRICTION = ("rub", "solve_symmetric", "hold", "add_friction", "differentiate_friction")

_HEAD = '''"""Dynamics of {name}, generated from its model: do not edit."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy import floor

from mbpl_control.models.codegen.straight_line import StraightLines

# `contract` lets a product and a sum be rounded once; nothing else of the arithmetic may change
_options = {{"fastmath": {{"contract"}}, "error_model": "numpy"}}
helper = njit(**_options)
entry = njit(cache=True, **_options)
whole = StraightLines(__file__).for_numba
lanes = range


def piece(function):
    return function
'''


def module_source(tree: Tree) -> str:
    """Text of the module."""
    names = ["forward", "forward_derivatives", *(["equation"] if tree.dry else [])]
    # friction takes it, and without friction iLQR, unless an angle is not a number of its own
    if tree.dry or tree.plain:
        names.append("inverse_derivatives")
    kernels = {name: KERNELS[name](tree) for name in names}
    head, parts = [_HEAD.format(name=tree.name)], []
    constants = {
        "STRIDE": str(STRIDE),
        "N": str(tree.size),
        "DRY": str(tree.dry),
        "EQUATION_ROWS": "0",
        "INVERSE_ROWS": "0",
    }
    for name, kernel in kernels.items():
        constants[f"{ROWS_OF[name]}ROWS"] = str(kernel.rows)
        for output, rows in kernel.outputs.items():
            constants[f"{OUTPUTS_OF[name]}{output.upper()}"] = f"np.array({rows.tolist()}, dtype=np.int64)"
        parts.append(kernel.source)
    if tree.plain and not tree.dry:
        constants |= {
            "DAMPING": f"np.array({[joint.damping for joint in tree.joints]})",
            "WIDTH": str(_padded(3 * tree.size)),
            "SIDE": str(_padded(2 * tree.size + 1)),
        }
    if tree.dry:
        constants |= {"LOSS": str(friction.LOSS), "STIFFNESS": str(friction.STIFFNESS), "DRAG": str(friction.DRAG)}
    # without friction, those that stand for its functions, which are not called
    source = friction if tree.dry else drivers
    parts += [_copied("helper", getattr(source, name)) for name in FRICTION if hasattr(source, name)]
    parts += [_copied("helper", function) for function in (drivers.write, drivers.multiply)]
    parts += [_copied("entry", function) for function in (drivers.follow, drivers.linearize)]
    if tree.plain and not tree.dry:
        own = inverse_drivers
        parts += [_copied("helper", function) for function in (own.inverse_of_lower, own.cholesky)]
        entries = (own.efforts_along, own.lead, own.slopes_along, own.inverse_backward, own.action_law)
        parts += [_copied("entry", function) for function in entries]
    head.append("\n".join(f"{name} = {text}" for name, text in constants.items()))
    return "\n\n".join(head + parts)


def _padded(count: int) -> int:
    """The next multiple of 8, the numbers of the widest register."""
    return -(-count // 8) * 8


def _copied(decorator: str, function: Callable[..., Any]) -> str:
    return f"@{decorator}\n{inspect.getsource(function)}"
