"""A ROS node in a process of its own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from launch.actions.execute_process import ExecuteProcess
from launch.logging import get_logger, launch_config
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions
from rclpy.validate_namespace import validate_namespace
from rclpy.validate_node_name import validate_node_name

from .. import parameter_values
from ..substitutions.executable_in_package import ExecutableInPackage
from . import push_ros_namespace, set_parameter

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext

_numbers = itertools.count(1)


class Node(ExecuteProcess):
    """Runs a program of a package as a ROS node.

    Args:
        executable: name of the program; without a package its path, or a name on the PATH.
        package: the program is in its directory `lib/<package>`.
        name: of the node; none means the one that the program chooses.
        namespace: below the one pushed by `PushRosNamespace`, unless it begins with a slash.
        exec_name: of the process; none means that of the program.
        parameters: paths of parameter files and dictionaries of parameters, the later before the earlier.
        remappings: pairs of names, from and to.
        ros_arguments: further arguments of ROS, such as `--log-level`.
        arguments: arguments of the program.
        options: as for `ExecuteProcess`, without `cmd` and `name`.
    """

    def __init__(
        self,
        *,
        executable: SomeSubstitutionsType,
        package: SomeSubstitutionsType | None = None,
        name: SomeSubstitutionsType | None = None,
        namespace: SomeSubstitutionsType | None = None,
        exec_name: SomeSubstitutionsType | None = None,
        parameters: Iterable[Any] | None = None,
        remappings: Iterable[tuple[SomeSubstitutionsType, SomeSubstitutionsType]] | None = None,
        ros_arguments: Iterable[SomeSubstitutionsType] | None = None,
        arguments: Iterable[SomeSubstitutionsType] | None = None,
        **options: Any,
    ) -> None:
        """Keep what was written."""
        program = executable if package is None else [ExecutableInPackage(executable=executable, package=package)]
        words: list[SomeSubstitutionsType] = [program, *(arguments or ())]
        if ros_arguments is not None:
            words += ["--ros-args", *ros_arguments]
        super().__init__(cmd=words, name=executable if exec_name is None else exec_name, **options)
        self._name = None if name is None else normalize_to_list_of_substitutions(name)
        self._namespace = None if namespace is None else normalize_to_list_of_substitutions(namespace)
        self._parameters = [_checked(entry) for entry in (parameters or ())]
        self._remappings = [
            (normalize_to_list_of_substitutions(source), normalize_to_list_of_substitutions(target))
            for source, target in (remappings or ())
        ]
        self._expanded_name: str | None = None
        self._expanded_namespace = "/"

    @property
    def node_name(self) -> str | None:
        """Namespace and name, once they were evaluated; None where the program chooses its name."""
        if self._expanded_name is None:
            return None
        return f"{self._expanded_namespace.rstrip('/')}/{self._expanded_name}"

    @property
    def expanded_node_namespace(self) -> str:
        """The namespace, once it was evaluated."""
        return self._expanded_namespace

    def prepare(self, context: LaunchContext) -> None:
        """Evaluate name, namespace and parameters, and complete the command line with them.

        Raises:
            ValueError: name or namespace is not allowed in ROS.
            TypeError: a parameter has a value that no parameter can have.
        """
        self._expand_names(context)
        words = ["--ros-args"]
        if self._expanded_name is not None:
            words += ["-r", f"__node:={self._expanded_name}"]
        if self._expanded_namespace != "/":
            words += ["-r", f"__ns:={self._expanded_namespace}"]
        for name, value in context.launch_configurations.get(set_parameter.CONFIGURATION, ()):
            words += ["-p", f"{name}:={parameter_values.as_argument(value)}"]
        for entry in self._parameters:
            path = self._parameter_file(context, entry)
            if path is not None:
                words += ["--params-file", path]
        for source, target in self._remappings:
            words += ["-r", f"{perform_substitutions(context, source)}:={perform_substitutions(context, target)}"]
        self.process_description.cmd += [normalize_to_list_of_substitutions(word) for word in words]
        super().prepare(context)

    def _expand_names(self, context: LaunchContext) -> None:
        outer = str(context.launch_configurations.get(push_ros_namespace.CONFIGURATION, ""))
        inner = "" if self._namespace is None else perform_substitutions(context, self._namespace)
        self._expanded_namespace = push_ros_namespace.joined(outer, inner)
        validate_namespace(self._expanded_namespace)
        if self._name is not None:
            self._expanded_name = perform_substitutions(context, self._name)
            validate_node_name(self._expanded_name)

    def _parameter_file(self, context: LaunchContext, entry: Any) -> str | None:
        """The path of a file with the parameters; a missing one is left out with a warning, as ROS users know it."""
        if isinstance(entry, Mapping):
            parameters = parameter_values.flattened(context, entry)
            specified = self.node_name is not None and self._expanded_namespace != "/"
            path = launch_config.get_log_file_path(f"launch_params_{next(_numbers)}.yaml")
            parameter_values.write_parameter_file(path, str(self.node_name) if specified else "/**", parameters)
            return path
        path = perform_substitutions(context, normalize_to_list_of_substitutions(entry))
        if not os.path.isfile(path):
            get_logger("launch_ros.actions.node").warning(f"Parameter file path is not a file: {path}")
            return None
        return path


def _checked(entry: Any) -> Any:
    if isinstance(entry, os.PathLike):
        return os.fspath(entry)
    if not parameter_values.is_path(entry) and not isinstance(entry, Mapping):
        raise TypeError(f"parameters of a node are paths of files and dictionaries, got {entry!r}")
    return entry
