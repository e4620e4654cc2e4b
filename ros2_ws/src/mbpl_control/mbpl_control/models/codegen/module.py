"""The module of a robot: kernels and drivers as the text of one Python file."""

from __future__ import annotations

import inspect

import numpy as np
from numpy.typing import NDArray

from mbpl_control.models.codegen import drivers
from mbpl_control.models.codegen.kernel import STRIDE, Kernel
from mbpl_control.models.codegen.robot_kernels import KERNELS
from mbpl_control.models.codegen.tree import Tree

#: What is compiled of a robot: the functions that are called from outside, with the kernels and helpers each needs.
ENTRIES = {"follow": ("forward", []), "linearize": ("forward_derivatives", ["write", "multiply"])}

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
    kernels = {name: KERNELS[name](tree) for name in ("forward", "forward_derivatives")}
    constants = {
        "STRIDE": str(STRIDE),
        "N": str(tree.size),
        "FORWARD_ROWS": str(kernels["forward"].rows),
        "FORWARD_ACCELERATION": _array(kernels["forward"].outputs["acceleration"]),
        "DERIVATIVES_ROWS": str(kernels["forward_derivatives"].rows),
    }
    for name, rows in kernels["forward_derivatives"].outputs.items():
        constants[name.upper()] = _array(rows)
    parts = [_HEAD.format(name=tree.name)]
    parts.append("\n".join(f"{name} = {text}" for name, text in constants.items()))
    for name, (kernel, helpers) in ENTRIES.items():
        parts.append(kernels[kernel].source)
        parts += [f"@helper\n{inspect.getsource(getattr(drivers, helper))}" for helper in helpers]
        parts.append(f"@entry\n{inspect.getsource(getattr(drivers, name))}")
    return "\n\n".join(parts)


def _array(rows: NDArray[np.int64]) -> str:
    return f"np.array({rows.tolist()}, dtype=np.int64)"
