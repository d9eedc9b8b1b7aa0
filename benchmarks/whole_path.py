# SPDX-License-Identifier: Apache-2.0
"""Time the whole path of a pair by stage, from raw bytes to fused bytes.

    python -m benchmarks.whole_path [--size 640x480] [--engine auto] [--runs 120] [--json FILE]
    python -m benchmarks.whole_path --preset compact --thermal uint16 --registration homography

Without an option that selects a case, all `CASES` run in turn in one process. Also measures the
memory of a frame in the steady state: pages from the kernel (expected: none) and bytes of the heap.
With a homography the thermal camera has half the size and covers a part of the visible image, so
the seam is blended. As in the node, the tone curve learns after the image is published: `learn` is
not part of `whole`.
"""

from __future__ import annotations

import dataclasses
import itertools
import resource
import statistics
import sys
import time
import tracemalloc

import numpy as np

from benchmarks.report.tables import Target, cell, options, report
from benchmarks.report.timing import summary
from fusion_ros.engines.choice import create_engine
from fusion_ros.engines.engine import Engine
from fusion_ros.engines.parity import golden_pair
from fusion_ros.engines.process import configure_process
from fusion_ros.imaging.encodings import decode_frame, encode
from fusion_ros.model.config import PRESETS
from fusion_ros.model.weights import load_weights, shipped_weights
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.registration.geometry import HomographyCalibration, Size
from fusion_ros.registration.options import RegistrationOptions
from fusion_ros.registration.warp import ThermalRegistration

COLUMNS = ["", "thermal", "registration", "infer (best)", "whole (best)"]
COLUMNS += ["outside the network", "page faults a frame", "heap a frame, KiB"]
WARM_UP_FRAMES = 5
#: The whole path of `compact` at 640x480, bytes to bytes: 30 images a second.
MOST_WHOLE_PATH_MS = 33.0
#: Largest share of the whole path outside the network, for 8-bit images without warping.
MOST_OUTSIDE_PERCENT = 15.0


@dataclasses.dataclass(frozen=True)
class Case:
    """Network, precision, thermal type and registration of a measurement."""

    preset: str = "compact"
    precision: str = "auto"
    thermal: str = "uint8"
    registration: str = "resize"


CASES = (
    Case(),
    Case(thermal="uint16"),
    Case(registration="homography"),
    Case(thermal="uint16", registration="homography"),
    Case(precision="float32"),
    Case(precision="int8"),
    Case(preset="paper"),
)


