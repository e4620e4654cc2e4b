#!/usr/bin/env bash
# Every linter, in the environment of tools/env.sh; all run, and the exit code tells whether all were silent.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=(ros2_ws/src/mbpl_control sim launch)
failed=0

check() { # COMMAND...: silent when it passes
  local output
  if output=$("$@" 2>&1); then
    echo "ok: $1${2:+ $2}"
  else
    failed=1
    echo "FAILED: $*"
    grep -vE '^(checking |\* |$)' <<<"$output" # the ament linters name every file they look at
  fi
}

check ruff check .
check ruff format --check .
check mypy
for linter in ament_flake8 ament_pep257; do
  if ! command -v $linter >/dev/null; then
    echo "left out: $linter is not part of the ROS installation that is sourced (package $linter)"
  elif [ $linter = ament_flake8 ]; then
    check ament_flake8 --config tools/flake8.ini "${packages[@]}"
  else
    check ament_pep257 --convention pep257 --add-ignore D401 D402 D403 -- "${packages[@]}"
  fi
done
exit $failed
