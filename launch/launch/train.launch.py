"""Learn by trial: the graph of mbpl.launch.py, and the nodes that learn.

All arguments of mbpl.launch.py count here, too.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, PushRosNamespace
from mbpl_bringup.graph import declared, node, typed, whole_graph
from mbpl_bringup.security import secured, security_arguments

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
    ("online", "false", "whether dynamics_fitter follows the robot during trials"),
    ("start", "true", "whether the training starts by itself; else the action gps_trainer/train does"),
)


def generate_launch_description() -> LaunchDescription:
    """Arguments, the graph, the nodes that learn."""
    # what is given as text may look like a number
    trainer = {
        "start": typed("start", bool),
        "method": typed("method", str),
        "variant": typed("variant", str),
        "iterations": typed("iterations", int),
        "samples": typed("samples", int),
        "seed": typed("seed", int),
        "run_directory": typed("output", str),
    }
    passed_on = [*(name for name, _, _ in SHARED), "security", "enclaves"]
    return LaunchDescription(
        [
            *declared((*SHARED, *OWN)),
            DeclareLaunchArgument(
                "method", default_value="lqr_flm", choices=["lqr_flm", "gps"], description="what learns"
            ),
            *security_arguments(),
            secured(lambda _: ["dynamics_fitter", "lqr_flm_controller", "neural_policy", "gps_trainer"]),
            whole_graph((name, LaunchConfiguration(name)) for name in passed_on),
            GroupAction(
                [
                    PushRosNamespace(LaunchConfiguration("namespace")),
                    node("dynamics_fitter", {"online": typed("online", bool)}),
                    # `autostart` has a node configure and activate itself; from then on its lifecycle services rule
                    node("lqr_flm_controller", {"autostart": True}, kind=LifecycleNode, namespace=""),
                    node("neural_policy", {"autostart": True}, kind=LifecycleNode, namespace=""),
                    node("gps_trainer", trainer),
                ]
            ),
        ]
    )
