"""The project's own launch file, as the tests launch it."""

from __future__ import annotations

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
