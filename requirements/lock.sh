#!/usr/bin/env bash
# Pin every requirement for CPython 3.10-3.13 on Linux x86-64 (settings of uv: ../pyproject.toml). Needs uv.
set -euo pipefail
cd "$(dirname "$0")"

compile() { # NAME [OPTIONS]: NAME.in -> NAME.txt
  uv pip compile --quiet --no-python-downloads "$1.in" "${@:2}" --output-file "$1.txt" >/dev/null
  # True on every machine this project supports, so only noise in the file.
  sed -i -E "s/ (;|and) platform_machine == 'x86_64' and sys_platform == 'linux'//" "$1.txt"
  sed -i "1i # Made from $1.in by requirements/lock.sh; do not edit." "$1.txt"
}

compile mbpl
compile ros_jazzy --constraints mbpl.txt
compile ray --constraints mbpl.txt
compile rerun --constraints mbpl.txt
compile sb3 --constraints mbpl.txt --constraints torch.txt
compile crocoddyl
compile docs
compile lerobot
