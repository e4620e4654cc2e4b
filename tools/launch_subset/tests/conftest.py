"""What the tests of the launch subset share. All but `only_subset` pass under the genuine packages, too."""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from domain_coordinator import domain_id

#: What holds for the stand-in alone is not collected where the genuine packages are imported.
collect_ignore = [] if importlib.util.find_spec("launch._coverage") else ["only_subset"]

#: s; the longest that anything may take here.
PATIENCE = 60.0

#: In front of every launch file.
IMPORTS = """\
import os
from launch import LaunchDescription, LaunchContext
from launch.actions import (
    DeclareLaunchArgument, EmitEvent, ExecuteProcess, GroupAction, IncludeLaunchDescription, LogInfo, OpaqueFunction,
    RegisterEventHandler, SetEnvironmentVariable, SetLaunchConfiguration, Shutdown, TimerAction, UnregisterEventHandler,
    UnsetEnvironmentVariable,
)
from launch.conditions import IfCondition, UnlessCondition
from launch.event_handlers import (
    OnExecutionComplete, OnProcessExit, OnProcessIO, OnProcessStart, OnShutdown,
)
from launch.events import matches_action
from launch.events.process import ShutdownProcess, SignalProcess
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import (
    EnvironmentVariable, FindExecutable, LaunchConfiguration, LocalSubstitution, PathJoinSubstitution,
    PythonExpression, ThisLaunchFileDir,
)
"""

#: The same for those that start nodes.
ROS_IMPORTS = """\
from launch_ros.actions import LifecycleNode, Node, PushRosNamespace, SetParameter
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import ExecutableInPackage, FindPackagePrefix, FindPackageShare
from lifecycle_msgs.msg import Transition
"""

#: A node that prints its names and parameters as JSON, and ends.
REPORTING_NODE = """\
import json, sys
import rclpy
from rclpy.node import Node
from rclpy.utilities import remove_ros_args

rclpy.init(args=sys.argv)
node = Node("unnamed", allow_undeclared_parameters=True, automatically_declare_parameters_from_overrides=True)
parameters = {name: node.get_parameter(name).value for name in node.get_parameters_by_prefix("")}
parameters = {name: value if isinstance(value, (bool, int, float, str)) else list(value)
              for name, value in parameters.items()}
print("REPORT " + json.dumps({
    "name": node.get_fully_qualified_name(),
    "parameters": parameters,
    "arguments": remove_ros_args(sys.argv)[1:],
    "topic": node.resolve_topic_name("topic"),
}), flush=True)
rclpy.shutdown()
"""

#: A node with a lifecycle that says what it does, and refuses to be configured when a parameter tells it to.
LIFECYCLE_NODE = """\
import sys
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn


class Machine(LifecycleNode):
    def __init__(self):
        super().__init__("machine")
        self.refuse = self.declare_parameter("refuse", False).value

    def on_configure(self, state):
        print("configuring", flush=True)
        return TransitionCallbackReturn.FAILURE if self.refuse else TransitionCallbackReturn.SUCCESS

    def on_activate(self, state):
        print("activating", flush=True)
        return super().on_activate(state)


rclpy.init(args=sys.argv)
machine = Machine()
try:
    rclpy.spin(machine)
except (KeyboardInterrupt, ExternalShutdownException):
    print("interrupted", flush=True)
"""

#: Runs a command at a terminal; what comes in is typed there, what is shown there goes out.
TERMINAL = """\
import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
"""


