#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs a command with the distribution and fusion_ros on its paths.
set -e
# shellcheck disable=SC1090
source "/opt/ros/${ROS_DISTRO}/setup.bash"
# shellcheck disable=SC1091
source /opt/fusion_ros/local_setup.bash
exec "$@"
