"""What every node does the same way: declare parameters, and run until it is told to stop."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import ParameterException
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

from mbpl_control.core import MbplError


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
        raise MbplError(
            f"{node.get_name()}: parameter '{name}' is {value!r}; must be one of {', '.join(choices)}"
        )
    return value


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
    executor: Callable[[], Executor] = EventsExecutor,
) -> int:
    """Build a node, spin it until SIGINT or SIGTERM, end it; the exit code.

    An `MbplError` while it is built is one line on the log and exit code 1; an interrupt is a normal end.

    Args:
        build: makes the node.
        arguments: of the command line; those of the process when None.
        executor: what spins it; the events executor is told of messages by the middleware instead of polling wait sets.
    """
    rclpy.init(args=arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    node = None
    spinner = None
    try:
        node = build()
        spinner = executor()
        spinner.add_node(node)
        # what start-up left behind is permanent: keep the collector from walking through it while the node works
        gc.collect()
        gc.freeze()
        spinner.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except MbplError as error:
        rclpy.logging.get_logger("mbpl").error(str(error))
        return 1
    finally:
        if spinner is not None:
            spinner.shutdown()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def main(build: Callable[[], Node], executor: Callable[[], Executor] = EventsExecutor) -> None:
    """Run a node as a program."""
    sys.exit(run(build, executor=executor))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


__all__ = ["EventsExecutor", "SingleThreadedExecutor", "declare", "main", "on_change", "run"]
