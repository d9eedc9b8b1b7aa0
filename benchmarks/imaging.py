# SPDX-License-Identifier: Apache-2.0
"""Time the steps between sensor and network.

python -m benchmarks.imaging [--size 640x512] [--repeats 60] [--threads 1] [--json FILE]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.report.tables import cell, report
from benchmarks.report.timing import measure
from fusion_ros.cli.argument_types import image_size
from fusion_ros.imaging import colour, encodings
from fusion_ros.imaging.overlay import overlay
from fusion_ros.registration.alignment import AlignmentMonitor
from fusion_ros.registration.geometry import HomographyCalibration, Size
from fusion_ros.registration.options import RegistrationOptions
from fusion_ros.registration.warp import ThermalRegistration
from fusion_ros.thermal.tone import ThermalToneMapper
from fusion_ros.thermal.tone_options import ToneOptions


def thermal_scene(height: int, width: int) -> np.ndarray:
    """Return counts like centikelvin: soft background, noise and one hot spot."""
    rng = np.random.default_rng(0)
    soft = cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), width / 20)
    scene = 29500 + soft / soft.std() * 300 + rng.normal(size=soft.shape) * 4
    scene[height // 3 : height // 3 + 20, width // 2 : width // 2 + 12] = 31000
    return scene.astype(np.uint16)


def cases(height: int, width: int) -> dict[str, Callable[[], object]]:
    """Return the steps by name."""
    rng = np.random.default_rng(0)
    rgb = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 2)
    grey, other = colour.luma(rgb), rng.integers(0, 256, (height, width), np.uint8)
    counts = thermal_scene(height, width)
    celsius = counts.astype(np.float32) / 100 - 273.15
    eight_bit = cv2.normalize(counts, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
    replace = colour.LumaReplacer()
    registration = ThermalRegistration()
    half = np.ascontiguousarray(other[::2, ::2])
    night = colour.LumaReplacer(dark_luma=40)
    dark = rgb // 6
    warp = np.array([[1.8, 0.02, 30], [-0.02, 1.8, 20], [1e-5, 1e-5, 1]])
    calibration = HomographyCalibration(warp, Size.of(half.shape), Size.of(rgb.shape))
    homography = ThermalRegistration(RegistrationOptions(mode="homography"), calibration)
    fused = other.copy()
    homography.prepare(half.shape, rgb.shape)
    clock = iter(range(0, 1 << 62, 33_333_333))
    steady, watch = ThermalToneMapper(), AlignmentMonitor()

    def tones(frame: np.ndarray, **options: object) -> Callable[[], object]:
        mapper = ThermalToneMapper(ToneOptions(**options))
        return lambda: mapper(frame, next(clock))

    def reads(pixels: np.ndarray, encoding: str, big: bool = False) -> Callable[[], object]:
        data, step = pixels.tobytes(), pixels.nbytes // height
        header = {"height": height, "width": width, "step": step, "is_bigendian": big}
        return lambda: encodings.decode_frame(data, encoding=encoding, **header).as_rgb()

    return {
        "decode rgb8": reads(rgb, "rgb8"),
        "decode bgr8 to RGB": reads(rgb, "bgr8"),
        "decode mono16": reads(counts, "mono16"),
        "decode mono16, big endian": reads(counts, "mono16", True),
        "luma of RGB": lambda: colour.luma(rgb),
        "replace luma": lambda: replace(rgb, other, old_luma=grey),
        "replace luma (dark colour fades)": lambda: night(dark, other),
        **_tones({"uint16": counts, "float32": celsius, "uint8": eight_bit}, tones),
        "tone: 8-bit, no jump": lambda: steady(grey, next(clock)),
        "register: resize from half size": lambda: registration(half, rgb.shape),
        "register: homography from half size": lambda: homography(half, rgb.shape),
        "blend at the seam, luma": lambda: homography.blend_outside(fused, grey),
        "evaluate the alignment": lambda: watch.evaluate(grey, other),
        "overlay for people": lambda: overlay(rgb, other),
        "encode bgr8 from RGB": lambda: encodings.encode(rgb, "bgr8"),
    }


def _tones(
    frames: dict[str, np.ndarray], tones: Callable[..., Callable[[], object]]
) -> dict[str, Callable[[], object]]:
    """Return every tone mode for every type of frame, with and without detail."""
    found = {}
    for kind, frame in frames.items():
        low, high = (float(v) for v in np.percentile(frame, [1, 99]))
        modes = {
            "fixed": {"fixed_low": low, "fixed_high": high},
            "percentile": {},
            "histogram": {},
            "clahe": {},
        }
        for mode, options in modes.items():
            for gain, detail in ((0.0, ""), (1.0, " with detail")):
                found[f"tone: {mode}{detail}, {kind}"] = tones(
                    frame, mode=mode, detail_gain=gain, eight_bit="map", **options
                )
    return found


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=image_size, default="640x512", metavar="WIDTHxHEIGHT")
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1, help="OpenCV's threads")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    width, height = args.size
    cv2.setNumThreads(args.threads)
    samples = measure(cases(height, width), runs=args.repeats, warm_up=5, seconds=60)
    return report(
        args.json,
        f"Steps between sensor and network at {width}x{height}, OpenCV's threads: {args.threads}",
        ["step", "median (best)"],
        [[name, cell(sample)] for name, sample in samples.items()],
    )


if __name__ == "__main__":
    sys.exit(main())
