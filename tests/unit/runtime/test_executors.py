"""Laws in execution, against the formulas they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import (
    ActionDefinition,
    ExecutionMode,
    FeedbackLaw,
    LinearGaussianController,
    StateBlock,
    StateDefinition,
)
from mbpl_control.runtime import HorizonExecutor, KnotExecutor, RobotSample
from mbpl_control.runtime.executors import LawEnded

MS = 1_000_000
STEPS, DT = 5, 0.02
DRAWS = 1000
STATE = StateDefinition(
    (
        StateBlock("joint_positions", ("a", "b"), ("angle", "euclidean"), ("rad", "m")),
        StateBlock("joint_velocities", ("a", "b"), ("euclidean",) * 2, ("rad/s", "m/s")),
    )
)
ACTION = ActionDefinition(("m",), ("a",), "effort", ("N*m",), np.array([-np.inf]), np.array([np.inf]))


def law(**fields: object) -> LinearGaussianController:
    rng = np.random.default_rng(4)
    values: dict[str, object] = {
        "dt": DT,
        "nominal_states": rng.normal(size=(STEPS + 1, 4)),
        "nominal_actions": rng.normal(size=(STEPS, 1)),
        "gains": rng.normal(size=(STEPS, 1, 4)),
        "feedforward": rng.normal(size=(STEPS, 1)),
        "covariances": rng.uniform(0.5, 2.0, (STEPS, 1, 1)),
    }
    return LinearGaussianController(STATE, ACTION, **{**values, **fields})  # type: ignore[arg-type]


def sample(milliseconds: float, x: np.ndarray | None = None) -> RobotSample:
    x = np.array([0.3, -0.2, 0.1, 0.4]) if x is None else x
    return RobotSample(x, x[:2], x[2:], round(milliseconds * MS))


def test_zero_order_computes_one_action_a_step_and_holds_it_whatever_the_state_does() -> None:
    c = law()
    executor = HorizonExecutor(c, ExecutionMode.MEAN)
    rng = np.random.default_rng(0)
    for tick in range(STEPS * 4):
        x = rng.normal(size=4)
        u = executor.evaluate(sample(1000 + 5 * tick, x))
        if tick % 4 == 0:
            expected = c.mean(tick // 4, x)
        assert executor.new_step == (tick % 4 == 0)
        assert executor.step == tick // 4
        np.testing.assert_allclose(u, expected, rtol=1e-12)


@pytest.mark.parametrize("mode", [ExecutionMode.OPEN_LOOP, ExecutionMode.MEAN])
def test_continuous_joins_the_knots_and_feeds_back_at_every_tick(mode: ExecutionMode) -> None:
    c = law(execution="continuous")
    executor = HorizonExecutor(c, mode)
    rng = np.random.default_rng(1)
    for time in [0.0, *np.sort(rng.uniform(0.0, 1e3 * STEPS * DT - 0.01, 50))]:
        x = rng.normal(size=4)
        # a stamp counts a microsecond later than it says, so as not to miss a knot by rounding
        reference, plan, gain = c.at_time(1e-3 * time + 1e-6)
        expected = plan if mode is ExecutionMode.OPEN_LOOP else plan + gain @ STATE.space.difference(x, reference)
        np.testing.assert_allclose(executor.evaluate(sample(500 + time, x)), expected, atol=1e-6)


def test_the_noise_is_drawn_once_a_step_and_does_not_depend_on_the_rate() -> None:
    c = law(gains=np.zeros((STEPS, 1, 4)))
    draws = {}
    for period in (1.0, 2.5, 20.0):
        executor = HorizonExecutor(c, ExecutionMode.SAMPLED, seed=3)
        times = np.arange(0.0, 1e3 * STEPS * DT, period)
        u = np.array([executor.evaluate(sample(t)) for t in times])[:, 0]
        draws[period] = [u[np.floor(times / 20.0) == t] for t in range(STEPS)]
        assert all(np.ptp(step) == 0.0 for step in draws[period])
    firsts = [[step[0] for step in draws[p]] for p in draws]
    np.testing.assert_array_equal(firsts[0], firsts[1])
    np.testing.assert_array_equal(firsts[0], firsts[2])


@pytest.mark.parametrize("execution", ["zero_order", "continuous"])
def test_the_noise_has_the_covariance_of_the_law(execution: str) -> None:
    c = law(gains=np.zeros((STEPS, 1, 4)), execution=execution)
    mean = HorizonExecutor(c, ExecutionMode.MEAN)
    noise = []
    for seed in range(DRAWS):
        executor = HorizonExecutor(c, ExecutionMode.SAMPLED, seed=seed)
        noise.append([executor.evaluate(sample(t * 20.0))[0] for t in range(STEPS)])
    noise -= np.array([mean.evaluate(sample(t * 20.0))[0] for t in range(STEPS)])
    # the sample variance of a normal variable has the relative spread √(2 / N)
    np.testing.assert_allclose(np.var(noise, axis=0), c.covariances[:, 0, 0], rtol=4 * np.sqrt(2 / DRAWS))
    assert (np.abs(np.corrcoef(np.transpose(noise)) - np.eye(STEPS)) < 4 / np.sqrt(DRAWS)).all()


def test_the_seed_decides_the_noise() -> None:
    c = law()
    one, same, other = (HorizonExecutor(c, ExecutionMode.SAMPLED, seed=s).evaluate(sample(0.0)) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).all()


def test_a_law_reads_its_own_part_of_a_larger_state() -> None:
    c = law()
    whole = HorizonExecutor(c, ExecutionMode.MEAN).evaluate(sample(0.0))
    larger = np.array([9.0, 0.4, 0.3, 9.0, -0.2, 0.1])
    picked = RobotSample(larger, np.zeros(2), np.zeros(2), 0)
    selection = np.array([2, 4, 5, 1])
    np.testing.assert_array_equal(HorizonExecutor(c, ExecutionMode.MEAN, selection).evaluate(picked), whole)
    knot = KnotExecutor(_knot(c), ExecutionMode.MEAN, selection)
    np.testing.assert_allclose(knot.evaluate(picked), whole, rtol=1e-12)
    # the larger state may as well begin with what the law needs
    first = RobotSample(np.array([*larger[selection], 9.0, 9.0]), np.zeros(2), np.zeros(2), 0)
    np.testing.assert_array_equal(HorizonExecutor(c, ExecutionMode.MEAN, np.arange(4)).evaluate(first), whole)


def test_an_angle_is_fed_back_the_short_way_also_between_knots() -> None:
    states = np.zeros((STEPS + 1, 4))
    states[:, 0] = np.where(np.arange(STEPS + 1) % 2, -3.1, 3.1)
    gains = np.zeros((STEPS, 1, 4))
    gains[:, 0, 0] = -1.0
    still = {"nominal_actions": np.zeros((STEPS, 1)), "feedforward": None, "execution": "continuous"}
    c = law(nominal_states=states, gains=gains, **still)
    executor = HorizonExecutor(c, ExecutionMode.MEAN)
    executor.evaluate(sample(0.0))
    # half way from 3.1 to −3.1 across the seam is half a turn
    u = executor.evaluate(sample(10.0, np.array([np.pi - 0.25, 0.0, 0.0, 0.0])))
    np.testing.assert_allclose(u, [0.25], atol=1e-4)


@pytest.mark.parametrize("rule", ["hold", "fallback"])
def test_the_horizon_ends_with_its_last_step_and_says_by_which_rule(rule: str) -> None:
    executor = HorizonExecutor(law(end_rule=rule), ExecutionMode.MEAN)
    executor.evaluate(sample(0.0))
    executor.evaluate(sample(99.9))
    with pytest.raises(LawEnded, match="the horizon of 5 steps is over") as ended:
        executor.evaluate(sample(100.0))
    assert ended.value.rule == rule


@pytest.mark.parametrize("execution", ["zero_order", "continuous"])
def test_the_last_law_goes_on_when_it_is_to_be_repeated(execution: str) -> None:
    c = law(end_rule="repeat_last", execution=execution)
    executor = HorizonExecutor(c, ExecutionMode.OPEN_LOOP)
    executor.evaluate(sample(0.0))
    for time in (100.0, 1e4):
        np.testing.assert_allclose(executor.evaluate(sample(time)), c.planned_actions[-1])
        assert executor.step == STEPS - 1


def test_a_law_anchored_at_a_stamp_counts_from_it_and_waits_for_it() -> None:
    c = law()
    executor = HorizonExecutor(c, ExecutionMode.OPEN_LOOP, start_ns=1000 * MS)
    for time, step in ((900.0, 0), (1000.0, 0), (1019.9, 0), (1020.0, 1), (1061.0, 3)):
        np.testing.assert_array_equal(executor.evaluate(sample(time)), c.planned_actions[step])


def test_a_knot_between_two_stamps_is_met_in_spite_of_rounding() -> None:
    c = law(dt=1 / 300)
    executor = HorizonExecutor(c, ExecutionMode.OPEN_LOOP)
    executor.evaluate(sample(0.0))
    executor.evaluate(RobotSample(np.zeros(4), np.zeros(2), np.zeros(2), 3_333_333))
    assert executor.step == 1


def test_a_validity_that_is_over_ends_the_law() -> None:
    executor = HorizonExecutor(law(end_rule="fallback"), ExecutionMode.MEAN, end_ns=30 * MS)
    executor.evaluate(sample(0.0))
    executor.evaluate(sample(30.0))
    with pytest.raises(LawEnded, match="validity is over"):
        executor.evaluate(sample(31.0))


def test_the_knot_in_force_tells_what_is_used_of_the_law() -> None:
    c = law()
    for mode, gain, noise in (("open_loop", 0, 0), ("mean", 1, 0), ("sampled", 1, 1)):
        executor = HorizonExecutor(c, ExecutionMode(mode))
        executor.evaluate(sample(0.0))
        executor.evaluate(sample(45.0))
        x, u, k, sigma = executor.knot()
        np.testing.assert_array_equal(x, c.nominal_states[2])
        np.testing.assert_array_equal(u, c.planned_actions[2])
        np.testing.assert_array_equal(k, gain * c.gains[2])
        np.testing.assert_array_equal(sigma, noise * c.covariances[2])


def _knot(c: LinearGaussianController) -> FeedbackLaw:
    return FeedbackLaw(c.state, c.action, c.nominal_states[0], c.planned_actions[0], c.gains[0], c.covariances[0])


def test_a_single_knot_answers_by_its_mode_until_its_validity_is_over() -> None:
    c = law()
    knot, everything = _knot(c), np.arange(4)
    x = sample(0.0).x
    open_loop, mean, sampled = (KnotExecutor(knot, m, everything, 5, 40 * MS, 7) for m in ExecutionMode)
    np.testing.assert_array_equal(open_loop.evaluate(sample(0.0)), c.planned_actions[0])
    np.testing.assert_allclose(mean.evaluate(sample(0.0)), c.mean(0, x))
    draw = sampled.evaluate(sample(0.0)) - c.mean(0, x)
    np.testing.assert_allclose(sampled.evaluate(sample(5.0)) - c.mean(0, x), draw)
    np.testing.assert_allclose(draw, np.sqrt(c.covariances[0, 0]) * np.random.default_rng(5).standard_normal(1))
    assert (mean.step, sampled.new_step) == (7, False)
    with pytest.raises(LawEnded, match="validity is over"):
        mean.evaluate(sample(41.0))
    assert not open_loop.knot()[2].any()
    assert not mean.knot()[3].any()
    np.testing.assert_array_equal(sampled.knot()[3], c.covariances[0])
