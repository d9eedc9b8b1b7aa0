#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Prepares a virtual environment, one step a call; the Makefile knows which step is due. Needs no ROS distribution and leaves an installed one alone.
#
#   prepare.sh venv       check the system packages, pick a Python, create VENV
#   prepare.sh wheels     everything from PyPI, and fusion_ros itself as an editable install
#   prepare.sh message    build FusionStatus, and tf2_msgs, which has no wheel, and put them into VENV
#   prepare.sh package    put launch files, config and executables where ros2 run and ros2 launch look
#
# Environment: DISTRO (jazzy, kilted), VENV (folder), PYTHON (interpreter to use), EXTRAS (of setup.py), CONSTRAINTS (pip's -c).
# Logs: build/log/DISTRO-STEP.log
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

DISTRO="${DISTRO:-jazzy}"
VENV="$PWD/${VENV:-.venv}"
readonly DISTRO VENV
readonly VENV_PYTHON="$VENV/bin/python"
readonly BUILD="$PWD/build/message-$DISTRO"
readonly LOG="$PWD/build/log"
EXTRAS="${EXTRAS:-ros,dev,train,replay,detectors}"
CONSTRAINTS="${CONSTRAINTS:-environment/$DISTRO/constraints.txt}"

# A distribution's set-up script would mix its packages into the wheels'; the last one is how the wheels mark a child process.
unset PYTHONPATH PYTHONHOME AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE

