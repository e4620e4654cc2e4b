"""linear_feedback_controller_msgs for the tests: those that are installed, or built anew in a temporary directory.

The wheels from PyPI do not have them. A build takes about a minute of one core.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "linear_feedback_controller_msgs"
#: Fields as in version 1.2.2 of the package.
MESSAGES = {
    "Contact": "bool active\nstring name\ngeometry_msgs/Wrench wrench\ngeometry_msgs/Pose pose\n",
    "Control": (
        "std_msgs/Header header\nstd_msgs/Float64MultiArray feedback_gain\n"
        "std_msgs/Float64MultiArray feedforward\nSensor initial_state\n"
    ),
    "Sensor": (
        "std_msgs/Header header\ngeometry_msgs/Pose base_pose\ngeometry_msgs/Twist base_twist\n"
        "sensor_msgs/JointState joint_state\nContact[] contacts\n"
    ),
}
DEPENDENCIES = ("std_msgs", "sensor_msgs", "geometry_msgs")
CMAKE = f"""cmake_minimum_required(VERSION 3.16)
project({PACKAGE})
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
foreach(dependency {" ".join(DEPENDENCIES)})
  find_package(${{dependency}} REQUIRED)
endforeach()
rosidl_generate_interfaces(${{PROJECT_NAME}} {" ".join(f"msg/{name}.msg" for name in MESSAGES)}
  DEPENDENCIES {" ".join(DEPENDENCIES)})
ament_export_dependencies(rosidl_default_runtime)
ament_package()
"""
MANIFEST = f"""<?xml version="1.0"?>
<package format="3">
  <name>{PACKAGE}</name>
  <version>1.2.2</version>
  <description>Messages of linear-feedback-controller, as its own package has them.</description>
  <maintainer email="maintainers@mbpl.dev">mbpl maintainers</maintainer>
  <license>BSD-2-Clause</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <buildtool_depend>rosidl_default_generators</buildtool_depend>
  {"".join(f"<depend>{name}</depend>" for name in DEPENDENCIES)}
  <exec_depend>rosidl_default_runtime</exec_depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
"""
#: What a sourced workspace adds to.
VARIABLES = ("AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PATH")


def environment(directory: Path) -> dict[str, str]:
    """Variables with which processes find the messages; none are needed where they are installed.

    Args:
        directory: an empty one, for the build.
    """
    if find_spec(PACKAGE) is not None:
        return {}
    source = directory / "src" / PACKAGE
    (source / "msg").mkdir(parents=True)
    for name, text in MESSAGES.items():
        (source / "msg" / f"{name}.msg").write_text(text)
    (source / "CMakeLists.txt").write_text(CMAKE)
    (source / "package.xml").write_text(MANIFEST)
    program = "import sys; from colcon_core.command import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "build", "--event-handlers", "console_direct+"]
    command += ["--cmake-args", "-DCMAKE_BUILD_TYPE=Release", f"-DPython3_EXECUTABLE={sys.executable}"]
    built = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=900.0, check=False)
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    script = f"source {directory}/install/local_setup.bash && env -0"
    sourced = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60.0, check=True)
    found = dict(line.split("=", 1) for line in sourced.stdout.split("\0") if "=" in line)
    return {name: found[name] for name in VARIABLES if found.get(name) != os.environ.get(name)}
