"""A short soak: trials and swaps without a pause lose no node, no bag, and tell their figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).resolve().parents[2] / "bench/soak.py"


def test_trials_and_swaps_in_a_row_lose_no_node_and_no_bag(tmp_path: Path) -> None:
    command = [sys.executable, str(SOAK), "--minutes", "0.3", "--rate", "200", "--task", "reacher_2link"]
    # how fast and how regular it goes is the machine's doing; how long it takes to begin, too
    ended = subprocess.run(
        [*command, "--results", str(tmp_path)], capture_output=True, text=True, timeout=280.0, stdin=subprocess.DEVNULL
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads((tmp_path / "soak.json").read_text())
    figures = {row["name"]: row["value"] for row in told["rows"]}
    assert told["bench"] == "soak"
    assert figures["nodes that ended"] == 0
    assert figures["bags that cannot be read"] == 0, told["details"]["unreadable"]
    assert figures["bags recorded"] >= 1
    assert figures["trials completed"] + figures["trials cut short"] >= 1
    assert figures["swaps"] + figures["swaps refused"] >= 5
    nodes = ("mujoco_sim", "state_estimator", "controller_manager", "trial_runner", "bag_recorder", "ilqr_controller")
    for node in nodes:
        # a Python process with numpy and rclpy loaded, and a model: more than 10 MiB of its own, far below 1 GiB
        assert 10.0 < figures[f"{node}: memory at the end"] < 1024.0
