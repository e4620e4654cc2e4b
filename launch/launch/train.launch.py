"""Learn by trial: the graph of mbpl.launch.py, and the nodes that learn.

All arguments of mbpl.launch.py count here, too.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.actions import LifecycleNode, Node, PushRosNamespace
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

#: Arguments of mbpl.launch.py that the nodes here need, too, or that have another default.
SHARED = (
    ("task", "arm_reach", "name of a task, or path of its YAML"),
    ("namespace", "mbpl", "namespace of all nodes"),
    ("mpc", "false", "whether to start the receding-horizon planner"),
    ("mode", "realtime", "pace of the simulation: realtime or lockstep"),
    ("config", "mbpl.yaml", "parameters: a file of this package's config directory, or a path"),
    ("seed", "0", "of all that is drawn"),
    ("log_level", "info", "of every node"),
)
OWN = (
    ("variant", "", "of gps: mdgps, badmm or lagrangian; empty: the task's"),
    ("iterations", "0", "in all; 0: as many as the method usually takes"),
    ("samples", "0", "trials a condition and iteration; 0: the task's"),
    ("output", "", "directory of the run; one that exists is resumed; empty: a new one in runs"),
    ("start", "true", "whether the training starts by itself; else the action gps_trainer/train does"),
)


def generate_launch_description() -> LaunchDescription:
    """Arguments, the graph, the nodes that learn."""
    share = FindPackageShare("mbpl_bringup")
    paced = PathJoinSubstitution([share, "config", PythonExpression(["'", LaunchConfiguration("mode"), ".yaml'"])])
    config = PathJoinSubstitution([share, "config", LaunchConfiguration("config")])
    task = {"task": LaunchConfiguration("task")}
    log = ["--log-level", LaunchConfiguration("log_level")]

    def node(kind: type[Node], name: str, parameters: dict[str, object], **options: str) -> Node:
        return kind(
            package="mbpl_control",
            executable=name,
            name=name,
            parameters=[paced, config, task, parameters],
            ros_arguments=log,
            output="screen",
            **options,
        )

    def whole(name: str) -> ParameterValue:
        return ParameterValue(LaunchConfiguration(name), value_type=int)

    def text(name: str) -> ParameterValue:
        return ParameterValue(LaunchConfiguration(name), value_type=str)

    trainer = {
        "start": ParameterValue(LaunchConfiguration("start"), value_type=bool),
        "method": text("method"),
        "variant": text("variant"),
        "iterations": whole("iterations"),
        "samples": whole("samples"),
        "seed": whole("seed"),
        "run_directory": text("output"),
    }
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=description)
                for name, default, description in (*SHARED, *OWN)
            ),
            DeclareLaunchArgument(
                "method", default_value="lqr_flm", choices=["lqr_flm", "gps"], description="what learns"
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(PathJoinSubstitution([share, "launch", "mbpl.launch.py"])),
                launch_arguments=[(name, LaunchConfiguration(name)) for name, _, _ in SHARED],
            ),
            GroupAction(
                [
                    PushRosNamespace(LaunchConfiguration("namespace")),
                    node(Node, "dynamics_fitter", {}),
                    # `autostart` has a node configure and activate itself; from then on its lifecycle services rule
                    node(LifecycleNode, "lqr_flm_controller", {"autostart": True}, namespace=""),
                    node(LifecycleNode, "neural_policy", {"autostart": True}, namespace=""),
                    node(Node, "gps_trainer", trainer),
                ]
            ),
        ]
    )
