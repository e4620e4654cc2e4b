"""Methods side by side: what is counted, and the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mbpl_control.core import FileFormatError, RefusedError, Trial
from mbpl_control.learning.learner import IterationReport
from mbpl_control.mbrl.evaluation import Evaluation, solved_by
from mbpl_control.runs.comparison import method_row, write_comparison
from mbpl_control.runs.curves import Curve, step_curves, training_curve
from mbpl_control.runs.step_run import StepRun, StepRunDescription


def judged(steps: int, *successes: bool, value: float = -1.0) -> Evaluation:
    return Evaluation(steps, 0.1 * steps, tuple(value for _ in successes), tuple(successes))


def test_solved_is_the_third_evaluation_in_a_row_without_a_failure() -> None:
    row = [judged(10, True), judged(20, True), judged(30, False), *(judged(10 * k, True, True) for k in range(4, 8))]
    found = solved_by(row, float("nan"))
    assert found is not None and found.steps == 60
    assert solved_by(row[:5], float("nan")) is None
    # one start of two that fails is a failure, and returns count only where there is no rule
    assert solved_by([judged(k, True, False) for k in range(9)], -10.0) is None
    assert solved_by([Evaluation(k, 0.0, (5.0, 7.0)) for k in range(3)], 6.0).steps == 2  # type: ignore[union-attr]
    assert solved_by([Evaluation(k, 0.0, (5.0, 7.0)) for k in range(3)], float("nan")) is None


class Iterated:
    """A run of iterations with these trials."""

    def __init__(self, iterations: list[tuple[list[Trial], list[Trial], float]]) -> None:
        self.description = type("Description", (), {"method": "lqr_flm", "seed": 4})
        self._saved = iterations

    def iterations(self) -> list[Any]:
        return [
            type(
                "Saved",
                (),
                {
                    "report": IterationReport(k + 1, ({},), (), {"trials": seconds}),
                    "trials": lambda self, trials=learned: trials,
                    "evaluation": lambda self, trials=shown: trials,
                },
            )()
            for k, (learned, shown, seconds) in enumerate(self._saved)
        ]


def test_trials_of_an_iteration_judge_what_the_ones_before_it_came_to(make_trial) -> None:
    def trial(condition: int, cost: float, success: bool = False, stop: str = "completed") -> Trial:
        costs = np.append(np.zeros(5), cost)
        return make_trial(steps=5, condition=condition, costs=costs, success=success, stop_reason=stop)

    learned = [trial(c, 1.0) for c in (0, 0, 1)]
    # start 7 is held out: nothing is learned from it
    first = [trial(0, 9.0), trial(1, 5.0), trial(7, 99.0)]
    second = [trial(0, 4.0, True), trial(1, 2.0, stop="aborted: it fell")]
    last = [trial(0, 1.0, True), trial(1, 1.5, True)]
    directory = Iterated([(learned, first, 2.0), (learned, second, 3.0)])
    curve = training_curve(directory, last)  # type: ignore[arg-type]
    assert (curve.method, curve.seed) == ("lqr_flm", 4)
    assert [each.steps for each in curve.evaluations] == [0, 15, 30]
    assert [each.seconds for each in curve.evaluations] == [0.0, 2.0, 5.0]
    assert curve.evaluations[0].returns == (-9.0, -5.0)
    assert curve.evaluations[1].returns[0] == -4.0 and np.isnan(curve.evaluations[1].returns[1])
    assert curve.evaluations[1].successes == (True, False)
    assert curve.evaluations[2].successes == (True, True)


ABOUT = StepRunDescription("sac", "gym:Pendulum-v1", "Pendulum-v1", "", 100, 5, 1, [0, 9], started="today")


def test_evaluations_are_read_as_they_were_kept_and_a_broken_file_is_named(tmp_path: Path) -> None:
    run = StepRun.new(tmp_path / "run", ABOUT)
    run.begin()
    mine = {
        0: [judged(10, True, False, value=-0.1), judged(20, True, True, value=-1e-300)],
        9: [Evaluation(7, 2.5, (3.0,))],
    }
    for seed, evaluations in mine.items():
        run.save_evaluations(seed, evaluations)
    again = StepRun.open(tmp_path / "run")
    assert again.description == ABOUT
    assert {seed: again.evaluations(seed) for seed in (0, 9)} == mine
    assert again.left == [0, 9]
    run.finish(9, None, "it has none")
    assert again.left == [0]
    assert [(c.seed, c.note) for c in step_curves(again)] == [(0, "not finished"), (9, "it has none")]
    again.write_tables()
    lines = (tmp_path / "run" / "evaluations.csv").read_text().splitlines()
    assert len(lines) == 6 and lines[-1] == "9,1,7,2.5,0,3,"
    with pytest.raises(RefusedError, match="holds a run; nothing was changed. to go on with it: mbpl train --resume"):
        StepRun.new(tmp_path / "run", ABOUT)
    (tmp_path / "run" / "seeds" / "0" / "evaluations.parquet").write_bytes(b"PAR1")
    with pytest.raises(FileFormatError, match="evaluations.parquet: cannot be read"):
        again.evaluations(0)
    (tmp_path / "run" / "steps.yaml").write_text("schema: 1\nmethod: sac\n")
    with pytest.raises(FileFormatError, match=r"steps.yaml: commit, episodes, every, .* missing, unknown"):
        StepRun.open(tmp_path / "run")


def falling(method: str, seed: int, solved: bool = True) -> Curve:
    """A cost that falls from 1000 to 1, with success in the end."""
    row = [judged(100 * k, solved and k > 6, solved and k > 5, value=-1000.0 / (1 + k) ** 3) for k in range(11)]
    return Curve(method, seed, row, "" if solved else "the method has no policy to keep")


def test_a_row_has_a_figure_for_every_seed_and_a_dash_where_it_was_not_solved() -> None:
    row = method_row("sac", [falling("sac", 0), falling("sac", 1, solved=False)], float("nan"))
    assert (row.seeds, row.solved_steps, row.solved_seconds) == (["0", "1"], ["900", "–"], ["90.0", "–"])
    assert row.success == ["100 %", "0 %"] and row.last == ["-0.7513", "-0.7513"]
    assert row.notes == ["seed 1: the method has no policy to keep"]


METHODS = ("lqr_flm", "gps", "mpc_icem", "sac", "mbpo")


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page of five methods with two seeds each."""
    curves = [falling(name, seed, name != "gps") for name in METHODS for seed in (0, 1)]
    facts = {"command": "mbpl compare", "started": "today", "task": "<somewhere>/made.yaml"}
    return write_comparison(tmp_path / "report.html", "Methods on made", curves, float("nan"), facts)


