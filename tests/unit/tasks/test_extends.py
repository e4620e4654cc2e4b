"""A task file that extends another."""

from __future__ import annotations

import pytest

from mbpl_control.core import TaskError
from mbpl_control.tasks import load_task

CHILD = """\
extends: {base}
description: Reach further.
planner: {{initial_noise: 0.1}}
"""


def test_it_has_the_keys_of_the_other_file_and_its_own_in_their_place(write_task, task_text: str) -> None:
    base = load_task(write_task("name: first\n" + task_text, name="base.yaml"))
    child = load_task(write_task(CHILD.format(base="base.yaml"), name="child.yaml"))
    assert (child.name, child.description, child.horizon) == ("child", "Reach further.", 30)
    # the whole of a key, and not some of it
    assert (base.planner.max_iterations, child.planner.max_iterations) == (50, 300)
    assert [c.name for c in child.conditions] == [c.name for c in base.conditions]
    # through a file between them
    third = load_task(write_task("extends: child.yaml\nhorizon: 12\n", name="third.yaml"))
    assert (third.horizon, third.planner.initial_noise) == (12, 0.1)


def test_it_is_the_task_that_one_file_with_all_of_its_keys_would_be(write_task, task_text: str) -> None:
    write_task(task_text, name="base.yaml")
    child = load_task(write_task("extends: base.yaml\nhorizon: 12\n", name="child.yaml"))
    whole = load_task(write_task(task_text.replace("horizon: 30", "horizon: 12"), name="whole.yaml"))
    assert child.hash == whole.hash


def test_the_robots_file_is_found_from_where_its_key_stands(write_task, task_text: str, tmp_path) -> None:
    base = write_task(task_text, name="base.yaml")
    below = tmp_path / "variants"
    below.mkdir()
    (below / "child.yaml").write_text(f"extends: ../{base.name}\nhorizon: 12\n")
    assert load_task(below / "child.yaml").robot.path.resolve() == (tmp_path / "arm.xml").resolve()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: bas.yaml\n", r"child\.yaml:1: extends: file '.*bas\.yaml' does not exist"),
        ("horizon: 4\nextends: child.yaml\n", r"child\.yaml:2: extends: 'child\.yaml' leads back to itself"),
        ("horizon: 4\nextends: [base.yaml]\n", r"child\.yaml:2: extends: .*string"),
        ("extends: base.yaml\nhorizon: 0\n", r"child\.yaml:2: horizon: found 0"),
        ("extends: base.yaml\nsuccess: {frame: tipp, within: 0.1}\n", r"child\.yaml:2: success\.frame: .*'tipp'"),
        # what does not fit any more stands in the other file
        ("extends: base.yaml\nhorizon: 1\n", r"base\.yaml:20: success\.over_last: found 3; must be at most 2"),
    ],
)
def test_an_error_names_the_file_and_line_that_the_key_stands_in(
    write_task, task_text: str, text: str, message: str
) -> None:
    write_task(task_text, name="base.yaml")
    with pytest.raises(TaskError, match=message):
        load_task(write_task(text, name="child.yaml"))
