"""Bring up mbpl on a real robot: the graph of mbpl.launch.py, and the bridge to the robot's driver.

The robot is one YAML: how its driver is reached, the order of its joints, its rate. docs/hardware.md goes through it.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, OpaqueFunction
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import PushRosNamespace
from mbpl_bringup.graph import declared, ends_launch, node, typed, whole_graph
from mbpl_bringup.security import secured, security_arguments

from mbpl_control.hardware.robot_file import load_robot_file
from mbpl_control.tasks import load_task

#: Arguments of mbpl.launch.py that count here, too.
SHARED = (
    ("task", "arm_reach", "name of a task, or path of its YAML"),
    ("namespace", "mbpl", "namespace of all nodes"),
    ("mpc", "true", "whether to start the receding-horizon planner"),
    ("record", "true", "whether to start the bag recorder"),
    ("bags", "bags", "directory of the bags that are given no name of their own"),
    ("config", "mbpl.yaml", "parameters: a file of this package's config directory, or a path"),
    ("log_level", "info", "of every node"),
)
OWN = (("confirmed", "", "hash of a robot whose joints you vouch for; empty: the file that the check left behind"),)


def generate_launch_description() -> LaunchDescription:
    """Arguments, the bridge, the graph; a robot's YAML that is wrong ends the launch before anything is started."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("robot", description="path of the robot's YAML"),
            *declared((*SHARED, *OWN)),
            *security_arguments(),
            OpaqueFunction(function=_graph),
        ]
    )


def _graph(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    def given(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    robot = load_robot_file(given("robot"), load_task(given("task")))
    passed_on = [*(name for name, _, _ in SHARED), "security", "enclaves"]
    arguments = [(name, LaunchConfiguration(name)) for name in passed_on]
    # a robot keeps its own pace, and the graph that of the robot
    arguments += [("robot", "hardware"), ("mode", "realtime"), ("rate", str(float(robot.file.rate)))]
    bridge = node(
        "hardware_bridge",
        {"robot_file": str(robot.path), "confirmed": typed("confirmed", str)},
        on_exit=ends_launch("the bridge to the robot ended"),
    )
    return [
        secured(lambda _: ["hardware_bridge"]),
        whole_graph(arguments),
        GroupAction([PushRosNamespace(LaunchConfiguration("namespace")), bridge]),
    ]
