"""Stand-ins for the drivers of real robots: programs that speak their message types and move an arm in MuJoCo.

`python robots.py ros2_control` is forward_command_controller and joint_state_broadcaster: efforts in the order of its
parameter `joints`, kept until others come; joint states in an order of their own, with a joint more, NaN for efforts.

`python robots.py linear_feedback_controller` is linear-feedback-controller at 1 kHz: until the first `Control` it holds
by itself, then it evaluates u = feedforward + feedback_gain [q_ref - q; v_ref - v] at each `Sensor` it sends.

Both write what they measured and were told to a file when they end. Brakes hold the arm until the first command.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import rclpy
import rclpy.signals
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from mbpl_control.nodes.conversions import flat
from mbpl_control.nodes.priority_executor import PriorityExecutor, node_priority
from mbpl_control.tasks import load_task

#: As rclcpp::SystemDefaultsQoS is on DDS: reliable, and of ros2_controllers' topics.
SYSTEM_DEFAULT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE)
#: linear-feedback-controller's own.
LFC = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
PHYSICS = 0.001


class Arm(Node):
    """An arm in MuJoCo that keeps to the wall clock.

    Parameters: `task`; `joints`, the order in which the driver's efforts come; `flipped`, joints whose effort acts the
    wrong way round; `wired`, the order in which the efforts really act, when it is another; `record`, the file.
    """

    closes_loop = False

    def __init__(self, name: str, rate: float) -> None:
        """Stand at the task's first start, brakes on."""
        super().__init__(name)
        task = load_task(self.declare_parameter("task", "arm_reach").value)
        self.names = list(task.robot.joint_names)
        self.joints = list(self.declare_parameter("joints", self.names).value)
        wired = list(self.declare_parameter("wired", self.joints).value)
        flipped = list(self.declare_parameter("flipped", [""]).value)
        self._signs = np.array([-1.0 if n in flipped else 1.0 for n in self.names])
        #: index, among the driver's efforts, of that which acts on each joint of the model
        self._wiring = np.array([wired.index(n) for n in self.names])
        self._record = str(self.declare_parameter("record", "").value)
        self.model = task.robot.mujoco_model(PHYSICS)
        self.data = mujoco.MjData(self.model)
        self.data.qpos[:] = task.condition(0).state[: task.robot.nq]
        mujoco.mj_forward(self.model, self.data)
        self.commanded: np.ndarray | None = None
        self.noise = np.random.default_rng(0)
        self.rows: list[np.ndarray] = []
        self._steps = round(1.0 / (rate * PHYSICS))
        self._begin, self._due, self.late = time.monotonic(), 0, 0
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.period = self.create_timer(1.0 / rate, self._on_period, clock=steady)
        self._rate = rate

    def efforts(self, q: np.ndarray, v: np.ndarray) -> np.ndarray | None:
        """Efforts in the driver's order at what is measured; None while the brakes hold."""
        raise NotImplementedError

    def tell(self, q: np.ndarray, v: np.ndarray) -> None:
        """Publish what is measured."""
        raise NotImplementedError

    def _on_period(self) -> None:
        due = int((time.monotonic() - self._begin) * self._rate)
        # a driver that closes the loop itself does so in every period of a batch that a busy machine has slept through,
        # and tells of the last; for any other, and beyond half a second, such periods are gone, as in a simulation
        batch = min(max(due - self._due, 1), round(0.5 * self._rate) if self.closes_loop else 1)
        self.late += max(due - self._due - batch, 0)
        self._due = due
        for left in reversed(range(batch)):
            self._period(left == 0)

    def _period(self, tell: bool) -> None:
        """Measure, drive, tell, move on."""
        d = self.data
        q = d.qpos + 1e-4 * self.noise.standard_normal(len(d.qpos))
        v = d.qvel + 2e-3 * self.noise.standard_normal(len(d.qvel))
        u = self.efforts(q, v)
        if tell:
            self.tell(q, v)
        if u is None:
            d.qvel[:] = 0.0
            d.time += self._steps * PHYSICS
        else:
            d.ctrl[:] = self._signs * u[self._wiring]
            mujoco.mj_step(self.model, d, self._steps)
        if self._record:
            self.rows.append(np.concatenate(([time.monotonic()], d.qpos, d.qvel, d.ctrl)))

    def stamp(self) -> Any:
        """Now, on the system's clock."""
        return self.get_clock().now().to_msg()

    def save(self) -> None:
        """Write the file: s on the steady clock, positions, velocities and applied efforts, a row a period."""
        if self._record:
            np.save(self._record, np.array(self.rows))


