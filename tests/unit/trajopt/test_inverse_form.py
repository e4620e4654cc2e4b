"""The acceleration as the control: the same problem, the same optimum, by another pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mbpl_control.core import InvalidFieldError
from mbpl_control.costs.frames import FramePositionCost
from mbpl_control.costs.points import JointColumns, KinematicPoints
from mbpl_control.costs.quadratic import ActionCost, StateCost
from mbpl_control.costs.sum_cost import SumCost
from mbpl_control.models import GeneratedDynamics, PinocchioDynamics, RobotModel
from mbpl_control.models.codegen import library
from mbpl_control.trajopt import ILQR, ILQROptions
from mbpl_control.trajopt.clock import Clock
from mbpl_control.trajopt.forms import ForwardForm, InverseForm, Trajectory
from mbpl_control.trajopt.riccati import backward_pass

STEPS, DT = 40, 0.02
#: Skew axes, a slide, damping and armature, and motors in another order than the joints.
ARM = """
<mujoco model="driven_throughout">
  <compiler autolimits="true"/>
  <option timestep="0.02" integrator="Euler"/>
  <default><geom contype="0" conaffinity="0" density="900" size="0.03"/></default>
  <worldbody>
    <body>
      <joint name="a" axis="0 1 0.3" range="-2 2" damping="0.4" armature="0.03"/>
      <geom type="capsule" fromto="0 0 0 0.4 0 0"/>
      <body pos="0.4 0 0">
        <joint name="b" axis="1 0.2 1" range="-2 2" damping="0.1"/>
        <geom type="capsule" fromto="0 0 0 0.3 0.1 0"/>
        <body pos="0.3 0.1 0">
          <joint name="c" type="slide" axis="1 0 0" range="-0.5 0.5" damping="2"/>
          <geom type="capsule" fromto="0 0 0 0.2 0 0"/>
          <site name="tip" pos="0.2 0 0"/>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="c" ctrlrange="-80 80"/><motor joint="a" ctrlrange="-60 60"/><motor joint="b" ctrlrange="-40 40"/>
  </actuator>
