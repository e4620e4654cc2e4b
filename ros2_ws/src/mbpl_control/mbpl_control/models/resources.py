"""Finding robot files: plain paths and `package://` addresses."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mbpl_control.core.errors import ModelError

SCHEME = "package://"


def resolve(address: str, relative_to: Path | None = None) -> Path:
    """The file behind a path, or behind `package://PACKAGE/FILE`.

    A package is looked for in `share/` below each entry of `AMENT_PREFIX_PATH`, then below the prefix in which
    wheels such as example-robot-data keep their data.

    Args:
        address: path or `package://` address.
        relative_to: directory a relative path starts from; the working directory when None.

    Raises:
        ModelError: there is no such file; the message lists where it was looked for.
    """
    if address.startswith(SCHEME):
        package, _, rest = address[len(SCHEME) :].partition("/")
        candidates = [root / package / rest for root in share_directories()]
    else:
        path = Path(address).expanduser()
        candidates = [path if path.is_absolute() else (relative_to or Path.cwd()) / path]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    looked = ", ".join(str(c) for c in candidates) or "nowhere: AMENT_PREFIX_PATH is empty"
    raise ModelError(f"robot file '{address}' does not exist; looked for {looked}")


def share_directories() -> list[Path]:
    """`share` directories that may hold packages, in the order they are searched."""
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    roots = [Path(p) / "share" for p in prefixes]
    roots += [Path(p) / "cmeel.prefix" / "share" for p in sys.path if p]
    return [root for root in roots if root.is_dir()]
