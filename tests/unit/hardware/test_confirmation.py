"""A confirmation counts for what was confirmed, and for nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mbpl_control.hardware import Confirmation


def test_it_is_kept_beside_the_robot_file_until_that_changes(tmp_path: Path) -> None:
    path = tmp_path / "arm.yaml"
    first = Confirmation(path, "abc")
    assert not first.counts
    assert first.reason == "the joints of arm.yaml were never confirmed"
    assert str(tmp_path / "arm.yaml.confirmed") in first.give(["pan"])
    assert first.counts
    assert Confirmation(path, "abc").counts
    other = Confirmation(path, "def")
    assert not other.counts
    assert "another content" in other.reason and "abc" in other.reason
    first.revoke("checked anew")
    assert not first.counts
    assert not Confirmation(path, "abc").counts


def test_a_hash_that_is_given_counts_instead(tmp_path: Path) -> None:
    assert Confirmation(tmp_path / "arm.yaml", "abc", "abc").counts
    wrong = Confirmation(tmp_path / "arm.yaml", "abc", "def")
    assert not wrong.counts
    assert wrong.reason == "'confirmed' is def, this robot's hash is abc"


@pytest.mark.parametrize("content", ["", "[]", "{}", "nonsense", '{"hash": 3}', "[" * 100_000])
def test_a_file_that_is_no_confirmation_does_not_count(tmp_path: Path, content: str) -> None:
    (tmp_path / "arm.yaml.confirmed").write_text(content)
    assert not Confirmation(tmp_path / "arm.yaml", "abc").counts


def test_where_nothing_can_be_written_it_counts_until_the_bridge_ends(tmp_path: Path) -> None:
    confirmation = Confirmation(tmp_path / "gone" / "arm.yaml", "abc")
    assert "confirmed:=abc" in confirmation.give(["pan"])
    assert confirmation.counts
    assert not os.path.exists(confirmation.path)
