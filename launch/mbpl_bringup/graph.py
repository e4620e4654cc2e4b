"""Nodes of the graph as every launch file starts them: parameters in their order, log level, enclave."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from launch import LaunchContext
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from mbpl_bringup.security import Argument, environment


def share() -> FindPackageShare:
    """Where this package keeps launch files and parameters."""
    return FindPackageShare("mbpl_bringup")


def declared(arguments: Iterable[Argument]) -> list[DeclareLaunchArgument]:
    """Launch arguments that take any text."""
    return [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in arguments]


def typed(name: str, kind: type) -> ParameterValue:
    """A launch argument as a parameter of a type."""
    return ParameterValue(LaunchConfiguration(name), value_type=kind)


def node(
    executable: str,
    *parameters: object,
    kind: type[Node] = Node,
    name: str | None = None,
    package: str = "mbpl_control",
    **options: Any,
) -> Node:
    """A node, with the parameters of its pace, of the user's file, of the task and its own, later ones winning.

    Its enclave is its full name; without security an enclave is a name and nothing more.

    Args:
        executable: the program, and the node's name unless it is given.
        parameters: of its own.
        kind: the action that starts it.
        name: of the node.
        package: of the program.
        options: of the action.
    """
    called = name or executable
    namespace = LaunchConfiguration("namespace")
    enclave = PythonExpression(
        ["'/'.join(['', *'", namespace, f"'.strip('/').split('/'), '{called}']).replace('//', '/')"]
    )
    return kind(
        package=package,
        executable=executable,
        name=called,
        parameters=[
            PathJoinSubstitution([share(), "config", PythonExpression(["'", LaunchConfiguration("mode"), ".yaml'"])]),
            PathJoinSubstitution([share(), "config", LaunchConfiguration("config")]),
            {"task": LaunchConfiguration("task")},
            *parameters,
        ],
        ros_arguments=["--log-level", LaunchConfiguration("log_level"), "--enclave", enclave],
        additional_env=environment(),
        output="screen",
        **options,
    )


def whole_graph(arguments: Iterable[tuple[str, Any]]) -> IncludeLaunchDescription:
    """The graph of mbpl.launch.py with these arguments."""
    file = PathJoinSubstitution([share(), "launch", "mbpl.launch.py"])
    return IncludeLaunchDescription(PythonLaunchDescriptionSource(file), launch_arguments=list(arguments))


def ends_launch(reason: str) -> OpaqueFunction:
    """End the launch because a node it cannot do without has ended, unless `on_loss` says to go on without it.

    Nothing more while it is ending already.
    """

    def ended(context: LaunchContext) -> list[Shutdown]:
        goes_on = context.is_shutdown or LaunchConfiguration("on_loss").perform(context) == "go_on"
        return [] if goes_on else [Shutdown(reason=reason)]

    return OpaqueFunction(function=ended)
