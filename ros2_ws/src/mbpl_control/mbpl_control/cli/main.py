"""The `mbpl` command: tasks and plans in process, and the running graph from the shell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console

from mbpl_control.core import MbplError

app = typer.Typer(
    name="mbpl",
    help="Model-based policy learning as a ROS 2 control stack.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

TaskOption = Annotated[str, typer.Option("--task", "-t", help="Name of a task, or path of a YAML.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
NamespaceOption = Annotated[str, typer.Option(help="Namespace of the nodes.")]


@app.command()
def tasks(json: JsonOption = False) -> None:
    """List the tasks that are found, with their files."""
    from mbpl_control.cli.solve import print_tasks

    print_tasks(json)


@app.command()
def solve(
    task: TaskOption,
    condition: Annotated[int, typer.Option(help="Start condition: training first, then held out.")] = 0,
    json: JsonOption = False,
    save: Annotated[
        Optional[Path], typer.Option(help="Write the controller to this .npz file.")
    ] = None,
    iterations: Annotated[
        Optional[int], typer.Option(help="At most so many iterations.", min=1)
    ] = None,
    execute: Annotated[
        bool, typer.Option(help="Run the law under MuJoCo with feedback and judge success.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Seed of the executed trial.", min=0)] = 0,
) -> None:
    """Plan a task with iLQR, say why it stopped, and run the law once under MuJoCo.

    Exit code 1 when the plan did not converge.
    """
    from mbpl_control.cli.solve import solve_task

    converged = solve_task(
        task,
        condition,
        as_json=json,
        save=save,
        iterations=iterations,
        execute=execute,
        seed=seed,
    )
    if not converged:
        raise typer.Exit(1)


@app.command()
def trial(
    controller: Annotated[str, typer.Argument(help="Name of a controller of the manager.")],
    condition: Annotated[int, typer.Option(help="Start condition of the task.", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Seed of all noise.", min=0)] = 0,
    record: Annotated[bool, typer.Option(help="Record a bag.")] = True,
    bag: Annotated[
        Optional[Path], typer.Option(help="Directory of the bag; it must not exist.")
    ] = None,
    label: Annotated[str, typer.Option(help="Free text kept with the trial.")] = "",
    save: Annotated[Optional[Path], typer.Option(help="Write the trial to this .npz file.")] = None,
    json: JsonOption = False,
    namespace: NamespaceOption = "/mbpl",
) -> None:
    """Run one trial on the graph: start condition, controller, whole horizon, bag."""
    from mbpl_control.cli.graph import run_trial

    run_trial(controller, condition, seed, record, bag, label, save, json, namespace)


@app.command()
def switch(
    controller: Annotated[str, typer.Argument(help="Controller to activate.")],
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the switch.", min=0.0)] = 2.0,
    namespace: NamespaceOption = "/mbpl",
) -> None:
    """Make one controller the active one, between two ticks and without a step in torque."""
    from mbpl_control.cli.graph import switch_to

    switch_to(controller, timeout, namespace)


@app.command()
def status(
    once: Annotated[bool, typer.Option("--once", help="Print one table and leave.")] = False,
    json: JsonOption = False,
    namespace: NamespaceOption = "/mbpl",
) -> None:
    """Show a live table of the manager: mode, controllers, rates, ages, refusals."""
    from mbpl_control.cli.graph import show_status

    show_status(once, json, namespace)


@app.command()
def estop(
    reason: Annotated[str, typer.Option(help="Kept in the status.")] = "operator",
    reset: Annotated[bool, typer.Option("--reset", help="Lift the latch instead.")] = False,
    namespace: NamespaceOption = "/mbpl",
) -> None:
    """Emergency stop, latched until `mbpl estop --reset`."""
    from mbpl_control.cli.graph import stop

    stop(reason, reset, namespace)


@app.command()
def bag(
    path: Annotated[Path, typer.Argument(help="Directory of a bag.")],
    json: JsonOption = False,
) -> None:
    """Show what an episode's bag holds: topics, counts, trial, cost."""
    from mbpl_control.cli.bag import show_bag

    show_bag(path, json)


@app.command()
def demo(
    view: Annotated[bool, typer.Option("--view", help="Open a viewer in the browser.")] = False,
    task: TaskOption = "arm_reach",
    output: Annotated[
        Optional[Path], typer.Option(help="New directory for bags, report and logs.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all noise.", min=0)] = 0,
) -> None:
    """Launch the whole graph, run and record trials, swap controllers, write a report, leave.

    Exit code 1 when the robot missed what the demo promises.
    """
    from mbpl_control.demo.run import run_demo

    if not run_demo(task, output, view=view, seed=seed):
        raise typer.Exit(1)


def main() -> None:
    """Run the command; an error of mbpl is one readable line and exit code 2."""
    try:
        app()
    except MbplError as error:
        Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {_plain(error)}")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _plain(error: MbplError) -> str:
    from rich.markup import escape

    return escape(str(error))


if __name__ == "__main__":
    main()
