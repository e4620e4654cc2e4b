"""Where a bag goes: the path that was asked for, or a name made of what is recorded; never out of a root."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mbpl_control.core.errors import BagError

_UNFIT = re.compile(r"[^A-Za-z0-9._+-]+")


def bag_path(requested: str, directory: str, root: str, metadata: Mapping[str, Any]) -> Path:
    """The directory of a new bag.

    Args:
        requested: its path; a relative one counts from `root`, or from the working directory if there is none. Empty:
            a name in `directory`, made of task, controller, condition and time.
        directory: of bags without a path of their own; likewise from `root`.
        root: directory that no bag may leave, by `..`, an absolute path or a link; empty: bags may go anywhere.
        metadata: of the trial.

    Raises:
        BagError: the bag would lie outside the root.
    """
    wanted = Path(requested) if requested else Path(directory) / bag_name(metadata)
    if "\0" in str(wanted):
        raise BagError(f"bag {str(wanted)!r}: a path cannot hold a null character")
    if not root:
        return wanted
    within = Path(root).resolve()
    found = (within / wanted).resolve()
    if found == within or not found.is_relative_to(within):
        raise BagError(
            f"bag {wanted} would lie at {found}; this recorder writes below {within} only (parameter 'root')"
        )
    return found


def bag_name(metadata: Mapping[str, Any]) -> str:
    """task-controller-condition-time, which sorts by what is asked for first; one component of a path in any case."""
    parts = [_UNFIT.sub("_", str(metadata.get(key, ""))) for key in ("task", "controller", "condition")]
    stamp = time.strftime("%Y%m%d-%H%M%S") + f"-{time.time_ns() // 1_000_000 % 1000:03d}"
    return "-".join([part for part in parts if part] + [stamp]).lstrip(".")
