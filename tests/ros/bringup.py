"""The project's own launch file, as the tests launch it."""

from __future__ import annotations

from pathlib import Path

import yaml
from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import PathJoinSubstitution
from launch_pytest.actions import ReadyToTest
from launch_ros.substitutions import FindPackageShare

#: Services that are there once every node is up and every planner active.
SERVICES = (
    "mujoco_sim/reset",
    "controller_manager/switch_controller",
    "ilqr_controller/plan",
    "bag_recorder/start",
)


def bringup(file: str = "mbpl.launch.py", /, **arguments: str) -> LaunchDescription:
    """The graph of a launch file with these arguments, and the mark that tests may begin."""
    launch_file = PathJoinSubstitution([FindPackageShare("mbpl_bringup"), "launch", file])
    return LaunchDescription(
        [
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(launch_file), launch_arguments=list(arguments.items())
            ),
            ReadyToTest(),
        ]
    )


def patient(directory: Path) -> str:
    """The parameters of the graph, but with seconds until anything falls back: the path of a file for `config`.

    For tests of what controllers do to each other in real time. A machine that is busy with other things keeps states
    away for a tenth of a second now and then, and the fallback that follows is right, but not what they ask about.
    """
    shipped = Path(get_package_share_directory("mbpl_bringup"), "config", "mbpl.yaml")
    parameters = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    manager = parameters["/**/controller_manager"]["ros__parameters"]
    manager.update(state_timeout=5.0, law_timeout=5.0, zero_timeout=10.0)
    parameters["/**/mujoco_sim"]["ros__parameters"]["watchdog_timeout"] = 5.0
    file = directory / "patient.yaml"
    file.write_text(yaml.safe_dump(parameters), encoding="utf-8")
    return str(file)
