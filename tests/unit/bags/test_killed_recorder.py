"""A recorder that is killed loses the last second at most, and nothing of what it closed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from killing import kill_recorder


@pytest.mark.parametrize("seed", range(3))
def test_a_recorder_killed_at_a_random_moment_loses_a_second_at_most(tmp_path: Path, seed: int) -> None:
    """`make bench-bags` does it twenty times."""
    left = kill_recorder(tmp_path / "bags", random.Random(seed))
    assert left.readable == left.closed
    assert 0.0 <= left.lost < 1.0