class MeasuredCase:
    """A pipeline, the images of its case, and the measurements so far."""

    def __init__(self, case: Case, engine: Engine, height: int, width: int) -> None:
        self.case = case
        self.engine = engine.describe()
        registration, size = ThermalRegistration(), Size(width, height)
        if case.registration == "homography":
            size = Size(width // 2, height // 2)
            inside = np.array([[1.8, 0.02, 30], [-0.02, 1.8, 20], [1e-5, 1e-5, 1]])
            calibration = HomographyCalibration(inside, size, Size(width, height))
            wanted = RegistrationOptions(mode="homography")
            registration = ThermalRegistration(wanted, calibration)
        self._pipeline = FusionPipeline(engine, registration=registration)
        self._pipeline.warm_up(height, width)
        colour, _ = golden_pair(height, width, 3)
        _, thermal = golden_pair(size.height, size.width, 1)
        counts = thermal if case.thermal == "uint8" else thermal.astype(np.uint16) * 8 + 29_000
        encoding = "mono8" if case.thermal == "uint8" else "mono16"
        self._frames = [
            (pixels.tobytes(), _header(pixels, encoding))
            for pixels, encoding in ((colour, "rgb8"), (counts, encoding))
        ]
        self._stamps_ns = itertools.count(step=33_333_333)
        self.stages: dict[str, list[float]] = {}
        self.faults: list[int] = []

    def take(self) -> dict[str, float]:
        """Process one frame and return the ms of each stage."""
        stamp_ns = next(self._stamps_ns)
        marks = [time.perf_counter_ns()]
        visible, heat = (decode_frame(data, **header).as_rgb() for data, header in self._frames)
        marks.append(time.perf_counter_ns())
        fused = self._pipeline.fuse(visible, heat, order="rgb", stamp_ns=stamp_ns, learn_later=True)
        marks.append(time.perf_counter_ns())
        encode(fused.image, "rgb8")
        marks.append(time.perf_counter_ns())
        self._pipeline.learn()
        return {
            "decode": (marks[1] - marks[0]) / 1e6,
            **fused.timings_ms,
            "encode": (marks[3] - marks[2]) / 1e6,
            "whole": (marks[3] - marks[0]) / 1e6,
            "learn": (time.perf_counter_ns() - marks[3]) / 1e6,
        }

    def run(self) -> None:
        """Time one frame after an untimed one (see `benchmarks.report.timing`)."""
        self.take()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        timings = self.take()
        self.faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
        for name, value in timings.items():
            self.stages.setdefault(name, []).append(value)

    def heap_bytes(self) -> int:
        """Return the peak memory of Python and NumPy for a frame, including the result."""
        tracemalloc.start()
        try:
            self.take()
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            self.take()
            return tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()

    def row(self, size: str) -> tuple[list[str], list[Target]]:
        """Return the cells of the table, and the targets of this case."""
        infer, whole = (summary(self.stages[name]) for name in ("infer", "whole"))
        outside = np.subtract(self.stages["whole"], self.stages["infer"])
        percent = 100 * np.median(outside) / whole.median_ms
        case = self.case
        name = f"`{case.preset}`, {self.engine.name} {self.engine.precision}, {size}"
        cells = [
            name,
            case.thermal,
            case.registration,
            cell(infer),
            cell(whole),
            f"{np.median(outside):.2f} ms, {percent:.0f} %",
            f"{statistics.median(self.faults):.0f}",
            f"{self.heap_bytes() >> 10}",
        ]
        if (case.preset, case.thermal, case.registration) != ("compact", "uint8", "resize"):
            return cells, []
        return cells, [
            Target(
                f"{name}: the whole path in at most {MOST_WHOLE_PATH_MS:.0f} ms",
                f"{whole.median_ms:.2f} ms",
                whole.median_ms <= MOST_WHOLE_PATH_MS,
            ),
            Target(
                f"{name}: at most {MOST_OUTSIDE_PERCENT:.0f} % of it outside the network",
                f"{percent:.1f} %",
                bool(percent <= MOST_OUTSIDE_PERCENT),
            ),
        ]


def _header(pixels: np.ndarray, encoding: str) -> dict[str, object]:
    """Return the description of an image message, as `decode_frame` takes it."""
    height, width = pixels.shape[:2]
    step = pixels.nbytes // height
    sizes = {"height": height, "width": width, "step": step}
    return {"encoding": encoding, "is_bigendian": False, **sizes}


def main() -> int:
    """Run and print."""
    parser = options(__doc__, "640x480")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--preset", choices=PRESETS)
    parser.add_argument("--precision")
    parser.add_argument("--thermal", choices=("uint8", "uint16"))
    parser.add_argument("--registration", choices=("resize", "homography"))
    parser.add_argument("--runs", type=int, default=120)
    args = parser.parse_args()
    configure_process()
    width, height = args.size
    named = {f.name: getattr(args, f.name) for f in dataclasses.fields(Case)}
    named = {name: value for name, value in named.items() if value is not None}
    running = []
    engines: dict[tuple[str, str], Engine] = {}
    for case in (Case(**named),) if named else CASES:
        key = case.preset, case.precision
        if key not in engines:
            weights = load_weights(shipped_weights(case.preset))
            engines[key] = create_engine(weights, name=args.engine, precision=case.precision)
        running.append(MeasuredCase(case, engines[key], height, width))
    for measured in running:
        for _ in range(WARM_UP_FRAMES):
            measured.take()
    for turn in range(args.runs):
        for measured in running:
            # A fifth of the runs suffices for `paper`, which takes ten times as long.
            if measured.case.preset == "compact" or turn < args.runs // 5:
                measured.run()
    for measured in running:
        print(measured.case)
        print({name: round(summary(v).median_ms, 3) for name, v in measured.stages.items()})
    found = [measured.row(f"{width}x{height}") for measured in running]
    rows = [cells for cells, _ in found]
    targets = [target for _, targets in found for target in targets]
    return report(args.json, "Whole path, bytes in to bytes out", COLUMNS, rows, targets=targets)


if __name__ == "__main__":
    sys.exit(main())
