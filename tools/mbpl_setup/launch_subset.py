"""The launch subset: installed where the genuine `launch` is missing, and only there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from mbpl_setup.environment import Environment
from mbpl_setup.steps import Log, Step
from mbpl_setup.workspace import source_hash


def step(root: Path, environment: Environment, environ: Mapping[str, str], pip: Sequence[str]) -> Step:
    """The step that makes `import launch` work.

    Args:
        root: top of the repository.
        environment: where it is installed.
        environ: variables of the caller's shell.
        pip: the command that installs.
    """
    source = root / "tools" / "launch_subset"

    def action(log: Log) -> None:
        if environment.genuine_launch():
            log.write("the genuine launch can be imported; the subset is not needed")
            return
        # A copy, since building a wheel writes into the source directory.
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / source.name
            shutil.copytree(source, copy)
            log.run(
                [*pip, "--no-deps", "--no-build-isolation", "--force-reinstall", copy], environment.merged_into(environ)
            )

    inputs = [source_hash(source), environ.get("AMENT_PREFIX_PATH", "") if environment.ros == "sourced" else ""]
    return Step("launch_subset", "launch: the genuine one, else the project's subset", inputs, action)
