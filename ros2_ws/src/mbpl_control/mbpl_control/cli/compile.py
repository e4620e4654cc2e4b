"""`mbpl compile`: generate and compile the kernels of robots, so that no controller waits for it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from mbpl_control.cli.progress import Tell, progress_bar
from mbpl_control.core import InvalidFieldError, MbplError, ModelError
from mbpl_control.models import resolve
from mbpl_control.models.codegen import library
from mbpl_control.models.codegen.tree import Tree
from mbpl_control.models.generated_dynamics import tree_of
from mbpl_control.models.robot import RobotModel
from mbpl_control.tasks import load_task
from mbpl_control.tasks.catalog import list_tasks


def compile_kernels(robot: str | None, task: str | None, everything: bool, as_json: bool) -> bool:
    """Compile the kernels of a robot, of a task's robot, or of the robots of all tasks that are found.

    Args:
        robot: file of a robot, MJCF or URDF, or a package:// address.
        task: name of a task, or the path of its file.
        everything: the robots of all tasks; those that no kernels can be generated for are named and left out.
        as_json: print one JSON object and nothing else on standard output.

    Returns:
        Whether kernels were compiled or were there for each robot that was asked for.

    Raises:
        MbplError: not exactly one of the three is given, or a file is wrong.
    """
    if sum((robot is not None, task is not None, everything)) != 1:
        raise InvalidFieldError("mbpl compile", "--robot, --task and --all", "none or several", "exactly one of them")
    console = Console(stderr=as_json, soft_wrap=True, highlight=False)
    trees: dict[str, Tree] = {}
    left_out: dict[str, str] = {}
    for name, model in _robots(robot, task, everything, left_out).items():
        try:
            tree = tree_of(model)
        except ModelError as error:
            left_out[name] = str(error)
            continue
        # tasks share robots
        if all(library.path_of(tree) != library.path_of(other) for other in trees.values()):
            trees[name] = tree
    seconds: dict[str, float] = {}
    for number, (name, tree) in enumerate(trees.items(), start=1):
        known = library.is_compiled(tree)
        begin = time.perf_counter()
        with _progress(console, f"{name} ({number} of {len(trees)})") as tell:
            library.build(tree, tell)
        seconds[name] = time.perf_counter() - begin
        how = "compiled before, loaded" if known else "compiled"
        console.print(f"{escape(name)}: {how} in {seconds[name]:.1f} s, {escape(str(library.path_of(tree)))}")
    for name, reason in left_out.items():
        console.print(f"{escape(name)}: [yellow]no kernels[/]: {escape(reason)}")
    if as_json:
        print(json.dumps({"compiled": seconds, "left_out": left_out}))
    return everything or not left_out


@contextmanager
def _progress(console: Console, name: str) -> Iterator[Tell]:
    """What is done for a robot: a bar on a terminal; in a file a line for each thing that is begun."""
    if console.is_terminal:
        with progress_bar(console) as tell:
            yield lambda what, done, total: tell(f"{name}: {what}", done, total)
    else:
        yield lambda what, done, total: console.print(escape(f"{name}: {what}")) if done < total else None


def _robots(
    robot: str | None, task: str | None, everything: bool, left_out: dict[str, str]
) -> Mapping[str, RobotModel]:
    if robot is not None:
        return {robot: RobotModel.from_file(resolve(robot, Path.cwd()))}
    if task is not None:
        return {task: load_task(task).robot}
    found: dict[str, RobotModel] = {}
    for name in list_tasks() if everything else ():
        try:
            found[name] = load_task(name).robot
        except MbplError as error:
            left_out[name] = str(error)
    return found
