# SPDX-License-Identifier: Apache-2.0
"""The fuse node's parameters: declaration, checks, files and documentation from one table.

Importing this package loads neither PyTorch nor OpenCV nor ROS.
"""

from fusion_ros.parameters.specification import ParameterError, ParameterSpec
from fusion_ros.parameters.table import SPECS, FuseParameters

__all__ = ["SPECS", "FuseParameters", "ParameterError", "ParameterSpec"]