say() { printf '%s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# run LABEL COMMAND...: quiet while all is well, a sign of life every ten seconds, the end of the log when it fails
run() {
  local label="$1" log="$LOG/$DISTRO-$STEP.log" started="$SECONDS" beat=10
  shift
  printf '\n$ %s\n' "$*" >>"$log"
  printf '  %s ...' "$label"
  "$@" >>"$log" 2>&1 </dev/null &
  local job="$!" status=0
  trap 'kill "$job" 2>/dev/null || true; exit 130' INT TERM
  while kill -0 "$job" 2>/dev/null; do
    sleep 0.5
    if ((SECONDS - started >= beat)); then
      printf ' %ds' "$((SECONDS - started))"
      beat=$((beat + 10))
    fi
  done
  wait "$job" || status="$?"
  trap - INT TERM
  if ((status != 0)); then
    printf ' failed\n'
    tail -n 40 "$log" >&2
    die "$label failed with exit code $status; the whole log is $log"
  fi
  printf ' done, %d s\n' "$((SECONDS - started))"
}

usable_python() {
  "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

pick_python() {
  if [[ -n "${PYTHON:-}" ]]; then
    usable_python "$PYTHON" || die "PYTHON=$PYTHON is not a Python 3.10 to 3.13 that runs"
    say "$PYTHON"
    return
  fi
  local candidate
  for candidate in python3 python3.13 python3.12 python3.11 python3.10; do
    if usable_python "$candidate"; then
      say "$candidate"
      return
    fi
  done
}

# The Debian and Ubuntu packages that are not there. A Python that is not the system's brings its own venv and headers.
missing_packages() {
  local python="$1" missing=()
  command -v cmake >/dev/null || missing+=(cmake)
  command -v ninja >/dev/null || missing+=(ninja-build)
  command -v g++ >/dev/null || missing+=(g++)
  if [[ -z "$python" ]]; then
    missing+=(python3 python3-venv python3-dev)
  else
    "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3-venv)
    "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || missing+=(python3-dev)
  fi
  say "${missing[*]:-}"
}

step_venv() {
  local python missing
  python="$(pick_python)"
  missing="$(missing_packages "$python")"
  if [[ -n "$missing" && "$(id -u)" == 0 && "${CI:-}" == true ]] && command -v apt-get >/dev/null; then
    say "  installing system packages: $missing"
    # shellcheck disable=SC2086  # the names are separate words
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } </dev/null ||
      die "apt-get could not install: $missing"
    python="$(pick_python)"
    missing="$(missing_packages "$python")"
  fi
  if [[ -n "$missing" ]]; then
    die "system packages are missing. Install them, then repeat:
    sudo apt-get install $missing"
  fi
  [[ -n "$python" ]] || die "no Python 3.10 to 3.13 found; name one: make setup PYTHON=/path/to/python3.11"
  if usable_python "$VENV_PYTHON"; then
    say "  ${VENV##*/} is there: $("$VENV_PYTHON" --version)"
    return
  fi
  [[ -e "$VENV" ]] && die "$VENV is there but holds no Python 3.10 to 3.13: make clean removes it"
  say "  creating ${VENV##*/} with $("$python" --version)"
  "$python" -m venv "$VENV"
}

step_wheels() {
  [[ -r "$CONSTRAINTS" ]] || die "CONSTRAINTS=$CONSTRAINTS cannot be read"
  local wanted there
  wanted="$(sed -n 's/^ros-rclpy==//p' "environment/$DISTRO/constraints.txt")"
  there="$("$VENV_PYTHON" -c 'from importlib.metadata import version; print(version("ros-rclpy"))' 2>/dev/null || true)"
  # pip would leave files of the other release behind.
  [[ -z "$there" || "$there" == "$wanted" ]] ||
    die "$VENV holds rclpy $there and not $wanted of $DISTRO: remove it (make clean), or name its distribution (such as
    make DISTRO=kilted VENV=${VENV##*/} TARGET)"
  # --no-compile: PyTorch has thousands of modules of which we import few
  run "build tools" "$VENV_PYTHON" -m pip install --no-compile -c "$CONSTRAINTS" -r "environment/$DISTRO/message-build.txt"
  run "rclpy, OpenVINO and the rest" \
    "$VENV_PYTHON" -m pip install --no-compile --no-build-isolation -c "$CONSTRAINTS" -e ".[$EXTRAS]"
}

step_message() {
  # The wheels name include folders of the container that they were built in; CMake stops at folders that do not exist.
  sed -i '/INTERFACE_INCLUDE_DIRECTORIES/ s|".*/opt/python.*"|""|' \
    "$VENV"/share/*/cmake/export_*__rosidl_generator_pyExport.cmake
  local stage="$BUILD/stage"
  rm -rf "$BUILD"
  # Copies, because CMake refuses include folders below the source folder, and .venv is one.
  mkdir -p "$BUILD/fusion_ros"
  cp -r CMakeLists.txt package.xml LICENSE LICENSE-WEIGHTS msg "$BUILD/fusion_ros"
  cp -r environment/tf2_msgs "$BUILD/tf2_msgs"
  export PATH="$VENV/bin:$PATH" AMENT_PREFIX_PATH="$VENV" CMAKE_PREFIX_PATH="$VENV"
  local package
  for package in tf2_msgs fusion_ros; do
    run "configure $package" cmake -S "$BUILD/$package" -B "$BUILD/build/$package" -G Ninja -DCMAKE_BUILD_TYPE=Release \
      -DCMAKE_INSTALL_PREFIX="$stage" -DPython3_EXECUTABLE="$VENV_PYTHON" -DBUILD_TESTING=OFF -DFUSION_ROS_MESSAGE_ONLY=ON
    run "compile $package" cmake --build "$BUILD/build/$package" --parallel "$(nproc)"
    run "install $package" cmake --install "$BUILD/build/$package"
  done
  # Without the generated, empty __init__.py the folder in site-packages adds fusion_ros.msg to the package and does not hide it;
  # without the generated egg-info pip does not take the folder for an older fusion_ros, and remove it.
  local generated
  generated="$(find "$stage" -path '*/fusion_ros/msg/__init__.py')"
  [[ -n "$generated" ]] || die "rosidl generated no fusion_ros/msg/__init__.py; see $LOG/$DISTRO-message.log"
  generated="${generated%/msg/__init__.py}"
  rm -rf "$generated/__init__.py" "$generated"-*.egg-info
  cp -r "$stage/." "$VENV/"
  run "import" "$VENV_PYTHON" -c 'from fusion_ros.msg import FusionStatus; FusionStatus.__class__.__import_type_support__()
from tf2_msgs.msg import TFMessage; TFMessage.__class__.__import_type_support__()'
}

# An editable install leaves out setup.py's data files.
step_package() {
  local share="$VENV/share/fusion_ros" lib="$VENV/lib/fusion_ros" index="$VENV/share/ament_index/resource_index/packages"
  mkdir -p "$share" "$lib" "$index"
  cp resource/fusion_ros "$index/"
  cp package.xml "$share/"
  # Links to the files and not to the folders: ros2 launch does not look into linked folders.
  local folder
  for folder in launch config; do
    rm -rf "${share:?}/$folder"
    mkdir "$share/$folder"
    ln -s "$PWD/$folder"/*.* "$share/$folder/"
  done
  # Copies, whose first line names this Python, where env would find the system's.
  local executable
  for executable in executables/*; do
    sed "1s|.*|#!$VENV_PYTHON|" "$executable" >"$lib/${executable##*/}"
    chmod +x "$lib/${executable##*/}"
  done
  # The version and the commands of setup.py may have changed.
  run "fusion_ros" "$VENV_PYTHON" -m pip install --no-deps --no-build-isolation -e .
}

readonly STEP="${1:-}"
case "$STEP" in
  venv | wheels | message | package)
    mkdir -p "$LOG"
    : >"$LOG/$DISTRO-$STEP.log"
    "step_$STEP"
    ;;
  *) die "usage: environment/prepare.sh venv|wheels|message|package" ;;
esac
