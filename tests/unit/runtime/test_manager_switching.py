"""The manager from idle to active, from one controller to another, and what a refused request leaves behind."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import DefinitionMismatchError, RefusedError
from mbpl_control.runtime import ControllerEntry


def steepest(difference: float, period: float, duration: float) -> float:
    """Largest change a tick of a smooth step may add."""
    return 15.0 / 8.0 * abs(difference) * period / duration


def test_an_idle_manager_takes_states_and_commands_nothing(bench) -> None:
    assert [bench.tick() for _ in range(5)] == [None] * 5
    assert bench.silence(5000) == []
    assert bench.core.mode == "idle"
    assert bench.core.counters.ticks == 5
    assert (bench.core.active_controller, bench.core.step) == ("", -1)


def test_nothing_starts_before_a_state_has_arrived(bench) -> None:
    with pytest.raises(RefusedError, match="'hold' cannot start: no state of the robot has arrived yet"):
        bench.switch("hold")
    assert bench.core.mode == "idle"


def test_nothing_starts_on_a_state_that_is_too_old(bench) -> None:
    bench.tick()
    bench.stamp += 101.0
    with pytest.raises(RefusedError, match=r"the newest state is 0\.101 s old; at most 0\.100 s is allowed"):
        bench.switch("hold")


def test_a_controller_without_a_law_is_refused_with_where_it_was_waited_for(bench, make_law) -> None:
    bench.tick()
    with pytest.raises(RefusedError, match="'mean' has no law yet: none was accepted on planner/mean"):
        bench.switch("mean")
    with pytest.raises(RefusedError, match="gain"):
        bench.law("mean", make_law(gains=np.full((20, 2, 4), 1e9)))
    with pytest.raises(RefusedError, match="none was accepted on planner/mean .law refused: gain 1e.09"):
        bench.switch("mean")


def test_an_active_law_commands_what_it_says_from_its_first_step_on(bench, make_law) -> None:
    plan = np.stack([np.linspace(-5, 5, 20), np.linspace(3, -3, 20)], axis=1)
    bench.tick()
    bench.law("open_loop", make_law(nominal_actions=plan))
    bench.switch("open_loop")
    assert bench.core.active_controller == "open_loop"
    # 10 ticks a step; blending is over after 60 ms
    commands = bench.ticks(200)
    for tick, command in enumerate(commands):
        assert (command.controller, command.step) == ("open_loop", tick // 10)
        assert command.new_step == (tick % 10 == 0)
        assert command.switched == (tick == 0)
        if tick > 12:
            np.testing.assert_allclose(command.values, plan[tick // 10], atol=1e-12)


def test_feedback_acts_on_the_newest_state(bench, make_law) -> None:
    gains = np.zeros((20, 2, 4))
    gains[:, 0, 0], gains[:, 1, 3] = -40.0, -7.0
    bench.run("mean", make_law(gains=gains, execution="continuous"))
    bench.q[0], bench.v[1] = 0.01, 0.5
    np.testing.assert_allclose(bench.tick().values, [-0.4, -3.5])


@pytest.mark.parametrize("period", [1.0, 5.0, 10.0])
def test_a_swap_begins_at_the_last_command_and_no_tick_exceeds_the_blending_slope(make_bench, make_law, period) -> None:
    bench = make_bench(rate=1e3 / period)
    bench.core.registry.add(ControllerEntry("other", "linear_gaussian"))
    bench.run("mean", make_law((4.0, -8.0), steps=200))
    bench.law("other", make_law((-5.0, 9.0), steps=200))
    last = bench.tick(period).values
    bench.switch("other", off=["mean"])
    seen = [last]
    for _ in range(round(80 / period)):
        seen.append(bench.tick(period).values)
    np.testing.assert_allclose(seen[1], last, atol=1e-12)
    np.testing.assert_allclose(seen[-1], [-5.0, 9.0], atol=1e-12)
    steps = np.abs(np.diff(seen, axis=0)).max(axis=0)
    assert steps[0] <= steepest(9.0, 1e-3 * period, 0.06) + 1e-9
    assert steps[1] <= steepest(17.0, 1e-3 * period, 0.06) + 1e-9
    assert bench.core.counters.largest_switch_step < 1e-9
    assert bench.core.counters.last_switch == "mean → other"
    assert bench.core.counters.switches == 2


def test_a_swap_in_the_middle_of_a_swap_goes_on_from_what_was_applied(bench, make_law) -> None:
    bench.run("mean", make_law((8.0, 0.0)))
    bench.switch("hold", off=["mean"])
    middle = bench.ticks(6)[-1].values
    assert 0.5 < middle[0] < 7.5
    bench.switch("mean", off=["hold"])
    np.testing.assert_allclose(bench.tick().values, middle, atol=1e-12)
    np.testing.assert_allclose(bench.ticks(14)[-1].values, [8.0, 0.0], atol=1e-12)


def test_without_blending_the_limits_of_the_rate_are_left(make_bench, make_law) -> None:
    bench = make_bench(blend_time=0.0)
    bench.run("mean", make_law((0.0, 0.0)))
    bench.switch("hold", off=["mean"])
    bench.tick()
    bench.law("mean", make_law((10.0, 20.0)))
    bench.switch("mean", off=["hold"])
    # the whole range, 20 and 40, within 20 ms
    np.testing.assert_allclose(bench.tick().values, [5.0, 10.0])
    np.testing.assert_allclose(bench.tick().values, [10.0, 20.0])
    assert bench.core.counters.clamped == 1
    assert bench.core.counters.largest_switch_step == pytest.approx(0.5)


def test_a_refused_switch_changes_nothing(bench, make_law) -> None:
    bench.run("mean", make_law((3.0, 1.0)))
    core = bench.core
    for activate, deactivate in (("nobody", "mean"), ("sampled", "mean"), ("hold", ""), ("mean", ""), ("", "")):
        with pytest.raises(RefusedError):
            bench.switch(*activate.split(), off=deactivate.split())
        assert (core.mode, core.active_controller, core.registry.get("mean").state) == ("active", "mean", "active")
        command = bench.tick()
        assert not command.switched
        np.testing.assert_allclose(command.values, [3.0, 1.0], atol=1e-12)
    assert core.counters.switches == 1


def test_a_controller_that_is_only_deactivated_leaves_the_robot_held(bench, make_law) -> None:
    bench.run("mean", make_law((3.0, 1.0)))
    assert bench.switch(off=["mean"]) == "'mean' inactive"
    command = bench.tick()
    assert (command.controller, bench.core.mode) == ("fallback", "fallback")
    assert bench.core.reason == "its controller was deactivated"
    assert bench.core.counters.fallbacks == 0
    np.testing.assert_allclose(bench.ticks(14)[-1].values, 0.0, atol=1e-12)
    bench.switch("hold")
    assert bench.tick().controller == "hold"


def test_a_plan_taken_over_in_another_mode_goes_on_where_it_was(bench, make_law) -> None:
    plan = np.stack([np.linspace(-5, 5, 20), np.zeros(20)], axis=1)
    law = make_law(nominal_actions=plan)
    bench.tick()
    bench.law("mean", law)
    bench.law("open_loop", law)
    bench.switch("mean")
    bench.ticks(73)
    bench.switch("open_loop", off=["mean"])
    assert bench.tick().step == 7
    bench.switch("open_loop", off=["open_loop"])
    # started anew by itself it begins at its beginning
    assert bench.tick().step == 0


def test_a_state_that_is_sent_again_is_answered_once_and_once_more_after_a_switch(bench, make_law) -> None:
    bench.run("mean", make_law((3.0, 0.0)))
    assert bench.tick(0.0) is None
    assert bench.tick(0.0) is None
    bench.switch("hold", off=["mean"])
    again = bench.tick(0.0)
    assert (again.controller, again.switched) == ("hold", True)
    assert bench.tick(0.0) is None
    assert bench.core.counters.states_refused.total() == 0


def test_the_seed_of_the_next_activation_decides_its_noise(make_bench, make_law) -> None:
    law = make_law(covariances=np.tile(np.eye(2), (20, 1, 1)))

    def noise(config_seed: int, *seeds: int | None) -> list[np.ndarray]:
        bench = make_bench(seed=config_seed)
        bench.tick()
        bench.law("sampled", law)
        bench.switch("hold")
        out = []
        for seed in seeds:
            bench.core.laws.next_seed = seed
            bench.switch("sampled", off=["hold"])
            out.append(bench.ticks(60)[-1].values)
            bench.switch("hold", off=["sampled"])
            bench.tick()
        return out

    given = noise(0, 7, 7, None)
    np.testing.assert_array_equal(given[0], given[1])
    assert (given[2] != given[0]).all()
    np.testing.assert_array_equal(noise(5, None, None)[1], noise(6, None)[0])


def test_a_law_for_another_state_is_refused_and_the_controller_keeps_its_own(bench, make_law, make_controller) -> None:
    bench.run("mean", make_law((3.0, 0.0)))
    with pytest.raises(DefinitionMismatchError):
        bench.law("mean", make_controller())
    np.testing.assert_allclose(bench.tick().values, [3.0, 0.0], atol=1e-12)
    assert bench.core.registry.get("mean").reason.startswith("law refused: ")
    assert bench.core.counters.laws_refused.total() == 1
    assert bench.core.counters.laws_accepted == 1
