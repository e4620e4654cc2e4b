"""The launched graph as processes that can be stopped, killed and started anew."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml
from ament_index_python.packages import get_package_prefix, get_package_share_directory

from mbpl_control.demo.process import LaunchedGraph

NODES = ("mujoco_sim", "state_estimator", "controller_manager", "ilqr_controller", "mpc_controller")
MORE_NODES = ("trial_runner", "bag_recorder")

CONFIG = Path(get_package_share_directory("mbpl_bringup")) / "config"


@dataclass(frozen=True)
class Pace:
    """How fast the graph runs, and what it waits for; the time-outs are parameters of manager and simulation.

    Attributes:
        rate: Hz of states and commands.
        state_timeout: s.
        law_timeout: s.
        watchdog_timeout: s.
        largest_gap: s, that the estimator bridges by predictions.
    """

    rate: float
    state_timeout: float
    law_timeout: float
    watchdog_timeout: float
    largest_gap: float = 0.1

    @property
    def tick(self) -> float:
        """s."""
        return 1.0 / self.rate

    def write(self, path: Path) -> Path:
        """The launch's own parameters with these in them."""
        content = yaml.safe_load((CONFIG / "mbpl.yaml").read_text(encoding="utf-8"))
        manager = content["/**/controller_manager"]["ros__parameters"]
        manager |= {"state_timeout": self.state_timeout, "law_timeout": self.law_timeout}
        content["/**/mujoco_sim"]["ros__parameters"]["watchdog_timeout"] = self.watchdog_timeout
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path


#: What the launch has without any argument: the campaign is about that.
SHIPPED = Pace(200.0, 0.1, 0.5, 0.1)
#: With room for a machine that is busy with other tests.
PATIENT = Pace(100.0, 0.5, 0.6, 0.5)


class Graph:
    """`mbpl.launch.py` in real time, its processes by the names of their nodes; all end with the `with` block.

    Args:
        domain: ROS domain of this process, which the launched ones inherit.
        directory: for logs.
        pace: how fast it runs.
        relayed: start the simulation aside and a relay between it and the estimator, in place of the launch's own.
    """

    def __init__(self, domain: int, directory: Path, pace: Pace = SHIPPED, relayed: bool = False) -> None:
        """Keep what to launch."""
        self.domain, self.directory, self.pace, self.relayed = domain, directory, pace, relayed
        self.bags = directory / "bags"
        self._ended = ExitStack()
        self._processes: dict[str, psutil.Process] = {}
        self._commands: dict[str, tuple[list[str], dict[str, str]]] = {}
        self._own: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Graph:
        """Launch."""
        arguments = {"task": "arm_reach", "on_loss": "go_on", "log_level": "warn", "bags": str(self.bags)}
        config = self.pace.write(self.directory / "mbpl.yaml")
        arguments |= {"config": str(config), "rate": str(self.pace.rate)}
        if self.relayed:
            arguments |= {"robot": "hardware", "record": "false"}
            self._run("mujoco_sim", _simulation(config, self.pace.rate), dict(os.environ))
            self._run("relay", [sys.executable, str(Path(__file__).with_name("relay.py"))], dict(os.environ))
        self._ended.callback(self._end)
        launched = LaunchedGraph(arguments, self.directory / "launch.log")
        self._ended.enter_context(launched)
        return self

    def __exit__(self, *_: object) -> None:
        """End all."""
        # a process that is stopped would not hear that it shall end
        for process in self._processes.values():
            if process.is_running():
                process.send_signal(signal.SIGCONT)
        self._ended.close()

    def _end(self) -> None:
        for process in self._own:
            process.kill()
            process.wait(10.0)

    def _run(self, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        with open(self.directory / f"{name}.log", "ab") as log:
            started = subprocess.Popen(
                command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        self._own.append(started)
        self._processes[name] = psutil.Process(started.pid)
        self._commands[name] = (command, dict(environment))

    def process(self, name: str) -> psutil.Process:
        """The process of a node."""
        if name not in self._processes:
            (found,) = self._find(name)
            self._processes[name] = found
            self._commands[name] = (found.cmdline(), found.environ())
        return self._processes[name]

    def _find(self, name: str) -> Iterator[psutil.Process]:
        for process in psutil.process_iter(["cmdline"]):
            if f"__node:={name}" not in (process.info["cmdline"] or ()):
                continue
            try:
                if process.environ().get("ROS_DOMAIN_ID") == str(self.domain):
                    yield process
            except (psutil.AccessDenied, psutil.NoSuchProcess):
                continue

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of all nodes."""
        return (*NODES, "trial_runner") if self.relayed else (*NODES, *MORE_NODES)

    def meet(self) -> None:
        """Find every process while it lives, so that one that is lost can be started anew."""
        for name in self.nodes:
            self.process(name)

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a node."""
        self.process(name).send_signal(number)

    def relaunch(self, name: str) -> None:
        """Start a node that was killed with the command it was started with."""
        command, environment = self._commands[name]
        self._run(name, command, environment)

    def dead(self) -> list[str]:
        """Nodes whose processes ended or are stopped."""
        gone = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD, psutil.STATUS_STOPPED)
        return [n for n, p in self._processes.items() if not p.is_running() or p.status() in gone]


def _simulation(config: Path, rate: float) -> list[str]:
    """The simulation as the launch file starts it, measuring on a topic that a relay hears."""
    program = Path(get_package_prefix("mbpl_sim")) / "lib/mbpl_sim/mujoco_sim"
    command = [str(program), "--ros-args", "-r", "__node:=mujoco_sim", "-r", "__ns:=/mbpl"]
    command += ["-r", "joint_states:=robot/joint_states", "--log-level", "warn"]
    for file in (CONFIG / "realtime.yaml", config):
        command += ["--params-file", str(file)]
    return [*command, "-p", "task:=arm_reach", "-p", f"rate:={rate}"]
