"""Promises are kept or missed by figures, and every way of missing one is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from mbpl_control.demo.program import FEEDBACK, LEARNED, OPEN_LOOP, POLICY, SAMPLED
from mbpl_control.demo.records import BagCheck, DemoResult, Promise, SwapRecord, TrialRecord
from mbpl_control.demo.summary import as_json, judge, promise_lines, rows, terminal_table

Change = Callable[[str, str, float], tuple[TrialRecord, ...]]


def missed(promises: tuple[Promise, ...]) -> list[str]:
    return [p.text for p in promises if not p.kept]


def judged(result: DemoResult, **changes: object) -> tuple[Promise, ...]:
    changed = replace(result, **changes)  # type: ignore[arg-type]
    return judge(changed.trials, changed.swaps, changed.bags, 0.01, (0, 1, 2, 3))


def test_a_run_in_which_all_went_well_keeps_every_promise(result: DemoResult) -> None:
    assert len(result.promises) == 8
    assert result.kept


@pytest.mark.parametrize(
    ("controller", "world", "final", "words"),
    [
        (FEEDBACK, "none", 0.0101, "within 10 mm of the target, undisturbed"),
        (SAMPLED, "none", 0.0101, "within 10 mm of the target, undisturbed"),
        (FEEDBACK, "push", 0.0201, "within 20 mm of the target, pushed"),
        (SAMPLED, "model error", 0.0201, "within 20 mm of the target, with the model error"),
        (LEARNED, "none", 0.0201, "the controller learned without a model ends within 20 mm"),
        (POLICY, "none", 0.0201, "the policy learned without a model ends within 20 mm"),
        (OPEN_LOOP, "push", 0.0399, "open loop ends more than 40 mm away, pushed"),
    ],
)
def test_a_distance_on_the_wrong_side_of_its_bound_misses_that_promise_and_no_other(
    result: DemoResult, worse: Change, controller: str, world: str, final: float, words: str
) -> None:
    (text,) = missed(judged(result, trials=worse(controller, world, final)))
    assert words in text


def test_the_policy_may_end_anywhere_from_starts_that_nothing_was_learned_from(result: DemoResult) -> None:
    far = tuple(
        replace(t, distances=np.append(t.distances[:-1], 0.5))
        if t.spec.controller == POLICY and t.spec.condition > 3
        else t
        for t in result.trials
    )
    assert far != result.trials
    assert not missed(judged(result, trials=far))


def test_a_demo_without_the_part_that_learns_promises_nothing_of_it(result: DemoResult) -> None:
    planned = tuple(t for t in result.trials if t.spec.file is None)
    promises = judged(result, trials=planned, swaps=result.swaps[:1], learned=None)
    assert len(promises) == 6
    assert not missed(promises)
    assert as_json(replace(result, trials=planned, learned=None))["learned"] is None


def test_a_jump_at_a_swap_above_five_percent_misses_its_promise(result: DemoResult, swap_run: SwapRecord) -> None:
    commands = swap_run.commands.copy()
    commands[100:] += 0.051 * 90.0
    jumped = replace(swap_run, commands=commands)
    assert jumped.largest_jump == pytest.approx(0.051, abs=0.002)
    (text,) = missed(judged(result, swaps=(jumped,)))
    assert "at a swap" in text


def test_a_bag_that_cannot_be_read_misses_its_promise_and_is_named(result: DemoResult) -> None:
    broken = BagCheck(result.bags[0].path, 0, "mcap: it is torn")
    promises = judged(result, bags=(broken, *result.bags[1:]))
    (promise,) = [p for p in promises if not p.kept]
    assert "it is torn" in promise.found
    assert broken.path.name in promise.found


def test_the_table_has_a_row_for_each_trial_and_each_run_with_swaps(result: DemoResult) -> None:
    table_rows = rows(result, 0.01)
    assert len(table_rows) == len(result.trials) + len(result.swaps)
    assert [r.verdict for r in table_rows[:2]] == ["bad", "good"]
    assert table_rows[1].cells[:5] == ("arm_reach", "ilqr_feedback", "none", "0", "2.0 mm")
    assert table_rows[-2].cells[1] == "hold → ilqr_open_loop → ilqr_feedback → ilqr_mpc → hold"
    assert table_rows[-1].cells[1] == "hold → learned_0 → neural_policy → hold"


def test_the_table_of_the_terminal_fits_eighty_columns_without_cutting_a_word(result: DemoResult) -> None:
    console = Console(width=80, record=True)
    console.print(terminal_table(rows(result, 0.01)))
    text = console.export_text()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    (row,) = [line for line in text.splitlines() if "sampled, seed 3" in line]
    assert row.split() == "arm_reach sampled, seed 3 none 2.0 mm 91.5 0 –".split()
    for words in ("push 39 N", "mass +20 %", "300.0 mm", "deadline", "misses", "jump at"):
        assert words in text


def test_a_line_for_a_promise_says_what_was_promised_and_what_was_found(result: DemoResult) -> None:
    assert promise_lines([Promise("it flies", "3 m", False)]) == ["[red]✗[/] it flies: [bold]3 m[/]"]
    assert all(line.startswith("[green]✓[/]") for line in promise_lines(result.promises))


def test_the_summary_is_plain_json_and_tells_the_same_figures(result: DemoResult) -> None:
    data = json.loads(json.dumps(as_json(result)))
    assert data["kept"] is True
    assert data["trials"][1]["final_distance"] == pytest.approx(0.002)
    assert data["latency_ms"]["p50"] == pytest.approx(1.5)
    assert data["swaps"][0]["largest_jump"] == pytest.approx(result.swaps[0].largest_jump)
    assert data["learned"]["cost"] == [9000.0, 120.0]
    # every sampled trial of this outcome is the mean law's trial
    assert data["inside_two_sigma"] == 1.0
    assert np.isfinite(data["seconds"])