</mujoco>
"""


@pytest.fixture(scope="module", autouse=True)
def apart():
    """Kernels of these tests are not those of the tasks; they stay, so that they are compiled once on a machine."""
    patch = pytest.MonkeyPatch()
    kept = library.directory()
    patch.setattr(library, "directory", lambda: kept.with_name("mbpl_kernels_of_tests"))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> RobotModel:
    path = tmp_path_factory.mktemp("arm") / "arm.xml"
    path.write_text(ARM, encoding="utf-8")
    return RobotModel.from_file(path)


def generated(robot: RobotModel, substeps: int = 1) -> GeneratedDynamics:
    """By kernels, compiled where they are not yet."""
    return GeneratedDynamics(robot, DT, substeps, tell=lambda what, done, total: None)


@pytest.fixture(scope="module")
def dynamics(robot: RobotModel) -> GeneratedDynamics:
    return generated(robot)


def reach(robot: RobotModel, target: tuple[float, ...] = (0.5, 0.4, 0.3), action: float = 1e-3) -> SumCost:
    """Bring the tip to a point and stay there."""
    tip = KinematicPoints(robot.kinematics, ["tip"], JointColumns.leading(3, 3, 6))
    still = np.array([0.0, 0.0, 0.0, 0.1, 0.1, 0.1])
    terms = [
        FramePositionCost(tip, np.full(3, 5.0), np.array(target)),
        StateCost(robot.state.space, still, np.zeros(6)),
        StateCost(robot.state.space, 20.0 * still, np.zeros(6), "final(5)"),
        FramePositionCost(tip, np.full(3, 500.0), np.array(target), "final"),
        ActionCost(action * np.array([1.0, 2.0, 3.0]), np.zeros(3)),
    ]
    return SumCost(terms, 6, 3)


def somewhere(dynamics: GeneratedDynamics, seed: int = 0) -> Trajectory:
    """A trajectory that is no optimum, with the effort that leads along it."""
    rng = np.random.default_rng(seed)
    actions = 5.0 * rng.normal(size=(STEPS, 3))
    states = dynamics.rollout(np.array([0.3, -0.2, 0.1, 0.5, -0.4, 0.2]), actions)
    return Trajectory(states, actions, np.zeros(STEPS + 1))


def test_efforts_along_a_trajectory_are_those_that_led_along_it(dynamics) -> None:
    now, inverse = somewhere(dynamics), dynamics.inverse
    efforts, _ = inverse.along(now.states, inverse.accelerations(now.states))
    np.testing.assert_allclose(efforts, now.actions, atol=1e-10)


def test_derivatives_of_the_efforts_are_those_of_differences(dynamics) -> None:
    now, inverse, h = somewhere(dynamics), dynamics.inverse, 1e-6
    z = np.concatenate([now.states[:-1], inverse.accelerations(now.states)], axis=1)
    _, jacobians = inverse.along(z[:, :6], z[:, 6:])
    for i in range(9):
        moved = [z + sign * h * np.eye(9)[i] for sign in (1, -1)]
        plus, minus = (inverse.along(each[:, :6], each[:, 6:])[0] for each in moved)
        np.testing.assert_allclose(jacobians[:, :, i], (plus - minus) / (2 * h), rtol=1e-6, atol=1e-6)
    assert not jacobians[:, :, 9:].any()


@pytest.mark.parametrize("mu", [0.0, 1e-3, 30.0])
def test_the_pass_is_the_dense_one_on_the_same_quadratic_problem(robot, dynamics, mu: float) -> None:
    now, inverse = somewhere(dynamics), dynamics.inverse
    q = reach(robot, action=0.05).quadratize(now.states, now.actions, "gauss_newton")
    _, whole = inverse.along(now.states, inverse.accelerations(now.states))
    diagonal = np.einsum("tii->ti", q.luu).copy()
    slopes = inverse.slopes(whole, q.lx, q.lu)
    gains, feedforward, curvature, told = inverse.backward(mu, whole, slopes, slopes, q.lxx, diagonal)
    # the same by matrices: A, B of the sum, and the cost by (q, v, a) through the effort
    eye, none = np.eye(3), np.zeros((3, 3))
    a = np.block([[eye, DT * eye], [none, eye]])
    b = np.concatenate([DT**2 * eye, DT * eye])
    g = whole[:, :, :9]
    full = np.einsum("tki,tk,tkj->tij", g, diagonal, g)
    slope = np.einsum("tki,tk->ti", g, q.lu)
    lx, lxx = q.lx.copy(), q.lxx.copy()
    lx[:-1] += slope[:, :6]
    lxx[:-1] += full[:, :6, :6]
    wide = np.full((STEPS, 3), np.inf)
    arguments = (np.tile(a, (STEPS, 1, 1)), np.tile(b, (STEPS, 1, 1)), np.zeros((STEPS, 6)), lx, slope[:, 6:], lxx)
    dense = backward_pass(*arguments, full[:, 6:, :6], full[:, 6:, 6:], -wide, wide, mu)
    assert told[0] == dense.failed_at == -1
    np.testing.assert_allclose(gains, dense.gains, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(feedforward, dense.feedforward, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(curvature, dense.q_uu, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(told[1:3], [dense.linear, dense.quadratic], rtol=1e-8)


def test_the_law_of_the_action_is_that_of_the_forward_form(robot, dynamics) -> None:
    """On one trajectory both solve the same linear-quadratic problem, whose control has two names."""
    free = replace(robot.action, lower=np.full(3, -np.inf), upper=np.full(3, np.inf))
    dynamics, cost = GeneratedDynamics(robot, DT, 1, free), reach(robot, action=0.05)
    now, forward = somewhere(dynamics), ForwardForm(dynamics, cost, ILQROptions(), Clock())
    mine, theirs = InverseForm(dynamics.inverse, forward).law(now), forward.law(now)
    np.testing.assert_allclose(mine.gains, theirs.gains, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(mine.q_uu, theirs.q_uu, rtol=1e-7, atol=1e-9)
    assert mine.free.all()


def test_the_gradient_is_per_unit_of_effort(robot, dynamics) -> None:
    """dJ/dτ_t under the law's own feedback, by differences of the cost of the forward dynamics."""
    now, cost, clock = somewhere(dynamics), reach(robot), Clock()
    law = InverseForm(dynamics.inverse, ForwardForm(dynamics, cost, ILQROptions(), clock)).law(now)
    gains, wide, h, steepest = law.gains, np.full(3, np.inf), 1e-5, 0.0
    for t in range(STEPS):
        for i in range(3):
            push = np.zeros((STEPS, 3))
            push[t, i] = 1.0
            arguments = (now.states, now.actions, push, gains, np.array([h, -h]), -wide, wide)
            plus, minus = cost.evaluate(*dynamics.rollout_feedback(*arguments)).sum(axis=1)
            steepest = max(steepest, abs(plus - minus) / (2.0 * h))
    assert law.gradient_norm == pytest.approx(steepest, rel=1e-5)


