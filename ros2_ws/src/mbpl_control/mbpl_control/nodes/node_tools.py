"""What every node does the same way: declare parameters, and run until it is told to stop."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import rclpy
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import ParameterException
from rclpy.executors import Executor, ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation as implementation
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future

from mbpl_control.core import MbplError
from mbpl_control.nodes.priority_executor import PriorityExecutor

Result = TypeVar("Result")

#: s that the server of an action keeps a result for who asks late. rclpy keeps it for a quarter of an hour unless told
#: otherwise: at a trial of every four seconds that is some 200 trials in memory.
RESULT_TIMEOUT = 60


def declare(
    node: Node,
    name: str,
    default: Any,
    description: str,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] = (),
    read_only: bool = True,
) -> Any:
    """Declare a parameter with its description and range, and return its value.

    Raises:
        MbplError: the value given from outside is of another type, out of range, or not among the choices.
    """
    descriptor = ParameterDescriptor(description=description, read_only=read_only)
    if choices:
        descriptor.additional_constraints = "one of: " + ", ".join(choices)
    if minimum is not None or maximum is not None:
        if isinstance(default, float):
            low = -1e308 if minimum is None else float(minimum)
            high = 1e308 if maximum is None else float(maximum)
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        else:
            low_int = -(2**62) if minimum is None else int(minimum)
            high_int = 2**62 if maximum is None else int(maximum)
            descriptor.integer_range = [IntegerRange(from_value=low_int, to_value=high_int)]
    try:
        value = node.declare_parameter(name, default, descriptor).value
    except ParameterException as error:
        raise MbplError(f"{node.get_name()}: parameter '{name}': {error}") from error
    if choices and value not in choices:
        raise MbplError(f"{node.get_name()}: parameter '{name}' is {value!r}; must be one of {', '.join(choices)}")
    return value


def autostart(node: LifecycleNode) -> None:
    """Have a node whose parameter `autostart` is set configure and activate itself as soon as its executor spins."""
    if not declare(node, "autostart", False, "Whether the node configures and activates itself when it starts."):
        return

    def start() -> None:
        node.destroy_timer(timer)
        if node.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            node.trigger_activate()

    timer = node.create_timer(0.0, start)


def on_change(node: Node, apply: Callable[[dict[str, Any]], None]) -> None:
    """Have `apply` called with parameters that are about to change; an `MbplError` refuses them with its reason."""

    def callback(parameters: list[Parameter]) -> SetParametersResult:
        try:
            apply({p.name: p.value for p in parameters})
        except MbplError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(callback)


def run(
    build: Callable[[], Node],
    arguments: Sequence[str] | None = None,
    executor: Callable[[], Executor] | None = None,
) -> int:
    """Build a node, spin it until SIGINT or SIGTERM, end it; the exit code.

    What a callback raises is logged, and the node goes on: one request that nobody foresaw must not take the manager
    from the robot. An `MbplError` while the node is built is one line on the log and exit code 1; an interrupt is a
    normal end.

    Args:
        build: makes the node.
        arguments: of the command line; those of the process when None.
        executor: what spins it; the node's parameter `executor` decides when None.
    """
    # before rclpy.init, whose own handler calls this one
    interrupted = _Interrupt()
    signal.signal(signal.SIGINT, interrupted)
    rclpy.init(args=None if arguments is None else list(arguments))
    node = None
    spinner = None
    try:
        node = build()
        spinner = _chosen_executor(node) if executor is None else executor()
        spinner.add_node(node)
        # what start-up left behind is permanent: keep the collector from walking through it while the node works
        gc.collect()
        gc.freeze()
        interrupted.raises = False
        while rclpy.ok():
            try:
                spinner.spin()
            except ExternalShutdownException:
                break
            except Exception as error:  # noqa: BLE001 - a callback that fails must not cost the robot its node
                # rclpy throws out of its own services what a request may hold: a lifecycle transition that does not
                # fit, a parameter of a type that there is not
                if rclpy.ok():
                    _tell_failure(node, error)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except MbplError as error:
        rclpy.logging.get_logger("mbpl").error(str(error))
        return 1
    finally:
        # a launch and a terminal may both ask to end: the second time must not cut the clean end short
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, signal.SIG_IGN)
        if spinner is not None:
            spinner.shutdown()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _tell_failure(node: Node, error: Exception) -> None:
    """Log what a callback raised; where, too, unless the middleware says all there is to say."""
    where = "" if isinstance(error, implementation.RCLError) else "\n" + "".join(traceback.format_exception(error))
    node.get_logger().error(f"a callback failed: {error!r}{where}")


class _Interrupt:
    """What Ctrl-C does: a `KeyboardInterrupt` while the node is built, nothing more once it spins.

    rclpy shuts its context down by itself, which ends the spinning between two callbacks. An exception would come in
    the middle of whatever runs, and one that comes while the middleware calls back into Python ends the process.
    """

    def __init__(self) -> None:
        """Raise until told otherwise."""
        self.raises = True

    def __call__(self, signum: int, frame: object) -> None:
        """A signal came."""
        if self.raises:
            raise KeyboardInterrupt


def main(build: Callable[[], Node], executor: Callable[[], Executor] | None = None) -> None:
    """Run a node as a program."""
    sys.exit(run(build, executor=executor))


async def in_thread(node: Node, work: Callable[[], Result]) -> Result:
    """Run `work` in a thread of its own while the node's executor goes on; what it returns or raises.

    For callbacks that take long: written as coroutines, they give the executor back with `await in_thread(...)`.
    """
    done: Future = Future(executor=node.executor)

    def run_it() -> None:
        try:
            done.set_result(work())
        except Exception as error:  # noqa: BLE001 - it is raised again where it is awaited
            done.set_exception(error)
        # nobody else wakes an executor whose node hears nothing at the moment
        if node.executor is not None:
            node.executor.wake()

    threading.Thread(target=run_it, daemon=True).start()
    return await done


def _chosen_executor(node: Node) -> Executor:
    """The executor the node's parameter asks for; the events executor only where it is seen to work."""
    kind = declare(
        node,
        "executor",
        "priority",
        "What spins the node: priority (wait set with a fast lane) or events (rclpy's events executor).",
        choices=("priority", "events"),
    )
    if kind == "priority":
        return PriorityExecutor()
    if not events_executor_works():
        raise MbplError(
            f"{node.get_name()}: parameter 'executor' is 'events', but the events executor of this rclpy calls no "
            "timer; use 'priority'"
        )
    from rclpy.experimental import EventsExecutor

    return EventsExecutor()


#: Exits with 0 when the events executor serves a timer. Some builds of rclpy have one that never does, nor ever ends.
_PROBE = """
import os, rclpy
from rclpy.experimental import EventsExecutor
rclpy.init()
node = rclpy.create_node("executor_probe", enable_rosout=False)
node.create_timer(0.01, lambda: os._exit(0))
executor = EventsExecutor()
executor.add_node(node)
executor.spin()
"""


def events_executor_works() -> bool:
    """Whether the events executor of this rclpy serves a timer within 5 s, tried in a process of its own."""
    try:
        ended = subprocess.run(
            [sys.executable, "-c", _PROBE], timeout=5.0, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0
