# SPDX-License-Identifier: Apache-2.0
"""A made-up street at dusk, seen by an RGB and a thermal camera. Deterministic, no ROS.

For demos, tests and benchmarks that must not depend on anybody's recordings. Some of its people
are hidden from the RGB camera (by darkness, glare and smoke) and some of its marks (lettering,
road paint, brickwork) from the thermal one: that is what fusion is for.
"""

from fusion_ros.synthetic.scene import Scene

__all__ = ["Scene"]
