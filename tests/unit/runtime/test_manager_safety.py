"""What the robot gets when states stay away, lie or jump, when someone stops it, and whatever a law asks for."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import RefusedError
from mbpl_control.runtime import RobotSample, Strictness

# --- states that stay away ---


def test_states_that_stay_away_lead_to_the_fallback_then_to_zero_then_back(bench, make_law) -> None:
    bench.run("mean", make_law((3.0, 0.0), steps=1000))
    assert bench.silence(100) == []
    assert bench.core.mode == "active"
    held = bench.silence(1000)
    assert {c.controller for c in held} == {"fallback"}
    assert held[0].switched
    assert bench.core.mode == "fallback"
    assert bench.core.reason == "no state for 0.105 s"
    assert bench.core.registry.get("mean").reason == "no state for 0.105 s"
    ended = bench.silence(1000)
    assert {c.controller for c in ended[2:]} == {"zero"}
    assert bench.core.mode == "zero"
    np.testing.assert_array_equal(ended[-1].values, [0.0, 0.0])
    back = bench.tick()
    assert (back.controller, bench.core.reason) == ("fallback", "states arrive again")
    assert bench.core.counters.fallbacks == 1
    # nobody takes over by himself
    assert {c.controller for c in bench.ticks(200)} == {"fallback"}


def test_a_push_that_was_under_way_dies_out_while_no_state_says_where_the_robot_is(bench, make_law) -> None:
    bench.run("mean", make_law((9.0, -18.0), steps=1000))
    values = np.array([c.values for c in bench.silence(300)])
    np.testing.assert_allclose(values[0], [9.0, -18.0], atol=1e-12)
    assert np.abs(np.diff(values, axis=0)).max() <= 15 / 8 * 18.0 * 5 / 60 + 1e-9
    # 60 ms later the hold at the last good position is all that is left: on rails without gravity, nothing
    np.testing.assert_allclose(values[13:], 0.0, atol=1e-12)


def test_the_last_good_position_is_held_with_gravity_balanced(make_task, bench) -> None:
    lift = """<mujoco><compiler autolimits="true"/><worldbody><body><joint name="z" type="slide" axis="0 0 1"/>
    <geom size="0.1" mass="2" contype="0"/></body></worldbody>
    <actuator><motor joint="z" ctrlrange="-100 100"/></actuator></mujoco>"""
    task = make_task(lift, [0.0])
    core = type(bench.core)(task)
    sample = RobotSample(np.array([0.3, 0.1]), np.array([0.3]), np.array([0.1]), 1_000_000)
    core.tick(sample, 0)
    core.switch(["hold"], [], Strictness.STRICT, 0)
    core.tick(RobotSample(sample.x, sample.q, sample.v, 2_000_000), 1_000_000)
    commands = [core.watch(ms * 1_000_000) for ms in range(110, 400, 5)]
    np.testing.assert_allclose(commands[-1].values, [2 * 9.81], atol=1e-9)


def test_a_manager_that_gets_its_states_is_not_watched(bench, make_law) -> None:
    bench.run("mean", make_law(steps=1000))
    for _ in range(50):
        bench.tick()
        assert bench.core.watch(bench.steady_ns + 99_000_000) is None


def test_limits_of_the_rate_count_from_the_last_command_however_long_states_stayed_away(make_bench, make_law) -> None:
    bench = make_bench(blend_time=0.0)
    bench.run("mean", make_law((0.0, 0.0), steps=1000))
    bench.silence(300)
    bench.law("mean", make_law((10.0, 20.0), steps=1000))
    bench.tick(2.0)
    bench.switch("mean")
    # 1000 and 2000 N/s for 5 ms
    np.testing.assert_allclose(bench.tick().values, [5.0, 10.0])


# --- states that lie ---


def test_a_state_from_the_past_and_one_that_is_not_finite_are_refused_and_not_answered(bench, make_law) -> None:
    bench.run("mean", make_law((3.0, 0.0), steps=1000))
    ticks = bench.core.counters.ticks
    past = RobotSample(np.zeros(4), np.zeros(2), np.zeros(2), bench.stamp_ns - 1)
    assert bench.core.tick(past, bench.steady_ns) is None
    assert "before the last one's" in bench.core.counters.last_refusal
    bench.q[0] = np.nan
    assert bench.tick() is None
    assert bench.core.counters.last_refusal == "state: it holds numbers that are not finite"
    assert (bench.core.counters.states_refused.total(), bench.core.counters.ticks) == (2, ticks)
    bench.q[0] = 0.0
    np.testing.assert_allclose(bench.tick().values, [3.0, 0.0], atol=1e-12)


def test_a_state_that_stays_not_finite_is_as_good_as_none(bench, make_law) -> None:
    bench.run("mean", make_law((3.0, 0.0), steps=1000))
    bench.v[1] = np.inf
    for _ in range(30):
        bench.tick()
        bench.core.watch(bench.steady_ns)
    assert bench.core.mode == "fallback"


def test_a_law_is_left_when_a_position_jumps(bench, make_law) -> None:
    bench.run("mean", make_law((3.0, 0.0), steps=1000))
    # ten times 50 m/s for 5 ms, and 5 cm
    bench.q[1] += 2.5
    assert bench.tick().controller == "mean"
    bench.q[1] += 2.6
    assert bench.tick().controller == "fallback"
    assert bench.core.reason == "position of 'y' jumped"
    # held where it is now
    np.testing.assert_allclose(bench.ticks(20)[-1].values, 0.0, atol=1e-12)


def test_a_hold_goes_on_where_the_robot_was_put(bench) -> None:
    bench.run("hold")
    bench.q[0] = 4.0
    assert bench.tick().controller == "hold"
    np.testing.assert_allclose(bench.ticks(20)[-1].values, 0.0, atol=1e-12)
    assert (bench.core.mode, bench.core.counters.fallbacks) == ("active", 0)


# --- emergency stop ---


@pytest.mark.parametrize("kind", ["damp", "zero"])
def test_an_emergency_stop_acts_at_the_next_tick_and_is_latched(make_bench, make_law, kind: str) -> None:
    bench = make_bench(emergency_stop=kind)
    bench.run("mean", make_law((1.0, -2.0), steps=1000))
    bench.core.emergency_stop("someone in the cell")
    bench.q, bench.v = np.array([0.001, 0.0]), np.array([0.01, -0.1])
    command = bench.tick()
    assert command.controller == bench.core.mode == "emergency_stop"
    assert bench.core.reason == "someone in the cell"
    # no spring; damped by 2 √(K M), 1 kg at 12 rad/s, and 2 kg whose spring is capped at 10 N in 10 cm
    expected = [-0.01 * 2 * np.sqrt(200.0), 0.1 * 24.0] if kind == "damp" else [0.0, 0.0]
    np.testing.assert_allclose(command.values, expected, atol=1e-12)
    assert bench.core.registry.get("mean").state == "inactive"
    for request in ((["hold"], []), (["mean"], []), ([], ["mean"])):
        with pytest.raises(RefusedError, match=r"emergency stop is latched .someone in the cell.; reset it first"):
            bench.switch(*request[0], off=request[1])
    bench.law("mean", make_law((5.0, 5.0)))
    assert {c.controller for c in bench.ticks(300)} == {"emergency_stop"}


def test_leaving_an_emergency_stop_takes_a_reset_and_a_new_activation(bench, make_law) -> None:
    bench.run("mean", make_law((3.0, 0.0)))
    bench.core.emergency_stop("")
    assert bench.core.reason == "no reason was given"
    bench.tick()
    bench.core.reset_emergency_stop()
    assert (bench.core.mode, bench.core.active_controller) == ("idle", "")
    assert [bench.tick() for _ in range(3)] == [None] * 3
    with pytest.raises(RefusedError, match="no emergency stop is latched; the mode is idle"):
        bench.core.reset_emergency_stop()
    bench.switch("mean")
    first = bench.tick()
    assert first.controller == "mean"
    np.testing.assert_allclose(first.values, [0.0, 0.0], atol=1e-12)


def test_an_idle_robot_can_be_stopped_too(bench) -> None:
    bench.tick()
    bench.core.emergency_stop("test")
    bench.v[1] = 0.1
    np.testing.assert_allclose(bench.tick().values, [0.0, -2.4])


def test_a_stopped_robot_without_states_is_damped_blindly_for_no_longer_than_the_zero_time(bench, make_law) -> None:
    bench.run("mean", make_law((3.0, 0.0), steps=1000))
    bench.v[0] = 1.0
    bench.tick()
    bench.core.emergency_stop("test")
    commands = bench.silence(1500)
    assert {c.controller for c in commands} == {"emergency_stop"}
    # a speed that was measured long ago is not acted upon
    np.testing.assert_allclose(commands[-1].values, 0.0, atol=1e-12)
    assert bench.core.mode == "emergency_stop"
    bench.tick()
    assert bench.core.mode == "emergency_stop"


def test_an_emergency_stop_is_answered_on_the_state_a_standing_simulation_repeats(bench, make_law) -> None:
    bench.run("mean", make_law((3.0, 0.0)))
    bench.core.emergency_stop("test")
    assert bench.tick(0.0).controller == "emergency_stop"


# --- limits ---


def test_whatever_a_law_asks_for_the_robot_gets_no_more_than_it_can_take(bench, make_law) -> None:
    law = make_law((9.0, 19.0), steps=1000, covariances=np.tile(400.0 * np.eye(2), (1000, 1, 1)))
    bench.tick()
    bench.law("sampled", law)
    bench.switch("sampled")
    values = np.array([c.values for c in bench.ticks(2000)])
    assert np.abs(values).max(axis=0).tolist() == [10.0, 20.0]
    # 1000 and 2000 N/s for 5 ms a tick
    assert (np.abs(np.diff(values, axis=0)).max(axis=0) <= np.array([5.0, 10.0]) + 1e-9).all()
    assert bench.core.counters.clamped > 100
    assert bench.core.limiter.counts["effort"] > 50
    assert bench.core.limiter.counts["effort_rate"] > 50


def test_the_knot_in_force_is_the_laws_and_a_hold_has_none(bench, make_law) -> None:
    law = make_law((3.0, 0.0))
    bench.run("mean", law)
    (force,) = bench.core.forces
    assert force.law.law is law
    x, u, k, sigma = force.executor.knot()
    np.testing.assert_array_equal(u, [3.0, 0.0])
    assert (x.shape, k.shape, sigma.shape) == ((4,), (2, 4), (2, 2))
    bench.switch("hold", off=["mean"])
    bench.tick()
    (force,) = bench.core.forces
    assert (force.law, force.executor.knot()) == (None, None)


def test_a_robot_of_position_servos_starts_and_ends_where_it_is(make_task, bench) -> None:
    text = """<mujoco><compiler angle="radian" autolimits="true"/>
    <worldbody><body><joint name="j"/><geom size="0.1"/></body></worldbody>
    <actuator><position joint="j" kp="10" ctrlrange="-3 3"/></actuator>
    <custom><numeric name="velocity_limits" data="2"/></custom></mujoco>"""
    core = type(bench.core)(make_task(text, [0.0]))

    def sample(milliseconds: int) -> RobotSample:
        return RobotSample(np.array([1.5, 0.0]), np.array([1.5]), np.zeros(1), milliseconds * 1_000_000)

    core.tick(sample(1000), 0)
    core.switch(["hold"], [], Strictness.STRICT, 0)
    np.testing.assert_allclose(core.tick(sample(1005), 0).values, [1.5])
    core.watch(1_000_000_000)
    command = core.watch(2_500_000_000)
    assert command.controller == "zero"
    np.testing.assert_allclose(command.values, [1.5])
