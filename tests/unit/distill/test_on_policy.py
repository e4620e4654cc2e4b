"""Teachers that are asked where a student goes."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array
from mbpl_control.distill.on_policy import OnPolicyOptions, distil_on_policy, hard, soft, together
from mbpl_control.multitask.natural_policy_gradient import first_policy
from mbpl_control.multitask.pendulum import pendulum
from mbpl_control.policies import GaussianPolicy, PolicyArchitecture, PolicyTargets
from mbpl_control.policies.training import AdamTrainer

PROBLEM = pendulum(0.7)
SMALL = PolicyArchitecture((8,), activation="tanh")


def feedback(states: Array) -> tuple[Array, Array]:
    """Unsure where it is far from hanging."""
    away = states[:, 0] - np.pi
    return -2.0 * away[:, None] - 0.5 * states[:, 1:2], (0.1 + away**2)[:, None, None]


def test_teachers_together_are_the_moments_of_their_mixture() -> None:
    members = [first_policy(PROBLEM, SMALL, std, seed) for seed, std in ((0, 0.1), (1, 0.3))]
    x = PROBLEM.starts(6, np.random.default_rng(0))
    (m1, c1), (m2, c2) = (member.distribution(x) for member in members)
    means, covariances = together(members, temperature=2.0)(x)
    np.testing.assert_allclose(means, 0.5 * (m1 + m2))
    away = 0.25 * (m1 - m2) ** 2
    np.testing.assert_allclose(covariances[:, :, 0], (c1 + c2)[:, :, 0] + away)


def test_soft_targets_tell_how_sure_the_teacher_is_and_hard_ones_do_not() -> None:
    x = PROBLEM.starts(2000, np.random.default_rng(1))
    means, covariances = feedback(x)
    told = soft(feedback)(x)
    np.testing.assert_array_equal(told.means, means)
    np.testing.assert_allclose(told.precisions[:, 0, 0], 1.0 / covariances[:, 0, 0])
    likely, drawn = hard(feedback, None)(x), hard(feedback, np.random.default_rng(2))(x)
    np.testing.assert_array_equal(likely.means, means)
    for each in (likely, drawn):
        assert np.ptp(each.precisions) == 0.0
    assert np.mean((drawn.means - means)[:, 0] ** 2 / covariances[:, 0, 0]) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("visitor", ["student", "teacher"])
def test_states_after_the_first_round_are_those_of_the_visitor(visitor: str) -> None:
    asked: list[Array] = []

    def labels(states: Array) -> PolicyTargets:
        asked.append(states)
        # it teaches the opposite, so that whose states they are can be seen
        means, covariances = feedback(states)
        return soft(lambda _: (-2.0 * means, covariances))(states)

    student = PROBLEM.new_policy(SMALL, seed=0)
    options = OnPolicyOptions(visitor, rounds=3, episodes=4)
    trainer = AdamTrainer(100, 64, held_out=0.0)
    said = distil_on_policy(PROBLEM, student, feedback, labels, trainer, options, seed=0)
    assert [len(states) for states in asked] == [240, 240, 240]
    assert said.count == 720
    spread = [np.abs(states[:, 0] - np.pi).max() for states in asked]
    if visitor == "teacher":
        assert max(spread) < 1.3 * spread[0]
    else:
        assert min(spread[1:]) > 1.5 * spread[0]


def test_the_same_seed_gives_the_same_student_which_does_what_it_was_taught() -> None:
    found: list[GaussianPolicy] = []
    for _ in range(2):
        student = PROBLEM.new_policy(SMALL, seed=3)
        options = OnPolicyOptions(rounds=2, episodes=4)
        distil_on_policy(PROBLEM, student, feedback, soft(feedback), AdamTrainer(300, 64, held_out=0.0), options, 3)
        found.append(student)
    assert found[0].hash == found[1].hash
    x = PROBLEM.starts(100, np.random.default_rng(4))
    assert np.abs(found[0].means(x) - feedback(x)[0]).mean() < 0.1


def test_wrong_options_are_named() -> None:
    with pytest.raises(InvalidFieldError, match="visitor: found 'expert'"):
        OnPolicyOptions("expert")
    with pytest.raises(InvalidFieldError, match="rounds"):
        OnPolicyOptions(rounds=0)
