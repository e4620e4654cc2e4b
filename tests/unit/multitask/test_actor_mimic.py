"""Actor-Mimic: what its loss is, and that one network comes to do what several do."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array
from mbpl_control.multitask.actor_mimic import ActorMimicOptions, Guidance, actor_mimic, mimic_loss, transferred
from mbpl_control.multitask.natural_policy_gradient import first_policy
from mbpl_control.multitask.pendulum import pendulum
from mbpl_control.multitask.two_link import two_link_reacher
from mbpl_control.policies import GaussianPolicy, PolicyArchitecture
from mbpl_control.policies.network import PolicyNetwork, gaussian_kl

PROBLEMS = (pendulum(0.6), pendulum(1.0))
SMALL = PolicyArchitecture((8,), activation="tanh", covariance="state_dependent")
STUDENT = PolicyArchitecture((24, 24), activation="tanh", covariance="state_dependent")


def teacher(mass_index: int) -> GaussianPolicy:
    """A network that does something, and something else for each task."""
    policy = first_policy(PROBLEMS[mass_index], SMALL, 0.2, seed=mass_index)
    noise = np.random.default_rng(mass_index).normal(size=policy.parameters.size)
    policy.assign(policy.parameters + 0.3 * noise, policy.covariance)
    return policy


def states(count: int, mass: float) -> Array:
    rng = np.random.default_rng(0)
    return np.column_stack([rng.uniform(2.0, 4.0, count), rng.normal(size=count), np.full(count, mass)])


def test_the_loss_is_the_kl_of_one_dimensional_gaussians_and_the_error_of_the_features() -> None:
    first, second = teacher(0), teacher(1)
    x = states(7, 0.6)
    network = PolicyNetwork(second)
    layers = network.layers(torch.tensor(second.parameters))
    inputs = torch.from_numpy(second.standardise(x))
    rng = np.random.default_rng(1)
    weights, bias = rng.normal(size=(8, 8)), rng.normal(size=8)
    kl, features = mimic_loss(
        network, layers, inputs, Guidance.of(first, x), [torch.tensor(weights), torch.tensor(bias)]
    )
    (m1, c1), (m2, c2) = first.distribution(x), second.distribution(x)
    v1, v2 = c1[:, 0], c2[:, 0]
    expected = 0.5 * (v1 / v2 + (m1 - m2) ** 2 / v2 - 1.0 + np.log(v2 / v1))
    assert float(kl) == pytest.approx(expected.mean())
    hidden = [
        np.tanh(p.standardise(x) @ p.parameters[: 8 * 4].reshape(8, 4).T + p.parameters[32:40]) for p in (first, second)
    ]
    assert float(features) == pytest.approx(np.mean((hidden[1] @ weights.T + bias - hidden[0]) ** 2))


def test_a_student_that_is_its_teacher_is_short_of_nothing() -> None:
    one, x = teacher(0), states(5, 0.6)
    network = PolicyNetwork(one)
    inputs = torch.from_numpy(one.standardise(x))
    readout = [torch.eye(8).double(), torch.zeros(8).double()]
    kl, features = mimic_loss(
        network, network.layers(torch.tensor(one.parameters)), inputs, Guidance.of(one, x), readout
    )
    assert float(kl) == pytest.approx(0.0, abs=1e-12)
    assert float(features) == pytest.approx(0.0, abs=1e-20)


def test_one_network_comes_to_do_and_to_see_what_two_did() -> None:
    teachers = [teacher(0), teacher(1)]
    told = {}
    for weight in (0.0, 1.0):
        student = PROBLEMS[0].new_policy(STUDENT, seed=3)
        options = ActorMimicOptions(features=weight, rounds=2, episodes=4, iterations=300)
        told[weight] = actor_mimic(PROBLEMS, teachers, student, options, seed=3)
    # nats: a tenth of what the teachers themselves differ by is as good as agreement
    x = states(200, 0.6)
    parts = [torch.from_numpy(part) for one in teachers for part in one.distribution(x)]
    apart = float(gaussian_kl(parts[0], parts[1].sqrt(), parts[2], parts[3].sqrt()).mean())
    assert max(told[0.0][-1][0], told[1.0][-1][0]) < 0.1 * apart
    # features of tanh lie within ±1; without the regression the maps stay zero and predict none
    assert told[1.0][-1][1] < 0.05 < 0.2 * told[0.0][-1][1]


def test_the_same_seed_gives_the_same_student() -> None:
    found = []
    for _ in range(2):
        student = PROBLEMS[0].new_policy(SMALL, seed=5)
        actor_mimic(
            PROBLEMS, [teacher(0), teacher(1)], student, ActorMimicOptions(rounds=2, episodes=2, iterations=20), 5
        )
        found.append(student.hash)
    assert found[0] == found[1]


def test_a_new_task_begins_with_what_the_student_does_or_with_what_it_sees() -> None:
    student = teacher(0)
    before = copy.deepcopy(student)
    x = states(20, 1.0)
    kept = transferred(student, PROBLEMS[1], 0.5)
    np.testing.assert_array_equal(kept.means(x), student.means(x))
    np.testing.assert_allclose(kept.distribution(x)[1], 7.5**2)
    assert kept.task == PROBLEMS[1].name
    fresh = transferred(student, PROBLEMS[1], 0.5, new_last_layer_seed=1)
    assert np.abs(fresh.means(x)).max() < 0.1 * np.abs(student.means(x)).max()
    np.testing.assert_array_equal(Guidance.of(fresh, x).hidden, Guidance.of(student, x).hidden)
    assert student.hash == before.hash


def test_tasks_without_a_teacher_and_teachers_of_something_else_are_refused() -> None:
    student = PROBLEMS[0].new_policy(SMALL, seed=0)
    with pytest.raises(InvalidFieldError, match="found 1 of 2 tasks; must be one of each"):
        actor_mimic(PROBLEMS, [teacher(0)], student, ActorMimicOptions(), 0)
    with pytest.raises(InvalidFieldError, match="sees or drives something else than 'two-link reacher'"):
        actor_mimic([two_link_reacher()], [teacher(0)], student, ActorMimicOptions(), 0)
    with pytest.raises(InvalidFieldError, match="features: found -1"):
        ActorMimicOptions(features=-1.0)
