"""Where generated modules are kept, and what brings them into a process."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mbpl_control.core.errors import ModelError
from mbpl_control.core.hashing import content_hash
from mbpl_control.models.codegen.tree import Tree

#: Told of each thing that is done: what is done now, how many are done, of how many.
Tell = Callable[[str, int, int], None]

#: Arguments of what is compiled, as numba writes them; a module has the first two, and those of inverse dynamics where
#: there are any.
SIGNATURES: Mapping[str, str] = {
    "follow": "void(float64[:,::1], float64[:,::1], float64[:,:,::1], float64[:,:,::1], float64[:,::1], float64[::1], "
    "int64[::1], float64[:,::1], float64, int64, float64[:,:,::1], float64[:,:,::1])",
    "linearize": "void(float64[:,::1], float64[:,::1], int64[::1], float64[:,::1], float64, int64, float64[:,:,::1], "
    "float64[:,:,::1])",
    "efforts_along": "void(float64[:,::1], float64[:,::1], int64[::1], float64, float64[:,::1], float64[:,:,::1])",
    "lead": "void(float64[:,::1], float64[:,::1], float64[:,::1], float64[:,:,::1], float64, float64, float64[:,::1], "
    "float64[:,::1])",
    "slopes_along": "void(float64[:,:,::1], float64[:,::1], float64[:,::1], float64[:,::1])",
    "inverse_backward": "void(float64, float64, float64[:,:,::1], float64[:,::1], float64[:,::1], float64[:,:,::1], "
    "float64[:,::1], int64[::1], float64[:,:,::1], float64[:,::1], float64[:,:,::1], float64[::1])",
    "action_law": "void(float64[:,:,::1], float64[:,:,::1], float64[:,:,::1], int64[::1], float64[:,:,::1], "
    "float64[:,:,::1])",
}

#: Modules of this process by path: two models of one robot share theirs.
_loaded: dict[Path, ModuleType] = {}


def directory() -> Path:
    """Where modules are kept: beside numba's cache where NUMBA_CACHE_DIR names one, else in the user's cache."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    if named:
        return Path(named) / "mbpl_kernels"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mbpl" / "kernels"


def path_of(tree: Tree) -> Path:
    """File of a robot's module. Its name holds a hash of the robot, the generator, numba and the processor."""
    content = [_plain(asdict(tree)), _generator(), list(_target())]
    name = re.sub(r"\W+", "_", tree.name) or "robot"
    return directory() / f"{name}_{content_hash(content)}.py"


def is_compiled(tree: Tree) -> bool:
    """Whether `load` would find all in the cache."""
    path = path_of(tree)
    return path.is_file() and _mark(path).is_file()


def load(tree: Tree) -> ModuleType:
    """The compiled module of a robot, with the functions of `SIGNATURES`.

    Raises:
        ModelError: it has not been compiled on this machine; `mbpl compile` does that.
    """
    if not is_compiled(tree):
        raise ModelError(f"{tree.name}: its kernels are not compiled on this machine; `mbpl compile` does that")
    return _compiled(path_of(tree), lambda what, done, total: None)


def build(tree: Tree, tell: Tell) -> ModuleType:
    """Generate and compile a robot's module, or load it where that has been done before.

    Raises:
        ModelError: there is no place to keep it.
    """
    path, total = path_of(tree), 1 + len(SIGNATURES)
    if not path.is_file():
        tell("generating", 0, total)
        # imported where it is needed: a process that only loads does not generate
        from mbpl_control.models.codegen.module import module_source

        _write(path, module_source(tree))
    module = _compiled(path, tell)
    tell("done", total, total)
    _write(_mark(path), "compiled\n")
    return module


def _compiled(path: Path, tell: Tell) -> ModuleType:
    if path not in _loaded:
        spec = importlib.util.spec_from_file_location(f"mbpl_kernels_{path.stem}", path)
        assert spec is not None and spec.loader is not None  # noqa: S101 - a Python file
        module = importlib.util.module_from_spec(spec)
        # numba looks for it there, when it compiles and when it reads its cache
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        for done, (name, signature) in enumerate(SIGNATURES.items()):
            if hasattr(module, name):
                tell(f"compiling {name}", 1 + done, 1 + len(SIGNATURES))
                getattr(module, name).compile(signature)
        _loaded[path] = module
    return _loaded[path]


def _mark(path: Path) -> Path:
    return path.with_suffix(".compiled")


def _write(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise ModelError(
            f"{path}: kernels cannot be kept there: {error.strerror}; NUMBA_CACHE_DIR names a place"
        ) from error


def _plain(content: Any) -> Any:
    """`content` as JSON takes it."""
    if isinstance(content, np.ndarray):
        return content.tolist()
    if isinstance(content, Mapping):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    return content


@functools.cache
def _generator() -> str:
    """Hash of the text of this package: what is generated follows from it and the robot."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return content_hash([[file.name, file.read_text(encoding="utf-8")] for file in files])


@functools.cache
def _target() -> tuple[str, ...]:
    """What compiled code depends on besides its text: as numba's own cache, the processor and the versions."""
    import llvmlite
    import numba
    from numba.core.registry import cpu_target

    machine = cpu_target.target_context.codegen().magic_tuple()
    return (numba.__version__, llvmlite.__version__, np.__version__, *map(str, machine))
