# SPDX-License-Identifier: Apache-2.0
"""`FusionPipeline`: two frames in, one fused frame and its stage timings out.

The fuse node, the replay and the command line all run this class, so a measurement of one of them
holds for the others. It processes arrays and is independent of their origin.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import threading
import time

import cv2
import numpy as np

from fusion_ros.engines.choice import create_engine
from fusion_ros.engines.engine import Engine
from fusion_ros.imaging.colour import LumaReplacer, luma
from fusion_ros.imaging.encodings import ChannelOrder
from fusion_ros.imaging.options import ColourOptions
from fusion_ros.model.weights import load_weights, shipped_weights
from fusion_ros.registration.options import RegistrationOptions
from fusion_ros.registration.warp import ThermalRegistration
from fusion_ros.thermal.sensor_defects import degrees
from fusion_ros.thermal.spot_options import SpotOptions
from fusion_ros.thermal.spots import Spots, find_spots
from fusion_ros.thermal.tone import ThermalToneMapper
from fusion_ros.thermal.tone_options import ToneOptions

STAGES = ("tone", "registration", "colour", "infer", "recolour")


@dataclasses.dataclass(frozen=True)
class FusedFrame:
    """A fused image, its channel order and the time of each stage.

    Attributes:
        image: uint8 on the visible camera's grid: HxWx3 for a colour visible frame, else HxW. It
            shares no memory with the inputs.
        order: order of the channels of `image`, the same as that of the visible frame.
        timings_ms: milliseconds by stage, in the order of `STAGES`.
        thermal: uint8 HxW, the thermal frame as the network received it: mapped to grey levels and
            registered onto the visible grid.
    """

    image: np.ndarray
    order: ChannelOrder
    timings_ms: dict[str, float]
    thermal: np.ndarray


class FusionPipeline:
    """Tone mapping, registration, luma, engine, colour.

    Not thread-safe: only one worker may use a pipeline. Frames, channel orders and errors of every
    method are those of `fuse`; `visible_shape` is height and width of the visible grid.

    Args:
        engine: runs the network.
        tone: maps thermal counts to grey levels; by default with the defaults of `ToneOptions`.
        registration: warps the thermal frame onto the visible grid; resizes by default.
        colour: how the visible colour is put back onto the fused luma.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        tone: ThermalToneMapper | None = None,
        registration: ThermalRegistration | None = None,
        colour: ColourOptions | None = None,
    ) -> None:
        self.engine = engine
        self.tone = tone or ThermalToneMapper(ToneOptions())
        self.registration = registration or ThermalRegistration(RegistrationOptions())
        self._colour = colour = colour or ColourOptions()
        self._luma = self._fused_luma = np.empty((0, 0), np.uint8)
        self._replace_luma = LumaReplacer(dark_luma=colour.dark_luma)

    @classmethod
    def from_preset(
        cls,
        preset: str = "compact",
        *,
        weights: str | os.PathLike[str] | None = None,
        engine: str = "auto",
        device: str = "auto",
        precision: str = "auto",
        tone: ThermalToneMapper | None = None,
        registration: ThermalRegistration | None = None,
    ) -> FusionPipeline:
        """Make a pipeline from the names of its parts.

        Args:
            preset: the shipped weights to run; ignored if `weights` is given.
            weights: a safetensors file, for instance from your own training.
            engine, device, precision: see `fusion_ros.engines.choice.create_engine`.
            tone, registration: see the class.

        Raises:
            ConfigError: an unknown preset.
            WeightsError: the weights cannot be loaded.
            EngineError: the engine cannot run.
        """
        loaded = load_weights(weights if weights else shipped_weights(preset))
        made = create_engine(loaded, name=engine, device=device, precision=precision)
        return cls(made, tone=tone, registration=registration)

    def fuse(
        self,
        visible: np.ndarray,
        thermal: np.ndarray,
        *,
        order: ChannelOrder | str = ChannelOrder.RGB,
        thermal_order: ChannelOrder | str = ChannelOrder.RGB,
        stamp_ns: int | None = None,
        learn_later: bool = False,
    ) -> FusedFrame:
        """Fuse one pair.

        Args:
            visible: uint8, HxW (grey) or HxWx3 (channels in `order`).
            thermal: uint8, uint16 or float32, H'xW'; its size may differ from the visible one. Of a
                uint8 H'xW'x3 image (grey stored as colour, as in videos) the luma is used.
            order: order of the visible frame's channels, "rgb" or "bgr"; ignored for grey.
            thermal_order: order of the thermal frame's channels if it has three.
            stamp_ns: stamp of the thermal frame, for tone smoothing over time.
            learn_later: defer the update of the tone curve. The caller calls `learn` after it has
                published the result, and leaves `thermal` unchanged until then. The images are the
                same.

        Raises:
            TypeError: a frame is no array.
            ValueError: a frame of another shape or type than listed above.
            EngineError: the engine failed.
        """
        _check_pair(visible, thermal)
        order = ChannelOrder.GREY if visible.ndim == 2 else ChannelOrder(order)
        registration = self.registration  # another thread may replace it during this call
        clock = _StageClock()
        thermal = _without_colour(thermal, thermal_order)
        grey = self.tone(thermal, stamp_ns, learn_later=learn_later)
        clock.end("tone")
        grey = registration(grey, visible.shape[:2])
        clock.end("registration")
        engine_input = self._for_engine(visible, order)
        clock.end("colour")
        fused = self.engine.infer(engine_input, grey, out=self._output_memory(visible))
        clock.end("infer")
        # Outside the thermal camera's view, the output is the visible image.
        fused = registration.blend_outside(fused, engine_input)
        image = self._from_engine(fused, visible, engine_input, order, registration.window)
        clock.end("recolour")
        return FusedFrame(image=image, order=order, timings_ms=clock.timings_ms, thermal=grey)

    def thermal_alone(
        self,
        thermal: np.ndarray,
        visible_shape: tuple[int, int] | None,
        *,
        thermal_order: ChannelOrder | str = ChannelOrder.RGB,
        stamp_ns: int | None = None,
    ) -> np.ndarray:
        """Return the thermal frame as grey levels, for use while the visible camera is lost.

        It is uint8 HxW, registered onto the visible grid if its height and width are given.
        """
        grey = self.tone(_without_colour(thermal, thermal_order), stamp_ns=stamp_ns)
        return grey if visible_shape is None else self.registration(grey, visible_shape)

    def sensor_frame(
        self, thermal: np.ndarray, *, thermal_order: ChannelOrder | str = ChannelOrder.RGB
    ) -> np.ndarray:
        """Return a thermal frame in the sensor's numbers, without telemetry and dead pixels."""
        return self.tone.without_defects(_without_colour(thermal, thermal_order))

    def registered_thermal(
        self,
        thermal: np.ndarray,
        visible_shape: tuple[int, ...],
        *,
        thermal_order: ChannelOrder | str = ChannelOrder.RGB,
        celsius: bool = False,
        interpolation: str = "nearest",
    ) -> np.ndarray:
        """Return a thermal frame on the visible grid, in the sensor's counts or degrees Celsius.

        Counts have the type of `thermal`; they are 0 outside the thermal camera's view, NaN for
        float32. Degrees are float32, NaN outside and at invalid readings of a float32 frame. The
        interpolation is "nearest" or "linear", see `ThermalRegistration.measured`.

        Raises:
            ValueError: `celsius` while the unit of the tone options is "counts".
        """
        numbers = self.sensor_frame(thermal, thermal_order=thermal_order)
        if celsius:
            unit = self.tone.options.celsius_unit()
            if unit is None:
                raise ValueError("unit is 'counts'; degrees Celsius need the unit of the camera")
            numbers = degrees(numbers, unit)
        return self.registration.measured(numbers, visible_shape, interpolation=interpolation)

    def spots(
        self,
        thermal: np.ndarray,
        visible_shape: tuple[int, ...],
        options: SpotOptions,
        *,
        thermal_order: ChannelOrder | str = ChannelOrder.RGB,
    ) -> Spots | None:
        """Find the hot spots of a thermal frame, in pixels of the visible grid."""
        frame = self.sensor_frame(thermal, thermal_order=thermal_order)
        found = find_spots(frame, self.tone.options.celsius_unit(), options)
        return found and found.mapped(
            functools.partial(
                self.registration.mapped_points,
                thermal_shape=frame.shape,
                visible_shape=visible_shape,
                to_visible=True,
            )
        )

    def learn(self) -> None:
        """Update the tone curve from the last frame; see `learn_later` of `fuse`."""
        self.tone.learn()

    def warm_up(self, height: int, width: int) -> None:
        """Prepare for visible frames of this size, so that the first one is not slow."""
        self.engine.warm_up(height, width)

    def reset(self) -> None:
        """Discard the state of earlier frames (for a new recording or a jump of the clock)."""
        self.tone.reset()

    def past_hung_engine(self) -> FusionPipeline | None:
        """Return a pipeline on another engine, for when a call to the current engine never returns.

        It shares with this pipeline only state that a late return of that call does not change.
        None if the engine has no fallback; then nothing changes.
        """
        give_up = getattr(self.engine, "give_up_current", None)
        if give_up is None or not give_up():
            return None
        return FusionPipeline(
            self.engine, tone=self.tone, registration=self.registration, colour=self._colour
        )

    def close(self) -> None:
        """Release the engine's device memory."""
        self.engine.close()

    def _for_engine(self, visible: np.ndarray, order: ChannelOrder) -> np.ndarray:
        """Return the visible frame in the engine's format: luma or RGB."""
        if self.engine.visible_channels == 1:
            if visible.ndim == 2:
                return visible
            self._luma = _of_shape(self._luma, visible.shape[:2])
            return luma(visible, order=order, out=self._luma)
        if visible.ndim == 2:
            return cv2.cvtColor(visible, cv2.COLOR_GRAY2RGB)
        return cv2.cvtColor(visible, cv2.COLOR_BGR2RGB) if order is ChannelOrder.BGR else visible

    def _output_memory(self, visible: np.ndarray) -> np.ndarray | None:
        """Return the buffer for the engine's output, reused if the colour stage copies it."""
        if visible.ndim == 2 or self.engine.output_channels == 3:
            return None  # the caller receives the engine's output
        self._fused_luma = _of_shape(self._fused_luma, visible.shape[:2])
        return self._fused_luma

    def _from_engine(
        self,
        fused: np.ndarray,
        visible: np.ndarray,
        engine_input: np.ndarray,
        order: ChannelOrder,
        window: tuple[slice, slice] | None,
    ) -> np.ndarray:
        """Return the engine's output in the visible frame's colours and channel order.

        Outside `window` the output has the visible luma.
        """
        if self.engine.output_channels == 3:
            if order is ChannelOrder.GREY:
                return luma(fused)
            return cv2.cvtColor(fused, cv2.COLOR_RGB2BGR) if order is ChannelOrder.BGR else fused
        if order is ChannelOrder.GREY:
            return fused
        old_luma = engine_input if self.engine.visible_channels == 1 else None
        return self._replace_luma(visible, fused, old_luma=old_luma, order=order, window=window)


