"""Bring up mbpl: robot (simulated or real), estimator, manager, planners, trial runner, recorder.

The same file serves simulation and hardware: with `robot:=hardware` the simulation is left out, and a bridge that
publishes `joint_states` and takes `joint_commands` in the same namespace stands in its place.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    OpaqueFunction,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.conditions import IfCondition
from launch.substitutions import (
    EnvironmentVariable,
    LaunchConfiguration,
    PathJoinSubstitution,
    PythonExpression,
)
from launch_ros.actions import LifecycleNode, Node, PushRosNamespace
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = (
    ("task", "arm_reach", "name of a task, or path of its YAML"),
    ("namespace", "mbpl", "namespace of all nodes"),
    ("rate", "200.0", "Hz, rate of joint states and commands"),
    ("seed", "0", "seed of the simulation's noise"),
    ("mpc", "true", "whether to start the receding-horizon planner"),
    ("record", "true", "whether to start the bag recorder"),
    ("bags", "bags", "directory of the bags that are given no name of their own"),
    ("view", "false", "whether to serve a viewer to the browser (simulation only)"),
    ("log_level", "info", "of every node"),
)


def generate_launch_description() -> LaunchDescription:
    """Arguments, then the nodes; the loss of robot, estimator or manager ends the launch unless told otherwise."""
    task = {"task": LaunchConfiguration("task")}
    share = FindPackageShare("mbpl_bringup")
    paced = PathJoinSubstitution([share, "config", PythonExpression(["'", LaunchConfiguration("mode"), ".yaml'"])])
    config = PathJoinSubstitution([share, "config", LaunchConfiguration("config")])
    rate = {"rate": ParameterValue(LaunchConfiguration("rate"), value_type=float)}
    log = ["--log-level", LaunchConfiguration("log_level")]

    def node(executable: str, *parameters: object, package: str = "mbpl_control", **options: object) -> Node:
        return Node(
            package=package,
            executable=executable,
            name=executable,
            parameters=[paced, config, task, *parameters],
            ros_arguments=log,
            output="screen",
            **options,
        )

    simulation = node(
        "mujoco_sim",
        rate,
        {
            "mode": LaunchConfiguration("mode"),
            "seed": ParameterValue(LaunchConfiguration("seed"), value_type=int),
            "view": ParameterValue(LaunchConfiguration("view"), value_type=bool),
        },
        package="mbpl_sim",
        on_exit=_end("the simulated robot ended"),
        condition=IfCondition(PythonExpression(["'", LaunchConfiguration("robot"), "' == 'sim'"])),
    )
    estimator = node("state_estimator", on_exit=_end("the state estimator ended"))
    manager = node("controller_manager", rate, on_exit=_end("the controller manager ended"))
    runner = node("trial_runner", {"robot": LaunchConfiguration("robot")})
    recorder = node(
        "bag_recorder",
        {"directory": LaunchConfiguration("bags")},
        condition=IfCondition(LaunchConfiguration("record")),
    )

    def planner(name: str, **options: object) -> LifecycleNode:
        # `autostart` has the node configure and activate itself; from then on its lifecycle services rule
        return LifecycleNode(
            package="mbpl_control",
            executable="ilqr_controller",
            name=name,
            namespace="",
            parameters=[paced, config, task, {"autostart": True}],
            ros_arguments=log,
            output="screen",
            **options,
        )

    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, default, text in ARGUMENTS
            ),
            DeclareLaunchArgument(
                "mode",
                default_value="realtime",
                choices=["realtime", "lockstep"],
                description="pace of the simulation: with the wall clock, or waiting for each command",
            ),
            DeclareLaunchArgument(
                "robot",
                default_value="sim",
                choices=["sim", "hardware"],
                description="sim, or hardware: a bridge of yours publishes joint_states",
            ),
            DeclareLaunchArgument(
                "on_loss",
                default_value="end",
                choices=["end", "go_on"],
                description="what the loss of robot, estimator or manager does: end the launch, or leave the others",
            ),
            DeclareLaunchArgument(
                "config",
                default_value="mbpl.yaml",
                description="parameters: a file of this package's config directory, or a path",
            ),
            SetEnvironmentVariable(
                "ROS_AUTOMATIC_DISCOVERY_RANGE",
                EnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", default_value="LOCALHOST"),
            ),
            GroupAction(
                [
                    PushRosNamespace(LaunchConfiguration("namespace")),
                    simulation,
                    estimator,
                    manager,
                    runner,
                    recorder,
                    planner("ilqr_controller"),
                    planner("mpc_controller", condition=IfCondition(LaunchConfiguration("mpc"))),
                ]
            ),
        ]
    )


def _end(reason: str) -> OpaqueFunction:
    """End the launch because a node it cannot do without has ended; nothing more while it is ending already."""

    def ended(context: LaunchContext) -> list[Shutdown]:
        goes_on = context.is_shutdown or LaunchConfiguration("on_loss").perform(context) == "go_on"
        return [] if goes_on else [Shutdown(reason=reason)]

    return OpaqueFunction(function=ended)
