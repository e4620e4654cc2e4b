"""Python on the page about policies runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest


def test_the_comparison_and_the_execution_of_the_page_run(
    make_policy, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (repository / "docs" / "policies.md").read_text(encoding="utf-8")
    comparison, execution = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    shorter = comparison.replace("range(5)", "range(1)").replace("trainers.items()", "list(trainers.items())[:3:2]")
    exec(compile(shorter, "policies.md", "exec"), {})
    told = re.findall(r"^\| (.*?) \| (\S+) \| (\S+) \| \S+ \|$", capsys.readouterr().out, re.MULTILINE)
    rows = dict(re.findall(r"^\| ([^|\n]+) \| (0\.\d+) [\d. ]+ \|", text, re.MULTILINE))
    assert [name for name, _, _ in told] == ["Adam", "natural gradient"]
    for name, loss, _ in told:
        # rounding differs between machines, and the steps of training make much of it
        assert float(loss) == pytest.approx(float(rows[name]), rel=0.15), name
    path = make_policy().save(tmp_path / "policy.npz")
    exec(compile(execution.replace('"PATH"', f'"{path}"'), "policies.md", "exec"), {})
    difference = np.array(capsys.readouterr().out.strip(" []\n").split(), dtype=float)
    assert np.abs(difference).max() < 1e-3
