"""Bring up mbpl: robot (simulated or real), estimator, manager, planners, trial runner, recorder.

The same file serves simulation and hardware: with `robot:=hardware` the simulation is left out, and a bridge that
publishes `joint_states` and takes `joint_commands` in the same namespace stands in its place: that of
hardware.launch.py, or one of yours.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PythonExpression
from launch_ros.actions import LifecycleNode, Node, PushRosNamespace
from mbpl_bringup.graph import declared, ends_launch, node, typed
from mbpl_bringup.security import secured, security_arguments

ARGUMENTS = (
    ("task", "arm_reach", "name of a task, or path of its YAML"),
    ("namespace", "mbpl", "namespace of all nodes"),
    ("rate", "200.0", "Hz, rate of joint states and commands"),
    ("seed", "0", "seed of the simulation's noise"),
    ("mpc", "true", "whether to start the receding-horizon planner"),
    ("learned_model", "", "file of a learned model (.npz) to plan on, or task, the task's own; empty: none is started"),
    ("record", "true", "whether to start the bag recorder"),
    ("bags", "bags", "directory of the bags that are given no name of their own"),
    ("view", "false", "whether to serve a viewer to the browser (simulation only)"),
    ("log_level", "info", "of every node"),
)


def generate_launch_description() -> LaunchDescription:
    """Arguments, then the nodes; the loss of robot, estimator or manager ends the launch unless told otherwise."""
    rate = {"rate": typed("rate", float)}
    simulation = node(
        "mujoco_sim",
        rate,
        {"mode": LaunchConfiguration("mode"), "seed": typed("seed", int), "view": typed("view", bool)},
        package="mbpl_sim",
        on_exit=ends_launch("the simulated robot ended"),
        condition=IfCondition(PythonExpression(["'", LaunchConfiguration("robot"), "' == 'sim'"])),
    )
    estimator = node("state_estimator", on_exit=ends_launch("the state estimator ended"))
    manager = node("controller_manager", rate, on_exit=ends_launch("the controller manager ended"))
    runner = node("trial_runner", {"robot": LaunchConfiguration("robot")})
    recorder = node(
        "bag_recorder",
        {"directory": LaunchConfiguration("bags")},
        condition=IfCondition(LaunchConfiguration("record")),
    )

    learned = node(
        "planner_controller",
        {
            "autostart": True,
            "checkpoint": typed("learned_model", str),
            "planner": LaunchConfiguration("planner"),
            "seed": typed("seed", int),
        },
        kind=LifecycleNode,
        namespace="",
        condition=IfCondition(PythonExpression(["'", LaunchConfiguration("learned_model"), "' != ''"])),
    )

    def planner(name: str, **options: object) -> Node:
        # `autostart` has the node configure and activate itself; from then on its lifecycle services rule
        return node("ilqr_controller", {"autostart": True}, kind=LifecycleNode, name=name, namespace="", **options)

    return LaunchDescription(
        [
            *declared(ARGUMENTS),
            DeclareLaunchArgument(
                "mode",
                default_value="realtime",
                choices=["realtime", "lockstep"],
                description="pace of the simulation: with the wall clock, or waiting for each command",
            ),
            DeclareLaunchArgument(
                "planner",
                default_value="icem",
                choices=["cem", "icem", "mppi", "ilqr"],
                description="what plans on it at each step",
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
            *security_arguments(),
            SetEnvironmentVariable(
                "ROS_AUTOMATIC_DISCOVERY_RANGE",
                EnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", default_value="LOCALHOST"),
            ),
            secured(_started),
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
                    learned,
                ]
            ),
        ]
    )


def _started(context: LaunchContext) -> list[str]:
    """Names of the nodes that these arguments start."""
    names = ["state_estimator", "controller_manager", "trial_runner", "ilqr_controller"]
    if LaunchConfiguration("robot").perform(context) == "sim":
        names.append("mujoco_sim")
    for argument, name in (("record", "bag_recorder"), ("mpc", "mpc_controller")):
        if IfCondition(LaunchConfiguration(argument)).evaluate(context):
            names.append(name)
    if LaunchConfiguration("learned_model").perform(context):
        names.append("planner_controller")
    return names
