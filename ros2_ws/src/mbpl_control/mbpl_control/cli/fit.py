"""`mbpl fit`: local dynamics and the next controllers, from bags alone."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mbpl_control.core.errors import InvalidFieldError

if TYPE_CHECKING:
    from mbpl_control.learning.offline import OfflineStep
    from mbpl_control.tasks.task import Task


def fit(
    bags: Annotated[Path, typer.Option("--bags", help="Directory of the bags; all below it are read.")],
    task: Annotated[str, typer.Option("--task", "-t", help="Name of the task, or path of its YAML.")],
    output: Annotated[Path, typer.Option(help="New directory of the run.")],
    seed: Annotated[int, typer.Option(help="Of the run, for going on with it.", min=0)] = 0,
    iterations: Annotated[
        int | None, typer.Option(help="Iterations the run shall have when it goes on; those of the bags unless given.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of the longer prediction that tells how good a fit is.")] = 10,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Fit local dynamics to recorded trials, and make the next controllers, as the learner would have.

    What comes out is a run: `mbpl trial --controller` tries its controllers, `mbpl train --resume` goes on with it.
    """
    from mbpl_control.agents.worker import one_thread
    from mbpl_control.bags.recorded import find_bags, read_all
    from mbpl_control.cli.progress import progress_bar
    from mbpl_control.learning.lqr_flm import METHOD, LqrFlm
    from mbpl_control.learning.offline import iterations_of, learn_offline
    from mbpl_control.learning.registry import build_learner
    from mbpl_control.runs.beginning import new_run
    from mbpl_control.runs.report import write_report
    from mbpl_control.tasks import load_task

    loaded = load_task(task)
    if not 2 <= steps <= loaded.horizon:
        raise InvalidFieldError("mbpl fit", "--steps", str(steps), f"in 2 .. {loaded.horizon}, the horizon")
    paths = find_bags(bags)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    with progress_bar(console) as tell, one_thread():
        aborted: list[str] = []
        recorded = read_all(
            paths,
            loaded,
            lambda done, total: tell("reading bags", done, total),
            lambda path, why: aborted.append(f"{path}: left out: {why}"),
        )
        found, left = iterations_of(recorded, loaded)
        left = aborted + left
        most = max(sum(t.condition == c for t in it.trials) for it in found for c in it.laws)
        samples = None if most < 2 else most
        directory = new_run(
            METHOD,
            task,
            agent="ros",
            seed=seed,
            iterations=max(len(found), iterations or 0),
            samples=samples,
            variant=None,
            output=output,
        )
        learner = build_learner(METHOD, loaded, seed, directory.description.iterations, samples)
        assert isinstance(learner, LqrFlm)  # noqa: S101 - by its method
        directory.begin()
        rows: list[dict[str, Any]] = []

        def keep(step: OfflineStep) -> None:
            directory.save_iteration(learner, step.report, step.trials, step.evaluation)
            rows.append(_row(loaded, step))
            tell("fitting", len(rows), len(found))

        tell("fitting", 0, len(found))
        with directory.locked():
            learn_offline(learner, found, (1, steps), keep)
        write_report(directory)
    controllers = directory.iterations()[-1].learner / "controllers"
    outcome = {
        "run": str(directory.path),
        "task": loaded.name,
        "iterations": rows,
        "left_out": left,
        "controllers": sorted(str(path) for path in controllers.glob("*.npz")),
    }
    if json:
        print(jsonlib.dumps(outcome, allow_nan=False))
        return
    _show(outcome, Console(soft_wrap=True, highlight=False))


def _row(task: Task, step: OfflineStep) -> dict[str, Any]:
    """An iteration as JSON data; NaN is None."""
    conditions = []
    for row in step.report.rows:
        plain = {key: _plain(value) for key, value in row.items()}
        errors = [
            {"steps": e.steps, "error": e.error.tolist(), "motion": e.motion.tolist()}
            for e in step.quality.get(int(row["condition"]), [])
        ]
        conditions.append({**plain, "predictions": errors})
    return {
        "iteration": step.report.iteration,
        "trials": len(step.trials),
        "labels": list(task.state.labels()),
        "conditions": conditions,
        "events": list(step.report.events),
        "notes": list(step.notes),
    }


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _show(outcome: dict[str, Any], console: Console) -> None:
    """A line an iteration and start, the last fit number by number, and what to do next."""
    table = Table("iteration", "start", "cost", "success", "kl", "eta", "rank", "next cost, predicted")
    for iteration in outcome["iterations"]:
        for row in iteration["conditions"]:
            cells = ("–" if row[k] is None else f"{row[k]:.4g}" for k in ("cost", "success", "kl", "eta"))
            expected = row["predicted_cost"]
            table.add_row(
                str(iteration["iteration"]),
                str(row["condition"]),
                *cells,
                str(row["rank"]),
                "–" if expected is None else f"{expected:.4g}",
            )
    console.print(table)
    last = outcome["iterations"][-1]
    told = [row["predictions"] for row in last["conditions"] if row["predictions"]]
    if told:
        long = told[0][1]["steps"]
        quality = Table("state", "1 step, % of motion", f"{long} steps, % of motion")
        shares = np.array([[np.divide(e["error"], np.maximum(e["motion"], 1e-300)) for e in errors] for errors in told])
        mean = 100.0 * shares.mean(axis=0)
        for i, label in enumerate(last["labels"]):
            quality.add_row(escape(label), f"{mean[0, i]:.2g}", f"{mean[1, i]:.2g}")
        quality.title = f"trials left out of the last fits, root mean square, mean over {len(told)} starts"
        console.print(quality)
    else:
        console.print("[yellow]how good the fits are is not known: no start has three trials of one law[/]")
    for text in [*outcome["left_out"], *(n for it in outcome["iterations"] for n in (*it["notes"], *it["events"]))]:
        console.print(f"[yellow]{escape(text)}[/]")
    console.print("the next controllers to try:")
    for path in outcome["controllers"]:
        console.print(f"  mbpl trial --controller {escape(path)}")
