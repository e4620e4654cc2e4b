"""The `mbpl` command: tasks and plans in process, and the running graph from the shell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mbpl_control.cli.bags import bags
from mbpl_control.cli.distill import distill
from mbpl_control.cli.fit import fit
from mbpl_control.cli.several import spread
from mbpl_control.core import MbplError

app = typer.Typer(
    name="mbpl",
    help="Model-based policy learning as a ROS 2 control stack.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

app.add_typer(bags, name="bags")

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
    save: Annotated[Path | None, typer.Option(help="Write the controller to this .npz file.")] = None,
    iterations: Annotated[int | None, typer.Option(help="At most so many iterations.")] = None,
    execute: Annotated[bool, typer.Option(help="Run the law under MuJoCo with feedback and judge success.")] = True,
    seed: Annotated[int, typer.Option(help="Seed of the first actions and of the trial.")] = 0,
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


@app.command("compile")
def compile_kernels(
    robot: Annotated[str | None, typer.Option(help="File of a robot, MJCF or URDF, or package:// address.")] = None,
    task: Annotated[str | None, typer.Option("--task", "-t", help="The robot of this task: name, or path.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="The robots of all tasks that are found.")] = False,
    json: JsonOption = False,
) -> None:
    """Generate and compile the kernels of a robot, once on a machine: planning is several times quicker with them.

    Exit code 1 when the robot has something that cannot be generated; it is planned for all the same, by Pinocchio's
    bindings or MuJoCo.
    """
    from mbpl_control.cli.compile import compile_kernels

    if not compile_kernels(robot, task, everything, json):
        raise typer.Exit(1)


@app.command()
def train(
    method: Annotated[str | None, typer.Argument(help="What learns, e.g. lqr_flm; left out with --resume.")] = None,
    task: Annotated[
        str | None, typer.Option("--task", "-t", help="Name of a task, path of a YAML; gym:NAME for step learners.")
    ] = None,
    agent: Annotated[str | None, typer.Option(help="Who runs the trials: mujoco, in process, or ros.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything drawn; 0 unless given.")] = None,
    iterations: Annotated[
        int | None, typer.Option(help="How many; as the task or the method says unless given.")
    ] = None,
    samples: Annotated[int | None, typer.Option(help="Trials an iteration and start condition.")] = None,
    variant: Annotated[str | None, typer.Option(help="Of gps: mdgps, badmm or lagrangian.")] = None,
    executor: Annotated[str | None, typer.Option(help="Of trials in process: process, inline or ray.")] = None,
    workers: Annotated[int | None, typer.Option(help="At most so many; one a processor unless given.")] = None,
    steps: Annotated[int | None, typer.Option(help="Step learners: steps of the environment, for each seed.")] = None,
    seeds: Annotated[list[int] | None, typer.Option(help="Step learners: of everything drawn; 0 unless given.")] = None,
    every: Annotated[int | None, typer.Option(help="Step learners: steps between two evaluations.")] = None,
    episodes: Annotated[int | None, typer.Option(help="Step learners: of an evaluation, from each start.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="Step learners: NAME=VALUE, e.g. sac.discount=0.98.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "--out", help="New directory for all of the run.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this directory.")] = None,
    json: JsonOption = False,
    namespace: Annotated[str | None, typer.Option(help="Of the nodes; /mbpl unless given.")] = None,
) -> None:
    """Learn a task by trial.

    lqr_flm and gps learn by iterations, controllers or a neural policy from them; all others step by step.
    Everything is kept in one directory, and can go on from there whatever ended it.
    """
    from mbpl_control.cli.training import Given, train_by_method

    given = Given(
        task=task,
        agent=agent,
        seed=seed,
        iterations=iterations,
        samples=samples,
        variant=variant,
        executor=executor,
        workers=workers,
        namespace=namespace,
        steps=steps,
        seeds=seeds or None,
        every=every,
        episodes=episodes,
        option=option or None,
        output=output,
    )
    if not train_by_method(method, resume, given, json):
        raise typer.Exit(130)


@app.command()
def compare(
    task: Annotated[
        str | None, typer.Option("--task", "-t", help="Name of a task, path of a YAML, or gym:NAME.")
    ] = None,
    methods: Annotated[list[str] | None, typer.Option(help="Any that train knows; NAME=STEPS has its own.")] = None,
    steps: Annotated[int | None, typer.Option(help="Of the environment, for each seed of each method.")] = None,
    seeds: Annotated[list[int] | None, typer.Option(help="Of everything drawn; 0 unless given.")] = None,
    every: Annotated[int | None, typer.Option(help="Steps between two evaluations of step learners.")] = None,
    episodes: Annotated[int | None, typer.Option(help="Of an evaluation of those, from each start.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="Of step learners: METHOD:NAME=VALUE.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "--out", help="New directory for everything.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with what is in this directory.")] = None,
    executor: Annotated[str, typer.Option(help="Of trials in process: process, inline or ray.")] = "process",
    workers: Annotated[int | None, typer.Option(help="At most so many; one a processor unless given.")] = None,
    json: JsonOption = False,
) -> None:
    """Let methods learn one task by the same number of steps, or each by its own, and write one report of all."""
    from mbpl_control.cli.compare import compare, opened

    about = {"task": task, "methods": methods, "steps": steps, "seeds": seeds, "every": every, "episodes": episodes}
    path = opened(resume, **about, option=option, output=output)
    if not compare(path, executor=executor, workers=workers, as_json=json):
        raise typer.Exit(130)


@app.command()
def trial(
    controller: Annotated[str | None, typer.Argument(help="Name of a controller of the manager.")] = None,
    file: Annotated[
        Path | None, typer.Option("--controller", help="Try the law in this .npz file instead: controller or policy.")
    ] = None,
    task: Annotated[str | None, typer.Option("--task", "-t", help="With --controller: what it is tried on.")] = None,
    agent: Annotated[str, typer.Option(help="With --controller: mujoco, in process, or ros.")] = "mujoco",
    mode: Annotated[str, typer.Option(help="With --controller: open_loop, mean or sampled.")] = "mean",
    condition: Annotated[int | None, typer.Option(help="Start condition of the task.", min=0)] = None,
    seed: Annotated[int, typer.Option(help="Seed of all noise.", min=0)] = 0,
    record: Annotated[bool, typer.Option(help="Record a bag.")] = True,
    bag: Annotated[Path | None, typer.Option(help="Directory of the bag; it must not exist.")] = None,
    label: Annotated[str, typer.Option(help="Free text kept with the trial.")] = "",
    save: Annotated[Path | None, typer.Option(help="Write the trial to this .npz file.")] = None,
    push: Annotated[str, typer.Option(help="Push the simulated robot: force 'FX FY FZ' in N, world axes.")] = "",
    push_body: Annotated[str, typer.Option(help="Body that is pushed, at its centre of mass.")] = "",
    push_at: Annotated[float, typer.Option(help="Seconds into the trial.", min=0.0)] = 0.0,
    push_for: Annotated[float, typer.Option(help="Seconds the push lasts.", min=0.0)] = 0.1,
    mass_scale: Annotated[
        float, typer.Option(help="Masses of the simulated robot times this, which no planner knows.")
    ] = 1.0,
    json: JsonOption = False,
    namespace: NamespaceOption = "/mbpl",
) -> None:
    """Run one trial: start condition, controller, whole horizon; with a push or a model error.

    A controller of the manager is tried on the graph, and recorded; one from a file in process, or on the graph.
    """
    from mbpl_control.cli.replay import check_trial, graph_law, parse_push, replay

    check_trial(controller, file, task, agent, mode, bag, label)
    shove = parse_push(push, push_body, push_at, push_for) if push else None
    if file is not None and agent == "mujoco":
        replay(
            file,
            task,
            mode,
            condition,
            seed,
            save=save,
            push=shove,
            mass_scale=mass_scale,
            as_json=json,
        )
        return
    from mbpl_control.cli.trial import run_trial

    law, start = (None, condition or 0) if file is None else graph_law(file, mode, condition)
    run_trial(
        controller or str(file),
        start,
        seed,
        law=law,
        record=record,
        bag=bag,
        label=label,
        save=save,
        push=shove,
        mass_scale=mass_scale,
        as_json=json,
        namespace=namespace,
    )


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
def doctor(
    graph: Annotated[bool, typer.Option(help="Look at the running graph, too.")] = True,
    seconds: Annotated[float, typer.Option(help="Seconds to listen to the graph.", min=0.5)] = 2.0,
    json: JsonOption = False,
    namespace: NamespaceOption = "/mbpl",
) -> None:
    """Check this installation and the running graph, and say what to do about what is wrong.

    Exit code 1 when something fails.
    """
    from mbpl_control.cli.doctor import examine

    if not examine(graph, seconds, json, namespace):
        raise typer.Exit(1)


@app.command()
def estop(
    reason: Annotated[str, typer.Option(help="Kept in the status.")] = "operator",
    reset: Annotated[bool, typer.Option("--reset", help="Lift the latch instead.")] = False,
    namespace: NamespaceOption = "/mbpl",
) -> None:
    """Emergency stop, latched until `mbpl estop --reset`."""
    from mbpl_control.cli.graph import stop

    stop(reason, reset, namespace)


@app.command("check-joints")
def check_joints(
    again: Annotated[bool, typer.Option("--again", help="Check joints that are confirmed already.")] = False,
    namespace: NamespaceOption = "/mbpl",
) -> None:
    """Move each joint of a real robot a little, and confirm that it is the one it should be.

    Until then its bridge takes no commands. Exit code 1 when they are not confirmed.
    """
    from mbpl_control.cli.check_joints import check_joints

    if not check_joints(again, namespace, typer.confirm):
        raise typer.Exit(1)


app.command()(distill)
app.command()(fit)


@app.command()
def report(
    directories: Annotated[list[Path], typer.Argument(help="Of training runs, of bags, or of both.")],
    task: Annotated[
        str | None, typer.Option("--task", "-t", help="Of the bags, where its name there no longer leads to it.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The page; report.html in the first directory unless given.")
    ] = None,
) -> None:
    """Write one self-contained page about training runs and recorded trials."""
    from mbpl_control.cli.report import report

    print(report(directories, task, output))


@app.command()
def export(
    bags: Annotated[Path, typer.Option(help="Directory of bags, or a bag.")],
    format: Annotated[str, typer.Option(help="lerobot, hdf5, parquet or rerun.")],
    output: Annotated[Path, typer.Option(help="New file or directory.")],
    task: Annotated[
        str | None, typer.Option("--task", "-t", help="For what the bags do not tell, and for rerun's robot.")
    ] = None,
) -> None:
    """Write recorded trials as a data set for other tools, or as a scene to look at."""
    from mbpl_control.cli.export import export

    print(f"{export(bags, format, output, task)} trials: {output}")


@app.command()
def demo(
    view: Annotated[bool, typer.Option("--view", help="Open a viewer in the browser.")] = False,
    task: TaskOption = "arm_reach_few",
    output: Annotated[Path | None, typer.Option(help="New directory for bags, report and logs.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all noise.", min=0)] = 0,
    iterations: Annotated[
        int | None,
        typer.Option(help="Of learning; 0 leaves that part out.", min=0, max=1000),
    ] = None,
) -> None:
    """Launch the whole graph, run and record trials, swap controllers, learn, write a report, leave.

    Exit code 1 when the robot missed what the demo promises.
    """
    from mbpl_control.demo.run import run_demo

    if not run_demo(task, output, view=view, seed=seed, iterations=iterations):
        raise typer.Exit(1)


@app.command("demo-offline")
def demo_offline(
    task: TaskOption = "arm_reach_offline",
    output: Annotated[Path | None, typer.Option(help="New directory for bags, policies and logs.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything drawn.", min=0)] = 0,
    iterations: Annotated[int | None, typer.Option(help="Of learning.", min=1, max=1000)] = None,
) -> None:
    """Learn on the graph and record, end it, distil from the bags alone, try the student on a graph again.

    Exit code 1 when the student missed what the demo promises.
    """
    from mbpl_control.demo.offline import run_offline_demo

    if not run_offline_demo(task, output, seed=seed, iterations=iterations):
        raise typer.Exit(1)


def main() -> None:
    """Run the command; an error of mbpl is one readable line and exit code 2."""
    try:
        app(args=spread(sys.argv[1:]))
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
