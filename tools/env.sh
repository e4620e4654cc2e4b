# Source this in bash or zsh: a shell in which `ros2`, `colcon` and `mbpl` work. It changes this shell only.
#   source tools/env.sh

_mbpl_prepend() { # VARIABLE DIRECTORY: in front, once
  eval "case \":\${$1:-}:\" in *:\"\$2\":*) ;; *) export $1=\"\$2\${$1:+:\$$1}\" ;; esac"
}

_mbpl_source() {
  local this shell root strict=
  if [ -n "${ZSH_VERSION:-}" ]; then
    eval 'this=${(%):-%x}'
    shell=zsh
  else
    this=${BASH_SOURCE[0]}
    shell=bash
  fi
  root=$(cd "$(dirname "$this")/.." && pwd)
  if [ ! -f "$root/.setup/environment.sh" ] || [ ! -f "$root/install/local_setup.$shell" ]; then
    echo "mbpl is not set up yet. Run first: make -C $root setup" >&2
    return 1
  fi
  if grep -q 'MBPL_SETUP=sourced' "$root/.setup/environment.sh"; then
    if [ "${ROS_DISTRO:-}" != jazzy ]; then
      echo "This set-up builds on an installed ROS 2 Jazzy. Source its setup file first, or run: make -C $root setup" >&2
      return 1
    fi
  elif [ -n "${ROS_DISTRO:-}" ]; then
    echo "This set-up has its own ROS, and ROS '$ROS_DISTRO' is sourced in this shell." >&2
    echo "Use a shell without ROS, or let the set-up use yours: make -C $root setup" >&2
    return 1
  fi
  source "$root/.setup/environment.sh"
  # The robot must not hear, nor be heard by, other machines unless the user says so.
  export ROS_AUTOMATIC_DISCOVERY_RANGE="${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}"
  case $- in *u*) strict=yes ;; esac
  set +u # colcon's files read variables that may not be set
  source "$root/install/local_setup.$shell"
  [ -z "$strict" ] || set -u
}

_mbpl_source
_mbpl_status=$?
unset -f _mbpl_source _mbpl_prepend
return $_mbpl_status
