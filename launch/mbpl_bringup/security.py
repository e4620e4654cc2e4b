"""SROS 2: every node in an enclave of its own, and no node at all where one is missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from launch import LaunchContext
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetLaunchConfiguration
from launch.substitutions import LaunchConfiguration

#: Name, default and meaning of a launch argument.
Argument = tuple[str, str, str]

#: The keystore; passed on by launch files that include another.
ENCLAVES: Argument = ("enclaves", "", "directory of the SROS 2 keystore; empty: that of ROS_SECURITY_KEYSTORE")
#: What an enclave holds, as `ros2 security create_enclave` makes it.
FILES = ("identity_ca.cert.pem", "permissions_ca.cert.pem", "cert.pem", "key.pem", "governance.p7s", "permissions.p7s")


class KeystoreError(Exception):
    """The keystore, or an enclave in it, is missing."""


def security_arguments() -> list[DeclareLaunchArgument]:
    """`security` and `enclaves`."""
    name, default, text = ENCLAVES
    return [
        DeclareLaunchArgument(
            "security",
            default_value="false",
            choices=["true", "false"],
            description="whether the nodes authenticate and encrypt (SROS 2), each in its enclave",
        ),
        DeclareLaunchArgument(name, default_value=default, description=text),
    ]


#: Variables of the nodes, and the launch configurations their values come from. They are not set for the launch itself,
#: which may have a node of its own and has no enclave.
VARIABLES = {f"ROS_SECURITY_{name}": f"ros_security_{name.lower()}" for name in ("ENABLE", "STRATEGY", "KEYSTORE")}


def secured(nodes: Callable[[LaunchContext], Sequence[str]]) -> OpaqueFunction:
    """What `environment` of all nodes after this says: with `security:=true` SROS 2, else what the shell says.

    It is an error when the keystore lacks something.

    Args:
        nodes: names of the nodes that are started.
    """

    def secure(context: LaunchContext) -> list[SetLaunchConfiguration]:
        values = [os.environ.get(variable, "") for variable in VARIABLES]
        if LaunchConfiguration("security").perform(context) == "true":
            given = LaunchConfiguration("enclaves").perform(context) or values[2]
            namespace = LaunchConfiguration("namespace").perform(context).strip("/")
            keystore = check_keystore(given, [f"{namespace}/{name}".strip("/") for name in nodes(context)])
            values = ["true", "Enforce", str(keystore)]
        return [SetLaunchConfiguration(name, value) for name, value in zip(VARIABLES.values(), values, strict=True)]

    return OpaqueFunction(function=secure)


def environment() -> dict[str, LaunchConfiguration]:
    """The variables of a node, once `secured` was visited."""
    return {variable: LaunchConfiguration(name) for variable, name in VARIABLES.items()}


def check_keystore(directory: str, enclaves: Sequence[str]) -> Path:
    """The keystore's full path.

    Args:
        directory: of the keystore.
        enclaves: that are needed, without the leading slash.

    Raises:
        KeystoreError: it is missing, or an enclave or a file of one is; the message says what makes it.
    """
    if not directory:
        raise KeystoreError(
            "security:=true needs a keystore: give enclaves:=DIRECTORY, or set ROS_SECURITY_KEYSTORE; "
            "`ros2 security create_keystore DIRECTORY` makes one"
        )
    keystore = Path(directory).expanduser().absolute()
    if not (keystore / "enclaves").is_dir():
        raise KeystoreError(f"{keystore}: no keystore; `ros2 security create_keystore {keystore}` makes one")
    for enclave in enclaves:
        missing = [name for name in FILES if not (keystore / "enclaves" / enclave / name).is_file()]
        if missing:
            raise KeystoreError(
                f"{keystore}: enclave '/{enclave}' lacks {', '.join(missing)}; "
                f"`ros2 security create_enclave {keystore} /{enclave}` makes it"
            )
    return keystore
