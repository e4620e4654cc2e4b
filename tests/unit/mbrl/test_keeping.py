"""Learned dynamics in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mbpl_control.core import archive
from mbpl_control.core.errors import DefinitionMismatchError, FileFormatError, InvalidFieldError
from mbpl_control.mbrl.ensemble import EnsembleDynamics, EnsembleOptions
from mbpl_control.mbrl.gymnasium_tasks import gymnasium_problem
from mbpl_control.mbrl.keeping import load_model, save_model
from mbpl_control.mbrl.learned_dynamics import LearnedDynamics, Transitions
from mbpl_control.mbrl.learned_model import LearnedModel
from mbpl_control.mbrl.mixture_dynamics import MixtureDynamics


def transitions(seed: int, count: int = 80) -> Transitions:
    rng = np.random.default_rng(seed)
    x, u = rng.normal(size=(count, 4)), rng.normal(size=(count, 1))
    return Transitions(x, u, 0.9 * x + 0.2 * np.sin(x[:, ::-1]) + 0.1 * u + 0.01 * rng.normal(size=(count, 4)))


def made(kind: str) -> LearnedDynamics:
    if kind == "mixture":
        return MixtureDynamics(4, 1, seed=0, clusters=3)
    return EnsembleDynamics(4, 1, seed=0, options=EnsembleOptions(members=2, hidden=(8, 4), steps=30))


@pytest.mark.parametrize("kind", ["mixture", "ensemble"])
@pytest.mark.parametrize("learned_before", [False, True])
def test_what_comes_back_from_a_file_goes_on_learning_the_same_to_the_last_bit(
    kind: str, learned_before: bool, tmp_path: Path
) -> None:
    stays = made(kind)
    if learned_before:
        stays.learn(transitions(0))
    model = LearnedModel.of(stays, gymnasium_problem("InvertedPendulum-v5"))
    back = load_model(save_model(model, tmp_path / "model.npz"))
    assert (back.state, back.action, back.dt) == (model.state, model.action, model.dt)
    x, u = np.random.default_rng(1).normal(size=(5, 4)), np.zeros((5, 1))
    for _ in range(2):
        if learned_before:
            for one, two in zip(stays.moments(x, u), back.learned.moments(x, u), strict=True):
                np.testing.assert_array_equal(one, two)
        stays.learn(transitions(2))
        back.learned.learn(transitions(2))
        learned_before = True


def test_a_file_that_is_none_or_does_not_fit_is_refused(tmp_path: Path) -> None:
    model = LearnedModel.of(made("ensemble"), gymnasium_problem("InvertedPendulum-v5"))
    with pytest.raises(FileFormatError, match="no such file"):
        load_model(tmp_path / "none.npz")
    path = save_model(model, tmp_path / "model.npz")
    header, arrays = archive.load(
        path, "learned_model", EnsembleDynamics.ARRAYS, ("learned", "options", "state", "action", "dt")
    )
    shared = {name: header[name] for name in ("learned", "options", "state", "action", "dt")}
    short = archive.save(tmp_path / "short", "learned_model", shared, {**arrays, "parameters": np.zeros(3)})
    with pytest.raises(InvalidFieldError, match="parameters"):
        load_model(short)
    other = archive.save(tmp_path / "other", "learned_model", {**shared, "learned": "tree"}, arrays)
    with pytest.raises(InvalidFieldError, match="one of ensemble, mixture"):
        load_model(other)
    empty = archive.save(tmp_path / "empty", "learned_model", {**shared, "options": {}}, arrays)
    with pytest.raises(FileFormatError, match="cannot be read"):
        load_model(empty)

    class Mine(MixtureDynamics):
        pass

    with pytest.raises(FileFormatError, match="no file keeps a Mine"):
        save_model(replace_dynamics(model, Mine(4, 1, seed=0)), tmp_path / "mine.npz")


def replace_dynamics(model: LearnedModel, learned: LearnedDynamics) -> LearnedModel:
    return LearnedModel(learned, model.state, model.action, model.dt)


def test_a_model_of_other_sizes_than_its_definitions_is_refused() -> None:
    problem = gymnasium_problem("InvertedPendulum-v5")
    with pytest.raises(DefinitionMismatchError, match="of 3 and 1 numbers; state and action have 4 and 1"):
        LearnedModel.of(MixtureDynamics(3, 1, seed=0), problem)
    with pytest.raises(InvalidFieldError, match="dt"):
        LearnedModel(MixtureDynamics(4, 1, seed=0), *definitions(), dt=0.0)


def definitions() -> tuple:  # type: ignore[type-arg]
    model = LearnedModel.of(made("mixture"), gymnasium_problem("InvertedPendulum-v5"))
    return model.state, model.action


def test_the_numpy_of_an_ensemble_is_the_network_that_torch_trains() -> None:
    model = EnsembleDynamics(4, 1, seed=3, options=EnsembleOptions(members=3, hidden=(16, 8), steps=50))
    data = transitions(4)
    model.learn(data)
    means, deviations = model.members(data.states, data.actions)
    inputs = torch.tensor(model._inputs(data.states, data.actions))
    with torch.no_grad():
        mu, log_variance = model._heads(inputs.expand(3, -1, -1))
    mean, scale = model._output
    linear = data.states + mean + inputs.numpy() @ model._linear
    np.testing.assert_allclose(means, linear + scale * mu.numpy(), rtol=1e-12, atol=1e-12)
    exact = np.exp(0.5 * log_variance.numpy()) * scale * np.sqrt(model.inflation)
    np.testing.assert_allclose(deviations, exact, rtol=1e-10)