class ForwardCommand(Arm):
    """ros2_control at 250 Hz."""

    def __init__(self) -> None:
        """Open the topics."""
        super().__init__("ros2_control", 250.0)
        commands = self.create_subscription(
            Float64MultiArray, "/forward_effort_controller/commands", self._on_commands, SYSTEM_DEFAULT
        )
        node_priority(self, commands, self.period)
        self._broadcaster = self.create_publisher(JointState, "/joint_states", SYSTEM_DEFAULT)
        # an order of its own, and a gripper that measures a position only
        self._order = np.random.default_rng(1).permutation(len(self.names))
        self._all = [self.names[i] for i in self._order]
        self._all.insert(2, "gripper")

    def _on_commands(self, message: Float64MultiArray) -> None:
        # another size is ignored, as in ros2_controllers
        if len(message.data) == len(self.joints):
            self.commanded = np.array(message.data)

    def efforts(self, q: np.ndarray, v: np.ndarray) -> np.ndarray | None:
        """The last that came, for ever."""
        return self.commanded

    def tell(self, q: np.ndarray, v: np.ndarray) -> None:
        """All joints, NaN where nothing is measured."""
        nan = float("nan")
        message = JointState(name=self._all)
        message.header.stamp = self.stamp()
        position, velocity = q[self._order].tolist(), v[self._order].tolist()
        position.insert(2, 0.04)
        velocity.insert(2, nan)
        message.position, message.velocity = position, velocity
        message.effort = [nan] * len(self._all)
        self._broadcaster.publish(message)


class LinearFeedback(Arm):
    """linear-feedback-controller at 1 kHz, with brakes in the place of its PD phase until the first `Control`."""

    closes_loop = True

    def __init__(self) -> None:
        """Open the topics."""
        from linear_feedback_controller_msgs.msg import Control, Sensor

        super().__init__("lfc", 1000.0)
        self._sensor = Sensor()
        self._sensor.joint_state.name = self.joints
        self._no_effort = flat(np.zeros(len(self.joints)))
        self._pick = np.array([self.names.index(n) for n in self.joints])
        self._law: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self._out = self.create_publisher(Sensor, "/linear_feedback_controller/sensor", LFC)
        control = self.create_subscription(Control, "/linear_feedback_controller/control", self._on_control, LFC)
        node_priority(self, control, self.period)

    def _on_control(self, message: Any) -> None:
        n = len(self.joints)
        gain, forward, start = message.feedback_gain, message.feedforward, message.initial_state.joint_state
        shapes = [[(d.size, d.stride) for d in m.layout.dim] for m in (gain, forward)]
        assert shapes == [[(n, 2 * n * n), (2 * n, 2 * n)], [(n, n), (1, 1)]], shapes
        assert list(start.name) == self.joints
        reference = np.concatenate((start.position, start.velocity))
        self._law = np.array(forward.data), np.array(gain.data).reshape(n, 2 * n), reference

    def efforts(self, q: np.ndarray, v: np.ndarray) -> np.ndarray | None:
        """The law at this instant, in its own order of joints."""
        if self._law is None:
            return None
        forward, gain, reference = self._law
        return forward + gain @ (reference - np.concatenate((q[self._pick], v[self._pick])))

    def tell(self, q: np.ndarray, v: np.ndarray) -> None:
        """A `Sensor`."""
        message = self._sensor
        message.header.stamp = self.stamp()
        state = message.joint_state
        state.position, state.velocity = flat(q[self._pick]), flat(v[self._pick])
        state.effort = self._no_effort
        self._out.publish(message)


def main() -> None:
    """Run the stand-in named on the command line until it is told to end."""
    kinds = {"ros2_control": ForwardCommand, "linear_feedback_controller": LinearFeedback}
    rclpy.init(args=sys.argv, signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    arm = kinds[sys.argv[1]]()
    try:
        executor = PriorityExecutor()
        executor.add_node(arm)
        executor.spin()
    finally:
        arm.save()
        print(f"{Path(__file__).name}: {len(arm.rows)} periods, {arm.late} more left out")


if __name__ == "__main__":
    main()