def test_a_cost_of_the_action_that_is_not_convex_fails_at_its_step(robot, dynamics) -> None:
    now, inverse = somewhere(dynamics), dynamics.inverse
    q = reach(robot).quadratize(now.states, now.actions, "gauss_newton")
    _, whole = inverse.along(now.states, inverse.accelerations(now.states))
    diagonal = np.einsum("tii->ti", q.luu).copy()
    diagonal[11] = -1e6
    slopes = inverse.slopes(whole, q.lx, q.lu)
    assert inverse.backward(0.0, whole, slopes, slopes, q.lxx, diagonal)[3][0] == 11


@pytest.mark.parametrize("seed", range(3))
def test_both_forms_and_the_bindings_end_at_one_optimum_with_one_law(robot, dynamics, seed: int) -> None:
    rng = np.random.default_rng(seed)
    start, guess = np.concatenate([rng.uniform(-0.3, 0.3, 3), np.zeros(3)]), np.zeros((STEPS, 3))
    # where the tip can be, and not far: there is more than one optimum to a long way
    goal = start[None, :3] + rng.uniform(-0.15, 0.15, 3)
    cost = reach(robot, tuple(robot.kinematics.positions("tip", goal)[0]))
    tight = ILQROptions(gradient_tolerance=1e-8, cost_tolerance=1e-15)
    # limits are another matter: what meets one on the way goes on in the forward form
    free = replace(robot.action, lower=np.full(3, -np.inf), upper=np.full(3, np.inf))
    ours, theirs = GeneratedDynamics(robot, DT, 1, free), PinocchioDynamics(robot, DT, 1, free)
    models = {"forward": ours, "inverse": ours, "auto": theirs}
    found = {form: ILQR(m, cost, replace(tight, form=form)).solve(start, guess) for form, m in models.items()}
    assert [found[form].form for form in found] == ["forward dynamics", "inverse dynamics", "forward dynamics"]
    reference = found["forward"]
    for result in found.values():
        assert result.converged
        assert result.cost == pytest.approx(reference.cost, rel=1e-9)
        np.testing.assert_allclose(result.states, reference.states, atol=1e-5)
        np.testing.assert_allclose(result.actions, reference.actions, atol=1e-3)
        np.testing.assert_allclose(result.gains, reference.gains, rtol=1e-3, atol=1e-2)
        np.testing.assert_allclose(result.q_uu, reference.q_uu, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(dynamics.rollout(start, result.actions), result.states, atol=1e-9)
    assert "s by inverse dynamics: cost" in found["inverse"].summary()


def iterations(dynamics, cost: SumCost, kind: str, learning: bool) -> int:
    """Whole steps until the gradient is below 1e-7; the slope each law tells is held against the cost's own."""
    # where an effort is at a limit the forward form learns nothing, and from far away this reach meets one
    free = replace(dynamics.action, lower=np.full(3, -np.inf), upper=np.full(3, np.inf))
    model = GeneratedDynamics(dynamics.robot, DT, 1, free)
    forward = ForwardForm(model, cost, ILQROptions(), Clock())
    form = InverseForm(model.inverse, forward) if kind == "inverse" else forward
    # from afar it takes a line search, which is another matter
    begun = ILQR(model, cost, ILQROptions(max_iterations=6, form="forward")).solve(np.zeros(6), np.zeros((STEPS, 3)))
    now = Trajectory(begun.states, begun.actions, begun.costs)
    for k in range(100):
        law = form.backward(now, 0.0)
        if law.gradient_norm < 1e-7:
            return k
        plus, minus, whole = (form.attempt(now, law, np.array([s]), True)[0] for s in (1e-4, -1e-4, 1.0))
        assert law.linear == pytest.approx((plus.cost - minus.cost) / 2e-4, rel=1e-4, abs=1e-9)
        assert law.expected(1.0) > 0.0
        now = whole
        if not learning:
            form.distrust()
    raise AssertionError("no end in 100 steps")


@pytest.mark.parametrize("kind", ["forward", "inverse"])
def test_what_steps_have_shown_of_the_curvature_shortens_the_way(robot, dynamics, kind: str) -> None:
    costs = [reach(robot, target) for target in ((0.6, 0.35, 0.05), (0.75, 0.2, 0.1), (0.5, 0.4, 0.2))]
    by_learning, without = ([iterations(dynamics, c, kind, learning) for c in costs] for learning in (True, False))
    assert all(a <= b for a, b in zip(by_learning, without, strict=True))
    assert sum(by_learning) < sum(without)


def test_where_an_effort_meets_a_limit_the_search_goes_on_with_the_effort_as_the_control(robot, dynamics) -> None:
    cost, start = reach(robot, (-0.2, 0.5, 0.5), action=1e-5), np.zeros(6)
    options = ILQROptions(gradient_tolerance=1e-7, cost_tolerance=1e-14, max_iterations=400)
    found = {}
    for form in ("auto", "forward"):
        found[form] = ILQR(dynamics, cost, replace(options, form=form)).solve(start, np.zeros((STEPS, 3)))
    auto, forward = found["auto"], found["forward"]
    assert auto.form == "forward dynamics"
    assert not auto.free.all()
    lower, upper = robot.action.lower, robot.action.upper
    assert (auto.actions >= lower).all() and (auto.actions <= upper).all()
    np.testing.assert_array_equal(auto.gains[~auto.free], 0.0)
    assert auto.converged and forward.converged
    assert auto.cost == pytest.approx(forward.cost, rel=1e-6)


def test_first_actions_at_a_limit_are_a_matter_of_the_forward_form(robot, dynamics) -> None:
    guess = np.zeros((STEPS, 3))
    guess[3, 1] = robot.action.upper[1]
    result = ILQR(dynamics, reach(robot), ILQROptions(max_iterations=1)).solve(np.zeros(6), guess)
    assert result.form == "forward dynamics"


def test_a_model_without_it_is_refused_by_name_where_it_is_asked_for(robot) -> None:
    cost, guess = reach(robot), np.zeros((STEPS, 3))
    for model in (PinocchioDynamics(robot, DT), generated(robot, substeps=2)):
        assert model.inverse is None
        assert ILQR(model, cost, ILQROptions(max_iterations=1)).solve(np.zeros(6), guess).form == "forward dynamics"
        with pytest.raises(InvalidFieldError, match="form: found 'inverse' for a model or"):
            ILQR(model, cost, ILQROptions(form="inverse")).solve(np.zeros(6), guess)
    with pytest.raises(InvalidFieldError, match="form"):
        ILQROptions(form="backward")


def test_half_of_a_and_b_follows_from_the_other_half(dynamics, robot) -> None:
    """The forward pass may use that; it comes to the same as products of whole matrices."""
    now = somewhere(dynamics)
    a, b = dynamics.linearize(now.states[:-1], now.actions)
    assert dynamics.leap == DT
    np.testing.assert_allclose(a[:, :3], np.eye(3, 6) + DT * a[:, 3:], atol=1e-14)
    np.testing.assert_allclose(b[:, :3], DT * b[:, 3:], atol=1e-14)
    q = reach(robot).quadratize(now.states, now.actions, "gauss_newton")
    low, high = robot.action.lower - now.actions, np.full_like(now.actions, 0.5)
    for mu in (0.0, 0.1):
        arguments = (a, b, np.zeros((STEPS, 6)), q.lx, q.lu, q.lxx, q.lux, q.luu, low, high, mu)
        dense, leaping = backward_pass(*arguments), backward_pass(*arguments, DT)
        assert not dense.free.all()
        for name in ("gains", "feedforward", "q_uu", "vx", "vxx"):
            np.testing.assert_allclose(getattr(leaping, name), getattr(dense, name), rtol=1e-7, atol=1e-7)
    assert generated(robot, substeps=2).leap == 0.0
