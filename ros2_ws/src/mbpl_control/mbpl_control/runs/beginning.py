"""How a run begins."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from mbpl_control.core.validation import check_choice, check_whole
from mbpl_control.core.versions import commit, versions
from mbpl_control.runs.description import RunDescription
from mbpl_control.runs.directory import RunDirectory
from mbpl_control.tasks.task import load_task

#: Iterations of each method when neither the caller nor the task says how many.
METHODS = {"lqr_flm": 10, "gps": 12}
AGENTS = ("mujoco", "ros")
#: Whose versions decide the bits of a run.
PACKAGES = ("mujoco", "numpy", "scipy", "numba", "torch", "pyarrow", "ray")


def new_run(
    method: str,
    task_name: str,
    *,
    agent: str,
    seed: int,
    iterations: int | None,
    samples: int | None,
    variant: str | None,
    output: Path | None,
) -> RunDirectory:
    """A run to begin, with what it is; nothing is written yet.

    Raises:
        MbplError: an argument is wrong, or the directory is not empty.
    """
    check_choice("mbpl train", "METHOD", method, tuple(METHODS))
    check_choice("mbpl train", "--agent", agent, AGENTS)
    check_whole("mbpl train", "--seed", seed, 0, 2**62 - 1)
    task, started = load_task(task_name), datetime.now()
    if iterations is None:
        iterations = task.learning.iterations or METHODS[method]
    description = RunDescription(
        method=method,
        task=task.name,
        task_file=str(task.path.resolve()),
        task_hash=task.hash,
        agent=agent,
        seed=seed,
        iterations=check_whole("mbpl train", "--iterations", iterations, 1, 10**6),
        options={"samples": samples, "variant": variant},
        started=f"{started:%Y-%m-%d %H:%M:%S}",
        versions=versions(PACKAGES),
        commit=commit(),
    )
    default = Path("runs") / f"{method}-{task.name}-{seed}-{started:%Y%m%d-%H%M%S}"
    return RunDirectory.new(default if output is None else output, description)
