"""The whole demo, the part that learns included, as its user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from domain_coordinator import domain_id

pytestmark = pytest.mark.timeout(1800)  # s; a machine may be slow, and speed is a matter for bench/


def test_the_demo_learns_without_a_model_and_swaps_what_it_learned_in_motion(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with domain_id() as domain:
        done = subprocess.run(
            [sys.executable, "-m", "mbpl_control.cli.main", "demo", "--output", str(output)],
            env={**os.environ, "ROS_DOMAIN_ID": str(domain)},
            capture_output=True,
            text=True,
            timeout=1700.0,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((output / "summary.json").read_text())
    assert len(summary["trials"]) == 12 + 1 + 6
    assert summary["learned"]["cost"][-1] < 0.1 * summary["learned"]["cost"][0]
    swaps = {(s["before"], s["after"]) for run in summary["swaps"] for s in run["swaps"]}
    assert swaps >= {("hold", "learned_0"), ("learned_0", "neural_policy"), ("neural_policy", "hold")}
