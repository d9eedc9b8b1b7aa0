# SPDX-License-Identifier: Apache-2.0
"""fusion_ros: pair an RGB and a thermal camera and fuse them into one picture, on time.

Importing the package imports nothing heavy: no torch, no rclpy. The rooms below it do, where they
need to.
"""

from pkgutil import extend_path

# The generated message package (`fusion_ros.msg`) is installed by rosidl under the same name,
# possibly in another prefix than this source tree: extend_path makes both one package.
__path__ = extend_path(__path__, __name__)

__version__ = "0.2.0"