class RunningCommand:
    """A command whose output is read as it comes.

    Args:
        words: its command line.
        environment: of the command.
        directory: that it runs in.
    """

    def __init__(self, words: list[str], environment: dict[str, str], directory: Path) -> None:
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            words,
            env=environment,
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line.rstrip("\r\n"))
        self._queue.put(None)

    def type(self, text: str) -> None:
        """Write to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def wait_for_line(self, part: str) -> str:
        """The first line with this in it, among those not waited for yet."""
        end = time.monotonic() + PATIENCE
        while True:
            line = self._queue.get(timeout=max(0.0, end - time.monotonic()))
            if line is None:
                raise AssertionError(f"{part!r} is not among the lines:\n" + "\n".join(self.lines))
            self.lines.append(line)
            if part in line:
                return line

    def finish(self) -> int:
        """Wait for the end and read the rest; the exit code."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        while (line := self._queue.get(timeout=PATIENCE)) is not None:
            self.lines.append(line)
        return code

    def close(self) -> None:
        """End the command and all that it started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)


class Finished:
    """What a command has printed, and how it ended."""

    def __init__(self, code: int, lines: list[str]) -> None:
        self.code = code
        self.lines = lines

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(self.lines)

    def said(self, prefix: str = "[INFO] [launch.user]: ") -> list[str]:
        """The messages of `LogInfo`, or what stands behind another prefix, in order."""
        return [line.removeprefix(prefix) for line in self.lines if line.startswith(prefix)]

    def reports(self) -> dict[str, dict]:
        """What the reporting nodes have said, by their full names."""
        found = [json.loads(line.partition("REPORT ")[2]) for line in self.lines if "REPORT " in line]
        return {report["name"]: report for report in found}


class Workbench:
    """A package `probe` in a prefix of its own, a directory for launch files, and the command `ros2`.

    Args:
        directory: for all of it.
        domain: of ROS.
    """

    def __init__(self, directory: Path, domain: int) -> None:
        self.directory = directory
        self.logs = directory / "logs"
        self.prefix = directory / "prefix"
        self.share = self.prefix / "share" / "probe"
        self.share.mkdir(parents=True)
        (self.prefix / "lib" / "probe").mkdir(parents=True)
        index = self.prefix / "share" / "ament_index" / "resource_index" / "packages"
        index.mkdir(parents=True)
        (index / "probe").touch()
        self.environment = dict(os.environ)
        self.environment["AMENT_PREFIX_PATH"] = f"{self.prefix}{os.pathsep}{os.environ['AMENT_PREFIX_PATH']}"
        self.environment["ROS_LOG_DIR"] = str(self.logs)
        self.environment["ROS_DOMAIN_ID"] = str(domain)
        self.environment.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        self.environment.pop("OVERRIDE_LAUNCH_PROCESS_OUTPUT", None)
        self._running: list[RunningCommand] = []

    def add_program(self, name: str, text: str) -> Path:
        """Put a program in Python into the package."""
        path = self.prefix / "lib" / "probe" / name
        path.write_text(f"#!{sys.executable}\n{text}")
        path.chmod(0o755)
        return path

    def write(self, entities: str, name: str = "probe.launch.py", setup: str = "") -> Path:
        """Write a launch file.

        Args:
            entities: Python of the entities, parted by commas.
            name: of the file.
            setup: Python of what comes before them, in the function.
        """
        body = f"{textwrap.dedent(setup)}\nreturn LaunchDescription([\n{textwrap.dedent(entities)}\n])"
        path = self.directory / name
        function = textwrap.indent(body, "    ")
        imports = IMPORTS + ROS_IMPORTS if re.search("Node|Ros|Parameter|InPackage|FindPackage", body) else IMPORTS
        path.write_text(f"{imports}\n\ndef generate_launch_description():\n{function}\n")
        return path

    def start(self, *words: str, **variables: str) -> RunningCommand:
        """Start `ros2`."""
        command = RunningCommand([self._ros2(), *words], {**self.environment, **variables}, self.directory)
        self._running.append(command)
        return command

    def start_at_terminal(self, *words: str) -> RunningCommand:
        """Start `ros2` at a terminal of its own; what is typed goes to the terminal."""
        command = RunningCommand(
            [sys.executable, "-c", TERMINAL, self._ros2(), *words], self.environment, self.directory
        )
        self._running.append(command)
        return command

    def ros2(self, *words: str, **variables: str) -> Finished:
        """Run `ros2` to its end."""
        command = self.start(*words, **variables)
        return Finished(command.finish(), command.lines)

    def launch(self, entities: str, *arguments: str, setup: str = "", **variables: str) -> Finished:
        """Write a launch file and run `ros2 launch` with it to its end."""
        return self.ros2("launch", str(self.write(entities, setup=setup)), *arguments, **variables)

    def _ros2(self) -> str:
        ros2 = shutil.which("ros2")
        assert ros2 is not None, "the command ros2 is not on the PATH"
        return ros2

    def close(self) -> None:
        """End whatever still runs."""
        for command in self._running:
            command.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    """A workbench and a ROS domain of its own for each test."""
    with domain_id() as domain:
        workbench = Workbench(tmp_path, domain)
        yield workbench
        workbench.close()


@pytest.fixture
def reporting_node(bench: Workbench) -> Workbench:
    """The workbench, with a program `report`: a node that prints its names and parameters."""
    bench.add_program("report", REPORTING_NODE)
    return bench


@pytest.fixture
def lifecycle_node(bench: Workbench) -> Workbench:
    """The workbench, with a program `machine`: a node with a lifecycle."""
    bench.add_program("machine", LIFECYCLE_NODE)
    return bench


@pytest.fixture
def gone() -> Callable[[int], bool]:
    """Whether a process has ended within the patience of the tests."""

    def ended(pid: int) -> bool:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return True
            # A child of init is reaped soon, but not at once.
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            time.sleep(0.02)
        return False

    return ended
