"""The set-up: steps run once, continue after a failure, and say what failed."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from mbpl_setup.steps import Log, Runner, SetupError, Step


def recording(name: str, done: list[str], inputs: tuple[str, ...] = ("a",)) -> Step:
    return Step(name, name, inputs, lambda log: done.append(name))


def failing(name: str, script: str) -> Step:
    return Step(name, name, ["a"], lambda log: log.run([sys.executable, "-c", script]), "buy a disk")


def test_a_step_that_succeeded_does_not_run_again(tmp_path: Path) -> None:
    done: list[str] = []
    for _ in range(2):
        Runner(tmp_path).run([recording("one", done), recording("two", done)])
    assert done == ["one", "two"]


def test_only_the_step_whose_inputs_changed_runs_again(tmp_path: Path) -> None:
    done: list[str] = []
    Runner(tmp_path).run([recording("one", done), recording("two", done, ("before",))])
    Runner(tmp_path).run([recording("one", done), recording("two", done, ("after",))])
    assert done == ["one", "two", "two"]


def test_a_step_whose_product_was_removed_runs_again(tmp_path: Path) -> None:
    product = tmp_path / "install"
    steps = [Step("build", "build", ["a"], lambda log: product.mkdir(), product=product)]
    Runner(tmp_path / "state").run(steps)
    product.rmdir()
    Runner(tmp_path / "state").run(steps)
    assert product.is_dir()


def test_a_step_that_makes_all_others_due_has_them_run_in_the_same_go(tmp_path: Path) -> None:
    done: list[str] = []
    runner = Runner(tmp_path)
    runner.run([recording("venv", done), recording("libraries", done)])
    runner.run([Step("venv", "venv", ["new"], lambda log: runner.forget()), recording("libraries", done)])
    assert done == ["venv", "libraries", "libraries"]


def test_after_a_failure_the_set_up_continues_at_the_step_that_failed(tmp_path: Path) -> None:
    done: list[str] = []
    with pytest.raises(SetupError):
        Runner(tmp_path).run([recording("one", done), failing("two", "raise SystemExit(3)"), recording("three", done)])
    assert done == ["one"]
    Runner(tmp_path).run([recording("one", done), recording("two", done), recording("three", done)])
    assert done == ["one", "two", "three"]


def test_a_step_that_is_not_needed_tells_of_its_failure_lets_the_others_run_and_is_due_again(tmp_path, capsys) -> None:
    done: list[str] = []
    extra = replace(failing("kernels", "print('no space left'); raise SystemExit(3)"), needed=False)
    runner = Runner(tmp_path)
    assert runner.run([recording("one", done), extra, recording("two", done)])
    assert done == ["one", "two"] and not runner.done(extra)
    printed = capsys.readouterr()
    assert "[2/3] kernels: FAILED" in printed.out
    assert "no space left" in printed.err and "code 3" in printed.err and "What to do: buy a disk" in printed.err


def test_a_failure_names_the_step_the_exit_code_the_end_of_the_log_and_the_remedy(tmp_path: Path) -> None:
    script = "print('\\n'.join(f'line {i}.' for i in range(1000))); print('no space left'); raise SystemExit(3)"
    with pytest.raises(SetupError) as raised:
        Runner(tmp_path).run([failing("libraries", script)])
    message = str(raised.value)
    assert "'libraries' failed" in message
    assert "code 3" in message
    assert "no space left" in message
    assert "line 1." not in message
    assert str(tmp_path / "log" / "libraries.log") in message
    assert raised.value.remedy == "buy a disk"


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no-such-compiler"):
        Log(tmp_path / "log").run(["/usr/bin/no-such-compiler"])


def test_a_step_that_fails_after_it_once_succeeded_is_due_again(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    done: list[str] = []
    before = recording("one", done, ("before",))
    runner.run([before])
    with pytest.raises(SetupError):
        runner.run([failing("one", "raise SystemExit(1)")])
    assert not runner.done(before)
