"""Bring up mbpl: robot (simulated or real), estimator, manager, planners, trial runner, recorder.

The same file serves simulation and hardware: with `robot:=hardware` the simulation is left out, and a bridge that
publishes `joint_states` and takes `joint_commands` in the same namespace stands in its place.
"""

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    GroupAction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessStart
from launch.events import matches_action
from launch.substitutions import (
    EnvironmentVariable,
    LaunchConfiguration,
    PathJoinSubstitution,
    PythonExpression,
)
from launch_ros.actions import LifecycleNode, Node, PushRosNamespace
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition

ARGUMENTS = (
    ("task", "arm_reach", "name of a task, or path of its YAML"),
    ("namespace", "mbpl", "namespace of all nodes"),
    ("mode", "realtime", "pace of the simulation: realtime or lockstep"),
    ("rate", "200.0", "Hz, rate of joint states and commands"),
    ("seed", "0", "seed of the simulation's noise"),
    ("mpc", "true", "whether to start the receding-horizon planner"),
    ("record", "true", "whether to start the bag recorder"),
    ("view", "false", "whether to serve a viewer to the browser (simulation only)"),
    ("log_level", "info", "of every node"),
)


def generate_launch_description() -> LaunchDescription:
    """Arguments, then the nodes; the loss of robot, estimator or manager ends the launch."""
    task = {"task": LaunchConfiguration("task")}
    share = FindPackageShare("mbpl_bringup")
    config = PathJoinSubstitution([share, "config", LaunchConfiguration("config")])
    rate = {"rate": ParameterValue(LaunchConfiguration("rate"), value_type=float)}
    log = ["--log-level", LaunchConfiguration("log_level")]

    def node(executable: str, *parameters: object, package: str = "mbpl_control", **options: object) -> Node:
        return Node(
            package=package,
            executable=executable,
            name=executable,
            parameters=[config, task, *parameters],
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
        on_exit=Shutdown(reason="the simulated robot ended"),
        condition=IfCondition(PythonExpression(["'", LaunchConfiguration("robot"), "' == 'sim'"])),
    )
    estimator = node("state_estimator", on_exit=Shutdown(reason="the state estimator ended"))
    manager = node(
        "controller_manager", rate, on_exit=Shutdown(reason="the controller manager ended")
    )
    runner = node("trial_runner")
    recorder = node("bag_recorder", condition=IfCondition(LaunchConfiguration("record")))
    planner = _planner("ilqr_controller", config, task, log)
    mpc = _planner("mpc_controller", config, task, log, IfCondition(LaunchConfiguration("mpc")))

    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, default, text in ARGUMENTS
            ),
            DeclareLaunchArgument(
                "robot",
                default_value="sim",
                choices=["sim", "hardware"],
                description="sim, or hardware: a bridge of yours publishes joint_states",
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
                    *planner,
                    *mpc,
                ]
            ),
        ]
    )


def _planner(
    name: str, config: object, task: object, log: list, condition: IfCondition | None = None
) -> list:
    """A planner, configured as soon as its process runs and activated as soon as it is configured."""
    planner = LifecycleNode(
        package="mbpl_control",
        executable="ilqr_controller",
        name=name,
        namespace="",
        parameters=[config, task],
        ros_arguments=log,
        output="screen",
        condition=condition,
    )

    def change(transition: int) -> EmitEvent:
        return EmitEvent(
            event=ChangeState(
                lifecycle_node_matcher=matches_action(planner), transition_id=transition
            )
        )

    return [
        RegisterEventHandler(
            OnProcessStart(
                target_action=planner,
                on_start=[change(Transition.TRANSITION_CONFIGURE)],
            )
        ),
        RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=planner,
                start_state="configuring",
                goal_state="inactive",
                entities=[change(Transition.TRANSITION_ACTIVATE)],
            )
        ),
        planner,
    ]
