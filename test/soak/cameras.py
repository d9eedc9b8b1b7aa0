# SPDX-License-Identifier: Apache-2.0
"""Process: cameras whose frames are numbered, and lost, delayed and duplicated on their way.

The options are those of `benchmarks.field.cameras`.
"""

from __future__ import annotations

import sys

import numpy as np
from sensor_msgs.msg import Image

from benchmarks.field import cameras
from soak import strip
from soak.lossy import Lossy

SEED = 1


def number_pair(visible: Image, thermal: Image, number: int) -> None:
    """Draw the number of a pair into both images; their memory is kept.

    A delayed message shows the number of a later frame if its own image is drawn again meanwhile,
    which takes `cameras.PICTURES` periods.
    """
    for message, row, dark, bright in (
        (visible, strip.VISIBLE_ROW, 20, 235),
        (thermal, strip.THERMAL_ROW, 29_000, 30_500),
    ):
        kind = np.uint16 if message.encoding == "mono16" else np.uint8
        pixels = np.frombuffer(message.data, kind).reshape(message.height, message.width, -1)
        strip.write(pixels, number, row, dark=dark, bright=bright)


if __name__ == "__main__":
    sys.exit(cameras.main(number_pair, [Lossy[Image](SEED + n).arrivals for n in range(2)]))
