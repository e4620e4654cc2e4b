#!/bin/sh
# Print the path of the Python that the set-up shall use: CPython 3.10 to 3.13 with venv and pip, and with the rclpy of
# a sourced ROS. PYTHON=... names one; else the first that fits of python3, 3.12, 3.11, 3.13, 3.10 on the PATH.
# Exit code 1, and what was tried on standard error, when none fits.

if [ "${MBPL_SETUP:-}" = wheels ]; then
  unset ROS_DISTRO # a shell of tools/env.sh without a ROS installation
fi

probe='
import os, platform, sys
version = ".".join(map(str, sys.version_info[:3]))
if platform.python_implementation() != "CPython" or not (3, 10) <= sys.version_info[:2] <= (3, 13):
    sys.exit(f"is {platform.python_implementation()} {version}")
try:
    import ensurepip, venv
except ImportError:
    sys.exit(f"is {version} without venv and pip (Debian, Ubuntu: apt install python{version.rpartition(chr(46))[0]}-venv)")
if os.environ.get("ROS_DISTRO") == "jazzy":
    try:
        import rclpy
    except ImportError as error:
        sys.exit(f"is {version} and cannot import the rclpy of the sourced ROS ({error})")
print(getattr(sys, "_base_executable", sys.executable) if sys.prefix != sys.base_prefix else sys.executable)
'

if [ -n "${PYTHON:-}" ]; then
  set -- "$PYTHON"
else
  set -- python3 python3.12 python3.11 python3.13 python3.10
  own=$(dirname "$0")/../.venv/bin/python
  [ -x "$own" ] && set -- "$own" "$@"
fi

tried=
for name in "$@"; do
  if ! path=$(command -v "$name"); then
    tried="$tried
  $name: not found"
  elif found=$("$path" -c "$probe" 2>&1); then
    echo "$found"
    exit 0
  else
    tried="$tried
  $path: $(echo "$found" | head -n 1)"
  fi
done

echo "No Python that fits. Needed is CPython 3.10 to 3.13 with venv${ROS_DISTRO:+, able to import the rclpy of ROS 2 $ROS_DISTRO}. Tried:$tried
Install one (Debian, Ubuntu: apt install python3 python3-dev python3-venv), or name one: make PYTHON=/path/to/python3.12" >&2
if [ -n "${ROS_DISTRO:-}" ]; then
  echo "Or take ROS from PyPI: run make in a shell without ROS_DISTRO (now '$ROS_DISTRO')." >&2
fi
exit 1
