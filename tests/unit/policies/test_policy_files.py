"""Checkpoints: all of a policy, whole or refused, and never a pickle."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mbpl_control.core import FileFormatError, MbplError
from mbpl_control.policies import GaussianPolicy
from mbpl_control.policies.training import AdamTrainer, NaturalGradientTrainer

TRAINERS = [AdamTrainer(5, batch_size=8), NaturalGradientTrainer(2)]


@pytest.fixture(params=TRAINERS, ids=lambda trainer: trainer.name)
def trained(request, make_policy, make_targets) -> GaussianPolicy:
    policy = make_policy(covariance="state_dependent", activation="relu")
    request.param.train(policy, make_targets(policy), seed=3)
    return policy


def rewrite(path: Path, header: dict[str, Any] | None = None, arrays: dict[str, np.ndarray] | None = None) -> None:
    """Change some entries of a file."""
    with np.load(path) as data:
        content = {name: data[name] for name in data.files}
    old = json.loads(content.pop("mbpl_header").tobytes())
    text = np.frombuffer(json.dumps({**old, **(header or {})}).encode(), dtype=np.uint8)
    np.savez_compressed(path, mbpl_header=text, **{**content, **(arrays or {})})


def test_what_was_saved_is_loaded_bit_for_bit(trained: GaussianPolicy, tmp_path: Path) -> None:
    again = GaussianPolicy.load(trained.save(tmp_path / "policy.npz"))
    before, after = trained.to_state(), again.to_state()
    assert before["header"] == after["header"]
    assert before["header"]["report"]["trainer"] == trained.report.trainer
    for name, array in before["arrays"].items():
        assert array.tobytes() == after["arrays"][name].tobytes(), name
    assert (again.observation, again.action) == (trained.observation, trained.action)
    assert (again.task, again.task_hash, again.trainings) == ("reach", "abc", 1)
    o = np.random.default_rng(0).normal(size=(6, 4))
    for here, there in zip(trained.distribution(o), again.distribution(o), strict=True):
        assert here.tobytes() == there.tobytes()


def test_every_truncation_and_any_flipped_byte_is_an_error_that_names_the_file_or_harmless(
    trained: GaussianPolicy, tmp_path: Path
) -> None:
    path = trained.save(tmp_path / "policy.npz")
    content = path.read_bytes()
    for length in (*range(0, len(content), len(content) // 25), len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(FileFormatError, match=r"policy\.npz"):
            GaussianPolicy.load(path)
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.integers(0, len(content), 60):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            GaussianPolicy.load(path)
        except FileFormatError:
            refused += 1
    assert refused > 30


@pytest.mark.parametrize(
    ("header", "arrays"),
    [
        ({"kind": "trial"}, {}),
        ({"schema_version": 99}, {}),
        ({"action": {"actuator_names": ["a"]}}, {}),
        ({"architecture": {"hidden": [7, 5], "activation": "sine"}}, {}),
        ({"architecture": 3}, {}),
        ({"dt": "soon"}, {}),
        ({"seed": -1}, {}),
        ({"report": {"trainer": "adam"}}, {}),
        ({"report": [1]}, {}),
        ({}, {"parameters": np.zeros(3)}),
        ({}, {"feature_scale": np.zeros(5)}),
        ({}, {"covariance": -np.eye(2)}),
        ({}, {"moments": np.ones((2, 1))}),
        ({}, {"action_scale": np.array(["a", "b"])}),
    ],
)
def test_a_file_whose_content_is_no_policy_is_refused(trained: GaussianPolicy, tmp_path, header, arrays) -> None:
    path = trained.save(tmp_path / "policy.npz")
    rewrite(path, header, arrays)
    with pytest.raises(FileFormatError, match=r"policy\.npz"):
        GaussianPolicy.load(path)


def test_another_kind_of_file_and_a_missing_one_are_refused(make_controller, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="linear_gaussian_controller"):
        GaussianPolicy.load(make_controller().save(tmp_path / "law.npz"))
    with pytest.raises(FileFormatError, match="no such file"):
        GaussianPolicy.load(tmp_path / "none.npz")


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


def test_a_pickle_in_a_file_is_never_executed(trained: GaussianPolicy, tmp_path: Path) -> None:
    trap = tmp_path / "exploded"
    path = trained.save(tmp_path / "policy.npz")
    rewrite(path, arrays={"parameters": np.array([Bomb(trap)], dtype=object)})
    with pytest.raises(MbplError):
        GaussianPolicy.load(path)
    path.write_bytes(pickle.dumps(Bomb(trap)))
    with pytest.raises(MbplError):
        GaussianPolicy.load(path)
    assert not trap.exists()


def test_a_policy_is_loaded_and_executed_without_torch(trained: GaussianPolicy, tmp_path: Path) -> None:
    path = trained.save(tmp_path / "policy.npz")
    program = (
        "import sys, numpy as np\n"
        "from mbpl_control.policies import GaussianPolicy\n"
        f"mean, jacobian, covariance = GaussianPolicy.load({str(path)!r}).linearize(np.zeros(4))\n"
        "print(jacobian.shape, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split("\n")[0] == "(2, 4) False", done.stderr