def test_the_page_stands_alone_and_names_every_method_and_seed(page: Path, Page: Any) -> None:
    text = page.read_text(encoding="utf-8")
    told = Page(text)
    assert told.open == [] and len(set(told.ids)) == len(told.ids)
    keys = ["table", "steps", "time", "success", "seeds", "versions"]
    assert [i for i in told.ids if i in keys] == keys
    assert not {"script", "link", "img", "iframe", "object"} & set(told.tags)
    for name in METHODS:
        assert f"<td>{name}</td>" in text and f">{name}<" in text
    assert "900 · 900" in text and "– · –" in text
    assert "gps: the method has no policy to keep." in text
    assert "cost = −return; better is up" in text and "&lt;somewhere&gt;" in text


def test_returns_of_both_signs_are_drawn_as_they_are(tmp_path: Path) -> None:
    up = [Evaluation(k, 1.0 * k, (-5.0 + k, -4.0 + k)) for k in range(11)]
    text = write_comparison(
        tmp_path / "r.html", "Up", [Curve("sac", 0, up)], 5.0, {"command": "", "started": ""}
    ).read_text()
    assert "better is up" not in text and "a mean return of at least 5" in text
    assert 'id="success"' not in text and "success at the end" not in text


def test_a_page_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="nothing was judged yet"):
        write_comparison(tmp_path / "r.html", "None", [], 0.0, {})
