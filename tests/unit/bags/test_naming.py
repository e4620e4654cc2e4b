"""Where bags go, and where they cannot be made to go."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbpl_control.bags.naming import bag_name, bag_path
from mbpl_control.core import BagError


@pytest.mark.parametrize("task", ["../../etc/cron.d/x", "/etc/passwd", "a\0b", "..", "a/b\\c", "ä ö"])
def test_a_name_made_of_metadata_is_one_component_that_hides_nowhere(task: str) -> None:
    name = bag_name({"task": task, "controller": "../x", "condition": 0})
    assert Path(name).name == name
    assert not name.startswith(".")
    assert name.isascii() and name.isprintable()


def test_a_name_made_of_metadata_begins_with_task_controller_and_condition() -> None:
    assert bag_name({"task": "arm_reach", "controller": "lqr_flm", "condition": 2}).startswith("arm_reach-lqr_flm-2-20")


@pytest.mark.parametrize("path", ["../out", "a/../../out", "/etc/out", "link/out", ".", ""])
def test_no_path_leaves_the_root(path: str, tmp_path: Path) -> None:
    root = tmp_path / "bags"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    directory = "bags" if path else "../elsewhere"
    with pytest.raises(BagError, match=r"writes below .*bags only \(parameter 'root'\)"):
        bag_path(path, directory, str(root), {})


def test_below_the_root_every_path_is_what_was_asked_for(tmp_path: Path) -> None:
    assert bag_path("day/one", "bags", str(tmp_path), {}) == tmp_path.resolve() / "day/one"
    assert bag_path(str(tmp_path / "two"), "bags", str(tmp_path), {}) == tmp_path.resolve() / "two"
    assert bag_path("", "bags", str(tmp_path), {"task": "t"}).parent == tmp_path.resolve() / "bags"


def test_without_a_root_a_path_is_taken_as_it_is() -> None:
    assert bag_path("../out", "bags", "", {}) == Path("../out")
