# SPDX-License-Identifier: Apache-2.0
"""`FusionPipeline`: two frames in, one fused frame and its timings out.

The fuse node, the replay and the command line all call this, so what one of them measured is what
the others run. It knows arrays; who calls it, and where the frames came from, it does not.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from fusion_ros.engines.choice import create_engine
from fusion_ros.engines.engine import Engine
from fusion_ros.imaging.colour import ColourOptions, LumaReplacer, luma
from fusion_ros.imaging.encodings import ChannelOrder
from fusion_ros.model.weights import load_weights, shipped_weights
from fusion_ros.registration.warp import RegistrationOptions, ThermalRegistration
from fusion_ros.thermal.tone import ThermalToneMapper, ToneOptions

STAGES = ("tone", "registration", "colour", "infer", "recolour")


@dataclasses.dataclass(frozen=True)
class FusedFrame:
    """A fused picture and what it cost.

    Attributes:
        image: uint8, on the visible camera's grid: HxWx3 where the visible frame was colour, else
            HxW. In memory of its own.
        order: order of the channels of `image`; colour comes out in the order it came in.
        timings_ms: milliseconds by stage, in the order of `STAGES`.
        thermal: uint8 HxW, the thermal frame as the network saw it: mapped to grey levels and on
            the visible grid.
    """

    image: np.ndarray
    order: ChannelOrder
    timings_ms: dict[str, float]
    thermal: np.ndarray


class FusionPipeline:
    """Thermal tone mapping, registration, colour, the engine, colour again.

    Not thread-safe: one pipeline belongs to one worker.

    Args:
        engine: runs the network.
        tone: maps thermal counts to grey levels; by default as `ToneOptions` has it.
        registration: brings the thermal frame onto the visible grid; resizing by default.
        colour: how the visible colour comes back onto a fused luma.
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
        self._replace_luma = LumaReplacer(
            natural=colour.natural_darkening, dark_luma=colour.dark_luma
        )

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
        """A pipeline from names.

        Args:
            preset: the shipped weights to run; ignored where `weights` names a file.
            weights: a safetensors file, for instance one of your own training.
            engine, device, precision: see `fusion_ros.engines.choice.create_engine`.
            tone, registration: see the class.

        Raises:
            ConfigError, WeightsError, EngineError: say what is wrong and what is allowed.
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
            thermal: uint8, uint16 or float32, H'xW'; its size may differ from the visible one. A
                uint8 H'xW'x3 picture (grey stored as colour, as videos do) counts by its luma.
            order: order of the visible frame's channels, "rgb" or "bgr"; grey needs none.
            thermal_order: order of the thermal frame's channels, where it has three.
            stamp_ns: stamp of the thermal frame, for tone mapping that follows time.
            learn_later: the caller calls `learn` when the result is on its way, and leaves
                `thermal` as it is until then. The results are the same.

        Raises:
            ValueError: a picture of a shape or type that is not one of those above.
            EngineError: the engine failed.
        """
        _check_visible(visible)
        order = ChannelOrder.GREY if visible.ndim == 2 else ChannelOrder(order)
        registration = self.registration  # another one may be put in its place meanwhile
        clock = _StageClock()
        with clock.stage("tone"):
            grey = self.tone(
                _without_colour(thermal, thermal_order), stamp_ns, learn_later=learn_later
            )
        with clock.stage("registration"):
            grey = registration(grey, visible.shape[:2])
        with clock.stage("colour"):
            wanted = self._for_engine(visible, order)
        with clock.stage("infer"):
            fused = self.engine.infer(wanted, grey, out=self._answer_to(visible))
        with clock.stage("recolour"):
            # Where the thermal camera does not see, the visible picture stands alone.
            fused = registration.blend_outside(fused, wanted)
            image = self._from_engine(fused, visible, wanted, order)
        return FusedFrame(image=image, order=order, timings_ms=clock.timings_ms, thermal=grey)

    def thermal_alone(
        self,
        thermal: np.ndarray,
        visible_shape: tuple[int, int] | None,
        *,
        thermal_order: ChannelOrder | str = ChannelOrder.RGB,
        stamp_ns: int | None = None,
    ) -> np.ndarray:
        """The thermal frame as grey levels, for when the visible camera is lost.

        Args:
            thermal: as for `fuse`.
            visible_shape: height and width of the visible grid to bring it onto, if known.
            thermal_order: as for `fuse`.
            stamp_ns: stamp of the thermal frame.

        Returns:
            uint8, HxW.

        Raises:
            ValueError: as `fuse`.
        """
        grey = self.tone(_without_colour(thermal, thermal_order), stamp_ns=stamp_ns)
        return grey if visible_shape is None else self.registration(grey, visible_shape)

    def learn(self) -> None:
        """Take from the last frame what the next ones want to know; after `fuse(learn_later)`."""
        self.tone.learn()

    def warm_up(self, height: int, width: int) -> None:
        """Prepare for visible frames of this size, so that the first one is not slow."""
        self.engine.warm_up(height, width)

    def reset(self) -> None:
        """Forget what was learned from earlier frames (a new recording, a jump of the clock)."""
        self.tone.reset()

    def past_hung_engine(self) -> FusionPipeline | None:
        """A pipeline that goes on with another engine while a call to this one's never returns.

        It shares with this one only what a late return of that call does not change. None where
        the engine has no other to fall back on; then nothing changes.
        """
        give_up = getattr(self.engine, "give_up_current", None)
        if give_up is None or not give_up():
            return None
        return FusionPipeline(
            self.engine, tone=self.tone, registration=self.registration, colour=self._colour
        )

    def close(self) -> None:
        """Give back the engine's device memory."""
        self.engine.close()

    def _for_engine(self, visible: np.ndarray, order: ChannelOrder) -> np.ndarray:
        """The visible frame as the engine takes it: luma, or RGB."""
        if self.engine.visible_channels == 1:
            if visible.ndim == 2:
                return visible
            self._luma = _of_shape(self._luma, visible.shape[:2])
            return luma(visible, order=order, out=self._luma)
        if visible.ndim == 2:
            return cv2.cvtColor(visible, cv2.COLOR_GRAY2RGB)
        return cv2.cvtColor(visible, cv2.COLOR_BGR2RGB) if order is ChannelOrder.BGR else visible

    def _answer_to(self, visible: np.ndarray) -> np.ndarray | None:
        """Where the engine's answer goes: memory kept between frames, if the colours follow."""
        if visible.ndim == 2 or self.engine.output_channels == 3:
            return None  # the answer itself is what the caller gets, or is made of
        self._fused_luma = _of_shape(self._fused_luma, visible.shape[:2])
        return self._fused_luma

    def _from_engine(
        self, fused: np.ndarray, visible: np.ndarray, wanted: np.ndarray, order: ChannelOrder
    ) -> np.ndarray:
        """The engine's answer in the visible frame's own colours and channel order."""
        if self.engine.output_channels == 3:
            if order is ChannelOrder.GREY:
                return luma(fused)
            return cv2.cvtColor(fused, cv2.COLOR_RGB2BGR) if order is ChannelOrder.BGR else fused
        if order is ChannelOrder.GREY:
            return fused
        old_luma = wanted if self.engine.visible_channels == 1 else None
        return self._replace_luma(visible, fused, old_luma=old_luma, order=order)


class _StageClock:
    """Milliseconds by stage."""

    def __init__(self) -> None:
        self.timings_ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start_ns = time.perf_counter_ns()
        yield
        self.timings_ms[name] = (time.perf_counter_ns() - start_ns) / 1e6


def _of_shape(kept: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return kept if kept.shape == shape else np.empty(shape, np.uint8)


def _without_colour(thermal: np.ndarray, order: ChannelOrder | str) -> np.ndarray:
    colour = thermal.ndim == 3 and thermal.shape[2] == 3 and thermal.dtype == np.uint8
    return luma(thermal, order=order) if colour else thermal


def _check_visible(visible: np.ndarray) -> None:
    fits = visible.ndim == 2 or (visible.ndim == 3 and visible.shape[2] == 3)
    if visible.dtype != np.uint8 or not fits or 0 in visible.shape:
        raise ValueError(
            f"visible is {visible.dtype} {visible.shape}; allowed: uint8 (H, W) or (H, W, 3)"
        )