def fuse(
    visible: np.ndarray, thermal: np.ndarray, *, order: ChannelOrder | str = ChannelOrder.RGB
) -> np.ndarray:
    """Fuse one pair with the default preset on the best engine that is installed.

    The pipeline is made on the first call and kept for the process. Each call is independent of
    the ones before. For a stream, use `FusionPipeline`, which smooths the tone curve over time.

    Args:
        visible: uint8, HxW (grey) or HxWx3 (channels in `order`).
        thermal: uint8, uint16 or float32, H'xW'; stretched to HxW if its size differs. For other
            camera geometries pass a registration to `FusionPipeline`.
        order: order of the visible channels, "rgb" or "bgr"; ignored for grey.

    Returns:
        uint8 of the shape and channel order of `visible`.

    Raises:
        TypeError: an image is no array.
        ValueError: an image of another shape or type than listed above.
        EngineError: no engine can run.
    """
    with _DEFAULT_LOCK:
        return _default_pipeline().fuse(visible, thermal, order=order).image


_DEFAULT_LOCK = threading.Lock()
"""Serialises calls of `fuse`: a pipeline is not thread-safe."""


@functools.cache
def _default_pipeline() -> FusionPipeline:
    return FusionPipeline.from_preset()


class _StageClock:
    """Milliseconds by stage; a stage begins at the end of the one before."""

    def __init__(self) -> None:
        self.timings_ms: dict[str, float] = {}
        self._begun_ns = time.perf_counter_ns()

    def end(self, name: str) -> None:
        now_ns = time.perf_counter_ns()
        self.timings_ms[name] = (now_ns - self._begun_ns) / 1e6
        self._begun_ns = now_ns


def _of_shape(kept: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return kept if kept.shape == shape else np.empty(shape, np.uint8)


def _without_colour(thermal: np.ndarray, order: ChannelOrder | str) -> np.ndarray:
    colour = thermal.ndim == 3 and thermal.shape[2] == 3 and thermal.dtype == np.uint8
    return luma(thermal, order=order) if colour else thermal


def _check_pair(visible: np.ndarray, thermal: np.ndarray) -> None:
    for name, image in (("visible", visible), ("thermal", thermal)):
        if not isinstance(image, np.ndarray):
            hint = "; cv2.imread returns None for a file that it cannot read"
            raise TypeError(
                f"{name} is {type(image).__name__}; allowed: a NumPy array"
                + (hint if image is None else "")
            )
    fits = visible.ndim == 2 or (visible.ndim == 3 and visible.shape[2] == 3)
    if visible.dtype != np.uint8 or not fits or 0 in visible.shape:
        raise ValueError(
            f"visible is {visible.dtype} {visible.shape}; allowed: uint8 (H, W) or (H, W, 3)"
        )
