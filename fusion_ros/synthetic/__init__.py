# SPDX-License-Identifier: Apache-2.0
"""A synthetic street at dusk, seen by an RGB and a thermal camera. Deterministic, without ROS.

For demos, tests and benchmarks without recordings. Some people are visible only to the thermal
camera (darkness, glare, smoke). Some marks are visible only to the RGB camera (lettering, road
paint, brickwork). So fusion has an effect.
"""

from fusion_ros.synthetic.scene import Scene

__all__ = ["Scene"]
