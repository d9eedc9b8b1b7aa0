# SPDX-License-Identifier: Apache-2.0
"""The pipeline: frames of any supported type in, one image on the visible grid out."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fusion_ros.engines.engine import EngineDescription, EngineError, check_pair, output_array
from fusion_ros.model.config import PRESETS, ConfigError
from fusion_ros.model.network import FusionNet
from fusion_ros.model.weights import WeightsError, save_weights
from fusion_ros.pipeline import STAGES, FusionPipeline
from fusion_ros.registration.geometry import HomographyCalibration, Size
from fusion_ros.registration.options import RegistrationOptions
from fusion_ros.registration.warp import ThermalRegistration
from fusion_ros.thermal.tone import ThermalToneMapper
from fusion_ros.thermal.tone_options import ToneOptions


class MeanEngine:
    """Replaces a network by the mean of both images, rounded down; records its inputs."""

    def __init__(self, channels: int = 1) -> None:
        self.visible_channels = self.output_channels = channels
        self.notes: dict[str, str] = {}
        self.given: list[tuple[np.ndarray, np.ndarray]] = []
        self.closed = False

    def warm_up(self, height: int, width: int) -> None:
        self.warm = (height, width)

    def infer(
        self, visible: np.ndarray, thermal: np.ndarray, *, out: np.ndarray | None = None
    ) -> np.ndarray:
        check_pair(visible, thermal, self.visible_channels)
        self.given.append((visible.copy(), thermal.copy()))
        other = thermal if visible.ndim == 2 else thermal[..., None]
        image = output_array(out, *thermal.shape, self.output_channels)
        image[...] = (visible.astype(int) + other) // 2
        return image

    def describe(self) -> EngineDescription:
        return EngineDescription("mean", "cpu", "exact", "none", "", {})

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def colour() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (24, 32, 3), dtype=np.uint8)


@pytest.fixture
def thermal() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (24, 32), dtype=np.uint8)


def by_hand_luma(rgb: np.ndarray) -> np.ndarray:
    return np.round(rgb.astype(float) @ (0.299, 0.587, 0.114))


def test_grey_frame_reaches_the_engine_unchanged(
    thermal: np.ndarray,
) -> None:
    visible = 255 - thermal
    fused = FusionPipeline(MeanEngine()).fuse(visible, thermal)
    assert np.array_equal(fused.image, np.full((24, 32), 127))
    assert fused.order == "grey"
    assert np.array_equal(fused.thermal, thermal)


def test_luma_network_receives_luma_and_colour_keeps_its_order(
    colour: np.ndarray, thermal: np.ndarray
) -> None:
    engine = MeanEngine()
    pipeline = FusionPipeline(engine)
    rgb = pipeline.fuse(colour, thermal, order="rgb")
    bgr = pipeline.fuse(np.ascontiguousarray(colour[..., ::-1]), thermal, order="bgr")
    assert np.abs(engine.given[0][0] - by_hand_luma(colour)).max() <= 1
    assert np.array_equal(engine.given[0][0], engine.given[1][0])
    assert rgb.image.shape == (24, 32, 3)
    assert (rgb.order, bgr.order) == ("rgb", "bgr")
    assert np.array_equal(bgr.image[..., ::-1], rgb.image)


def test_fused_image_has_the_luma_of_the_engine_unless_colours_saturate() -> None:
    visible = np.zeros((16, 16, 3), np.uint8) + np.array([110, 100, 90], np.uint8)
    thermal = np.full((16, 16), 140, np.uint8)
    fused = FusionPipeline(MeanEngine()).fuse(visible, thermal)
    # The mean of luma 102 (101.86 rounded) and 140 is 121; 19 are added to each channel.
    assert fused.image[0, 0].tolist() == [129, 119, 109]


def test_colour_network_receives_rgb_for_every_order(
    colour: np.ndarray, thermal: np.ndarray
) -> None:
    engine = MeanEngine(channels=3)
    pipeline = FusionPipeline(engine)
    rgb = pipeline.fuse(colour, thermal)
    bgr = pipeline.fuse(np.ascontiguousarray(colour[..., ::-1]), thermal, order="bgr")
    grey = pipeline.fuse(thermal, thermal)
    assert np.array_equal(engine.given[0][0], colour)
    assert np.array_equal(engine.given[1][0], colour)
    assert np.array_equal(rgb.image, bgr.image[..., ::-1])
    assert np.array_equal(engine.given[2][0], np.repeat(thermal[..., None], 3, axis=2))
    assert grey.image.shape == thermal.shape


@pytest.mark.parametrize("size", [(12, 16), (48, 64), (25, 31), (24, 32)])
def test_thermal_frame_of_another_size_is_registered(
    size: tuple[int, int], colour: np.ndarray
) -> None:
    # The left half is dark and the right half bright, also at the visible size.
    thermal = np.zeros(size, np.uint8)
    thermal[:, size[1] // 2 :] = 200
    fused = FusionPipeline(MeanEngine()).fuse(colour, thermal)
    assert fused.image.shape == (24, 32, 3)
    assert fused.thermal.shape == (24, 32)
    assert fused.thermal[:, :13].max() == 0
    assert fused.thermal[:, 19:].min() == 200


@pytest.mark.parametrize("feather_percent", [0.0, 5.0])
def test_recolouring_within_the_thermal_view_equals_that_of_the_whole_image(
    feather_percent: float,
) -> None:
    size = Size(96, 64)
    matrix = np.array([[0.5, 0, 20], [0, 0.5, 10], [0, 0, 1.0]])
    calibration = HomographyCalibration(matrix, size, size)
    options = RegistrationOptions(mode="homography", feather_percent=feather_percent)
    rng = np.random.default_rng(5)
    dark = rng.integers(0, 90, (64, 96, 3), dtype=np.uint8)
    bright = rng.integers(0, 256, (64, 96), dtype=np.uint8)

    class WithoutWindow(ThermalRegistration):
        window = None

    windowed, whole = (
        FusionPipeline(MeanEngine(), registration=kind(options, calibration))
        .fuse(dark, bright)
        .image
        for kind in (ThermalRegistration, WithoutWindow)
    )
    np.testing.assert_array_equal(windowed, whole)
    np.testing.assert_array_equal(windowed[50:], dark[50:])
    assert (windowed != dark).any()


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_counts_of_16_bit_and_float_span_the_grey_levels(dtype: type, colour: np.ndarray) -> None:
    ramp = np.linspace(29_000, 31_000, 24 * 32).reshape(24, 32).astype(dtype)
    grey = FusionPipeline(MeanEngine()).fuse(colour, ramp).thermal
    assert grey.dtype == np.uint8
    assert grey.min() <= 5
    assert grey.max() >= 250
    assert (np.diff(grey.reshape(-1).astype(int)) >= 0).all()


def test_nan_and_infinity_affect_their_pixels_only(colour: np.ndarray) -> None:
    clean = np.linspace(10, 40, 24 * 32, dtype=np.float32).reshape(24, 32)
    broken = clean.copy()
    broken[3, 4], broken[5, 6], broken[7, 8] = np.nan, np.inf, -np.inf
    expected = FusionPipeline(MeanEngine()).fuse(colour, clean).thermal.astype(int)
    grey = FusionPipeline(MeanEngine()).fuse(colour, broken).thermal.astype(int)
    # A repaired pixel may affect its neighbours, which are excluded.
    untouched = np.ones_like(clean, bool)
    untouched[1:10, 2:11] = False
    assert np.abs(grey - expected)[untouched].max() <= 6


def test_frame_of_nan_is_fused(colour: np.ndarray) -> None:
    fused = FusionPipeline(MeanEngine()).fuse(colour, np.full((24, 32), np.nan, np.float32))
    assert fused.image.shape == colour.shape


def test_grey_stored_as_colour_is_accepted(colour: np.ndarray, thermal: np.ndarray) -> None:
    pipeline = FusionPipeline(MeanEngine())
    stored = np.repeat(thermal[..., None], 3, axis=2)
    assert np.array_equal(pipeline.fuse(colour, stored).image, pipeline.fuse(colour, thermal).image)


def test_every_stage_is_timed_in_order(colour: np.ndarray, thermal: np.ndarray) -> None:
    timings = FusionPipeline(MeanEngine()).fuse(colour, thermal).timings_ms
    assert tuple(timings) == STAGES
    assert all(value >= 0 for value in timings.values())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("grey", [True, False])
def test_result_shares_no_memory_and_inputs_are_unchanged(
    channels: int, grey: bool, colour: np.ndarray, thermal: np.ndarray
) -> None:
    visible = np.ascontiguousarray(colour[..., 0]) if grey else colour
    before = visible.copy(), thermal.copy()
    pipeline = FusionPipeline(MeanEngine(channels))
    first = pipeline.fuse(visible, thermal).image
    kept = first.copy()
    second = pipeline.fuse(255 - visible, 255 - thermal).image
    assert np.array_equal(first, kept)
    for other in (visible, thermal, second):
        assert not np.shares_memory(first, other)
    first[:] = 0
    assert np.array_equal(visible, before[0])
    assert np.array_equal(thermal, before[1])


@pytest.mark.parametrize(("counts", "hottest"), [(np.uint8, 250), (np.uint16, 3000)])
def test_steady_state_allocates_memory_for_the_result_only(counts: type, hottest: int) -> None:
    class LastEngine(MeanEngine):
        """Allocates no memory."""

        def infer(
            self, visible: np.ndarray, thermal: np.ndarray, *, out: np.ndarray | None = None
        ) -> np.ndarray:
            image = output_array(out, *thermal.shape, 1)
            np.copyto(image, thermal)
            return image

    generator = np.random.default_rng(3)
    visible = generator.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    thermal = generator.integers(0, hottest, (480, 640), dtype=counts)
    pipeline = FusionPipeline(LastEngine())
    clock_ns = iter(range(0, 10**12, 33_000_000))
    for _ in range(5):
        pipeline.fuse(visible, thermal, stamp_ns=next(clock_ns))
    tracemalloc.start()
    try:
        pipeline.fuse(visible, thermal, stamp_ns=next(clock_ns))
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        frame = pipeline.fuse(visible, thermal, stamp_ns=next(clock_ns))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    given_out = frame.image.nbytes + (frame.thermal.nbytes if frame.thermal is not thermal else 0)
    assert given_out <= peak - before < given_out + frame.thermal.nbytes / 4


@pytest.mark.parametrize(
    "visible",
    [
        np.zeros((8, 8), np.uint16),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((0, 8), np.uint8),
        np.zeros(8, np.uint8),
    ],
)
def test_other_types_and_shapes_of_visible_frames_are_refused(visible: np.ndarray) -> None:
    with pytest.raises(ValueError, match=f"visible is {visible.dtype}"):
        FusionPipeline(MeanEngine()).fuse(visible, np.zeros((8, 8), np.uint8))


def test_unknown_channel_order_is_refused(colour: np.ndarray, thermal: np.ndarray) -> None:
    with pytest.raises(ValueError, match="hsv"):
        FusionPipeline(MeanEngine()).fuse(colour, thermal, order="hsv")


def test_warm_up_and_close_are_passed_to_the_engine() -> None:
    engine = MeanEngine()
    pipeline = FusionPipeline(engine)
    pipeline.warm_up(48, 64)
    pipeline.close()
    assert engine.warm == (48, 64)
    assert engine.closed


class TestFromNames:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        torch.manual_seed(0)
        path = tmp_path / "own.safetensors"
        save_weights(
            path, FusionNet(PRESETS["compact"]), training_data="-", metrics={}, version="0"
        )
        return path

    def test_pipeline_from_a_weights_file_fuses(
        self, file: Path, colour: np.ndarray, thermal: np.ndarray
    ) -> None:
        pipeline = FusionPipeline.from_preset(weights=file, engine="torch", device="cpu")
        assert pipeline.fuse(colour, thermal).image.shape == colour.shape
        pipeline.close()

    def test_unknown_names_raise_their_own_errors(self, file: Path) -> None:
        with pytest.raises(ConfigError, match="preset is 'big'"):
            FusionPipeline.from_preset("big")
        with pytest.raises(WeightsError, match="does not exist"):
            FusionPipeline.from_preset(weights=file.with_name("none"))
        with pytest.raises(EngineError, match="engine is 'abacus'"):
            FusionPipeline.from_preset(weights=file, engine="abacus")


def test_recorded_pair_has_more_contrast_than_its_mean(shared_data: Path) -> None:
    from fusion_ros.model.weights import SHIPPED_FOLDER

    if not (SHIPPED_FOLDER / "compact.safetensors").is_file():
        pytest.skip("no weights ship for compact yet")
    folder = shared_data / "tno21"
    name = sorted(path.name for path in (folder / "vis").iterdir())[0]
    visible = cv2.imread(str(folder / "vis" / name), cv2.IMREAD_GRAYSCALE)
    thermal = cv2.imread(str(folder / "ir" / name), cv2.IMREAD_GRAYSCALE)
    fused = FusionPipeline.from_preset(device="cpu").fuse(visible, thermal).image
    mean = (visible.astype(float) + thermal) / 2
    assert cv2.Laplacian(fused, cv2.CV_64F).std() > cv2.Laplacian(mean, cv2.CV_64F).std()


def test_registered_thermal_frame_is_in_counts_or_degrees(thermal: np.ndarray) -> None:
    counts = thermal.astype(np.uint16) * 20 + 28_000
    frame = np.vstack((counts, np.zeros((2, 32), np.uint16)))  # two telemetry rows
    pipeline = FusionPipeline(
        MeanEngine(),
        tone=ThermalToneMapper(ToneOptions(unit="centikelvin", telemetry_rows_bottom=2)),
    )
    np.testing.assert_array_equal(pipeline.registered_thermal(frame, (24, 32)), counts)
    celsius = pipeline.registered_thermal(frame, (24, 32), celsius=True)
    assert celsius.dtype == np.float32
    np.testing.assert_allclose(celsius, counts / 100 - 273.15, atol=1e-4)
    with pytest.raises(ValueError, match="unit is 'counts'"):
        FusionPipeline(MeanEngine()).registered_thermal(frame, (26, 32), celsius=True)


@pytest.mark.parametrize("invalid", [np.inf, -np.inf, 3.4e38, -1e6])
def test_invalid_readings_are_nan_in_degrees(thermal: np.ndarray, invalid: float) -> None:
    frame = thermal.astype(np.float32)
    frame[3, 4] = invalid
    tone = ThermalToneMapper(ToneOptions(unit="celsius"))
    pipeline = FusionPipeline(MeanEngine(), tone=tone)
    assert pipeline.registered_thermal(frame, (24, 32))[3, 4] == np.float32(invalid)
    celsius = pipeline.registered_thermal(frame, (24, 32), celsius=True)
    assert np.argwhere(np.isnan(celsius)).tolist() == [[3, 4]]
