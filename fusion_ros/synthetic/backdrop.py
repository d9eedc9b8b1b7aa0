# SPDX-License-Identifier: Apache-2.0
"""The static street: painted once, in colour and in degrees Celsius."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fusion_ros.synthetic.effects import PARKED_HEADLIGHTS, VENT, cloudiness
from fusion_ros.synthetic.geometry import WORLD_WIDTH, Colour, View, ellipse, fill, rectangle

HORIZON, PAVEMENT, KERB = 0.645, 0.665, 0.755
LAMP = (0.665, 0.265)
_DARK: Colour = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Backdrop:
    """The empty street.

    Attributes:
        visible: uint8 HxWx3 RGB.
        light: float32 HxWx3, the light at each place, for painting people into the image.
        celsius: float32 HxW.
    """

    visible: np.ndarray
    light: np.ndarray
    celsius: np.ndarray


class _Easel:
    """Paints colour, emitted light and temperature at once, at twice the size."""

    def __init__(self, view: View) -> None:
        self.view = View(2 * view.width, 2 * view.height)
        shape = (self.view.height, self.view.width)
        self.albedo = np.zeros((*shape, 3), np.uint8)
        self.glow = np.zeros((*shape, 3), np.uint8)
        self.celsius = np.zeros(shape, np.float32)

    def paint(
        self, outline: np.ndarray, albedo: Colour, celsius: float | None, glow: Colour = _DARK
    ) -> None:
        """Fill an outline; with `celsius` None it is invisible in the infrared."""
        points = self.view.fixed_point(outline)
        fill(self.albedo, points, [round(255 * c) for c in albedo])
        fill(self.glow, points, [round(255 * c) for c in glow])
        if celsius is not None:
            fill(self.celsius, points, celsius)

    def line(
        self, start: tuple[float, float], end: tuple[float, float], width: float, albedo: Colour
    ) -> None:
        along = np.subtract(end, start)
        across = np.array([-along[1], along[0]]) / np.hypot(*along) * width / 2
        self.paint(
            np.array([start + across, end + across, end - across, start - across]), albedo, None
        )

    def write(
        self, text: str, middle: tuple[float, float], height: float, albedo: Colour, glow: Colour
    ) -> None:
        """Write text that is invisible in the infrared."""
        font, scale = cv2.FONT_HERSHEY_DUPLEX, height * self.view.scale / 22.0
        thickness = max(1, round(1.9 * scale))
        (width, rise), _ = cv2.getTextSize(text, font, scale, thickness)
        x, y = self.view.pixels(np.array([middle]))[0]
        at = (round(x - width / 2), round(y + rise / 2))
        for canvas, colour in ((self.albedo, albedo), (self.glow, glow)):
            values = [round(255 * c) for c in colour]
            cv2.putText(canvas, text, at, font, scale, values, thickness, cv2.LINE_AA)

    def speckle(
        self, left: float, top: float, right: float, bottom: float, share: float,
        celsius: float, rng: np.random.Generator,
    ) -> None:  # fmt: skip
        """Vary a surface: its albedo by `share`, its temperature by `celsius`."""
        box = self.view.box(np.array([(left, top), (right, bottom)]), margin=0)
        if box is None:
            return
        rows, columns = slice(box[0], box[1]), slice(box[2], box[3])
        shape = (box[1] - box[0], box[3] - box[2])
        grain: np.ndarray = rng.normal(0, 1, shape).astype(np.float32)
        grain = cv2.GaussianBlur(grain, (0, 0), 1.2) * 1.8 + 2 * (cloudiness(*shape, rng) - 0.5)
        patch = self.albedo[rows, columns]
        factor = np.clip(1 + share * grain, 0.2, 1.8)[..., None]
        self.albedo[rows, columns] = np.clip(patch * factor, 0, 255).astype(np.uint8)
        self.celsius[rows, columns] += celsius * grain


def paint_backdrop(view: View, seed: int) -> Backdrop:
    """Paint the empty street for a view."""
    rng = np.random.default_rng(seed)
    easel = _Easel(view)
    _sky(easel, rng)
    _skyline(easel, rng)
    _ground(easel, rng)
    _facade(easel, rng)
    _trees(easel, rng)
    _parked_car(easel)
    _street_furniture(easel)
    size = (view.width, view.height)
    albedo, glow, celsius = (
        cv2.resize(layer, size, interpolation=cv2.INTER_AREA)
        for layer in (easel.albedo, easel.glow, easel.celsius)
    )
    light = _light(view)
    lit = albedo.astype(np.float32) * light + glow
    halo = cv2.GaussianBlur(glow.astype(np.float32), (0, 0), 0.022 * view.scale)
    sky = view.grid()[1] < HORIZON
    lit += halo * np.where(sky, 0.45, 0.9)[..., None]
    return Backdrop(np.clip(lit, 0, 255).astype(np.uint8), light, celsius)


def _light(view: View) -> np.ndarray:
    """Return the light: dusk everywhere, more under the lamp and in front of the cafe."""
    x, y = view.grid()

    def pool(cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
        return np.exp(-((((x - cx) / rx) ** 2) + ((y - cy) / ry) ** 2))[..., None]

    dusk = np.array([0.24, 0.26, 0.35], np.float32)
    shade = 1 - 0.72 * np.clip((x - 0.90) / 0.12, 0, 1) * np.clip((0.80 - y) / 0.06, 0, 1)
    warm, amber = np.array([1.0, 0.80, 0.52]), np.array([1.0, 0.72, 0.40])
    light: np.ndarray = dusk * shade[..., None] + 0.80 * warm * pool(LAMP[0], 0.73, 0.20, 0.14)
    light += 0.60 * amber * pool(0.30, 0.66, 0.32, 0.17) + 0.30 * warm * pool(0.62, 0.42, 0.13, 0.3)
    return light.astype(np.float32)


def _sky(easel: _Easel, rng: np.random.Generator) -> None:
    """Paint the afterglow; a clear sky is far below freezing in the infrared."""
    view = easel.view
    _, y = view.grid()
    down = np.clip(y / HORIZON, 0, 1)
    stops = [0.0, 0.45, 0.75, 1.0]
    colours = np.array([(16, 24, 58), (52, 56, 104), (150, 92, 104), (238, 150, 84)], np.float32)
    sky = np.stack([np.interp(down[:, 0], stops, colours[:, c]) for c in range(3)], axis=1)
    cloud = cloudiness(view.height, view.width, rng)
    cloud = cv2.resize(cloud[: view.height // 3], (view.width, view.height))  # wide and flat
    bank = np.clip((cloud - 0.45) * 1.8, 0, 1)[..., None]
    tinted = sky[:, None, :] * (1 - 0.35 * bank) + np.array([96, 62, 84], np.float32) * 0.45 * bank
    easel.glow[:] = np.clip(tinted, 0, 255).astype(np.uint8)
    easel.celsius[:] = -6.0 + 10.0 * down**1.5 + 5.0 * bank[..., 0]


def _skyline(easel: _Easel, rng: np.random.Generator) -> None:
    x = 0.45
    while x < WORLD_WIDTH + 0.1:
        width, top = rng.uniform(0.035, 0.09), rng.uniform(0.40, 0.56)
        shade = rng.uniform(0.05, 0.10)
        tower = rectangle(x, top, x + width, HORIZON + 0.02)
        easel.paint(tower, (shade,) * 3, 5.0 + 3 * rng.random(), (0.11, 0.09, 0.14))
        for row in np.arange(top + 0.015, HORIZON - 0.02, 0.021):
            for column in np.arange(x + 0.008, x + width - 0.01, 0.014):
                if rng.random() < 0.28:
                    pane = rectangle(column, row, column + 0.006, row + 0.009)
                    easel.paint(pane, (0.3, 0.25, 0.2), None, (0.80, 0.62, 0.34))
        x += width * rng.uniform(0.75, 1.2)


def _ground(easel: _Easel, rng: np.random.Generator) -> None:
    """Paint the warm road; road paint and joints are invisible in the infrared."""
    easel.paint(rectangle(-1, HORIZON, 3, PAVEMENT + 0.01), (0.16, 0.19, 0.13), 8.0)
    easel.paint(rectangle(-1, PAVEMENT, 3, KERB), (0.52, 0.50, 0.48), 11.0)
    easel.paint(rectangle(-1, KERB, 3, KERB + 0.014), (0.66, 0.65, 0.62), 12.5)
    easel.paint(rectangle(-1, KERB + 0.014, 3, 1.3), (0.25, 0.25, 0.27), 15.0)
    easel.speckle(-1, PAVEMENT, 3, KERB, 0.07, 0.25, rng)
    for lane in (0.835, 0.95):  # where wheels run, the road is warmer
        easel.paint(rectangle(-1, lane, 3, lane + 0.022), (0.235, 0.235, 0.255), 15.9)
    easel.speckle(-1, KERB + 0.014, 3, 1.3, 0.10, 0.40, rng)
    for x in np.arange(-0.5, 1.9, 0.085):
        easel.line((x, PAVEMENT), (x - 0.03, KERB), 0.003, (0.36, 0.35, 0.34))
    easel.line((-1, 0.705), (3, 0.705), 0.0025, (0.36, 0.35, 0.34))
    for x in np.arange(-0.4, 1.9, 0.22):
        dash = np.array([(x, 0.925), (x + 0.11, 0.925), (x + 0.107, 0.938), (x - 0.004, 0.938)])
        easel.paint(dash, (0.88, 0.87, 0.82), None)
    for x in np.arange(0.54, 0.84, 0.055):
        bar = np.array([(x, 0.785), (x + 0.03, 0.785), (x + 0.022, 0.90), (x - 0.012, 0.90)])
        easel.paint(bar, (0.90, 0.90, 0.86), None)
    easel.paint(ellipse(VENT, 0.030, 0.006), (0.12, 0.12, 0.13), 31.0)


def _facade(easel: _Easel, rng: np.random.Generator) -> None:
    """Paint a brick facade with windows and a cafe; its name is invisible in the infrared."""
    right = 0.53
    easel.paint(rectangle(-1, 0.07, right, PAVEMENT), (0.50, 0.26, 0.20), 10.5)
    easel.speckle(-0.2, 0.07, right, PAVEMENT, 0.10, 0.35, rng)
    for row, y in enumerate(np.arange(0.07, 0.47, 0.0135)):
        easel.line((-1, y), (right, y), 0.0022, (0.36, 0.22, 0.19))
        for x in np.arange(-0.3 + 0.02 * (row % 2), right, 0.04):
            easel.line((x, y), (x, y + 0.0135), 0.002, (0.36, 0.22, 0.19))
    easel.paint(rectangle(-1, 0.055, right + 0.015, 0.085), (0.42, 0.38, 0.36), 7.5)
    _windows(easel)
    _cafe(easel, right, rng)


def _windows(easel: _Easel) -> None:
    for row, top in enumerate((0.125, 0.295)):
        for column, x in enumerate((-0.20, -0.05, 0.10, 0.25, 0.40)):
            lit = (row, column) in {(0, 2), (1, 4), (1, 1)}
            easel.paint(rectangle(x, top + 0.12, x + 0.075, top + 0.15), (0.47, 0.25, 0.2), 12.4)
            easel.paint(rectangle(x - 0.008, top - 0.008, x + 0.083, top + 0.125), (0.6,) * 3, 12.0)
            glow = (0.95, 0.72, 0.38) if lit else (0.055, 0.07, 0.12)
            pane = rectangle(x, top, x + 0.075, top + 0.115)
            easel.paint(pane, (0.10,) * 3, 14.5 if lit else 3.5, glow)
            if lit:
                for side in (x, x + 0.058):
                    curtain = rectangle(side, top, side + 0.017, top + 0.115)
                    easel.paint(curtain, (0.5, 0.2, 0.15), None, (0.62, 0.33, 0.20))
            for bar in ((x, top + 0.05, x + 0.075, top + 0.056), (x + 0.035, top, x + 0.04, 0)):
                bottom = bar[3] or top + 0.115
                easel.paint(rectangle(*bar[:3], bottom), (0.55,) * 3, 9.0)
            easel.paint(
                rectangle(x - 0.013, top + 0.118, x + 0.088, top + 0.13), (0.62, 0.6, 0.56), 9.5
            )


def _cafe(easel: _Easel, right: float, rng: np.random.Generator) -> None:
    easel.paint(rectangle(-1, 0.462, right, 0.475), (0.45, 0.42, 0.40), 9.0)
    easel.paint(rectangle(-1, 0.475, right, PAVEMENT), (0.20, 0.24, 0.22), 10.0)
    for left, width in ((0.03, 0.20), (0.33, 0.16)):
        shop = rectangle(left, 0.535, left + width, 0.648)
        easel.paint(shop, (0.2, 0.15, 0.1), 15.5, (0.98, 0.76, 0.42))
        for x in np.arange(left + 0.02, left + width - 0.02, 0.034):
            bottle = rectangle(x, 0.585, x + 0.012, 0.612)
            red, green, blue = rng.uniform(0.2, 0.9, 3)
            easel.paint(bottle, (0.3, 0.2, 0.1), None, (red, green, blue))
            easel.paint(
                ellipse((x + 0.006, 0.552), 0.007, 0.009), (1, 1, 1), 17.0, (1.0, 0.93, 0.75)
            )
        easel.paint(
            rectangle(left, 0.612, left + width, 0.617), (0.3, 0.2, 0.1), None, (0.45, 0.3, 0.18)
        )
    easel.paint(rectangle(0.25, 0.545, 0.31, PAVEMENT), (0.16, 0.28, 0.23), 11.5)
    easel.paint(rectangle(0.26, 0.555, 0.30, 0.61), (0.2,) * 3, 14.0, (0.80, 0.62, 0.36))
    for stripe in range(16):
        x = 0.01 + stripe * 0.0315
        awning = np.array(
            [(x, 0.507), (x + 0.0315, 0.507), (x + 0.034, 0.548), (x + 0.0005, 0.548)]
        )
        easel.paint(awning, (0.72, 0.16, 0.13) if stripe % 2 else (0.85, 0.82, 0.76), 8.0)
    easel.paint(rectangle(0.13, 0.468, 0.42, 0.508), (0.05, 0.06, 0.08), 9.5)
    easel.write("CAFE LUMEN", (0.275, 0.488), 0.024, (0.9, 0.6, 0.5), (1.0, 0.46, 0.40))


def _trees(easel: _Easel, rng: np.random.Generator) -> None:
    """Paint a dark park: invisible to the eye; leaves have nearly the temperature of the air."""
    for x, crown, size in ((0.935, 0.36, 0.10), (1.10, 0.30, 0.13), (1.28, 0.36, 0.12)):
        trunk = np.array(
            [(x - 0.012, crown), (x + 0.012, crown), (x + 0.018, 0.68), (x - 0.018, 0.68)]
        )
        easel.paint(trunk, (0.16, 0.12, 0.09), 9.5)
        for _ in range(70):
            angle, reach = rng.uniform(0, 2 * np.pi), size * np.sqrt(rng.random())
            cx, cy = x + reach * np.cos(angle), crown + 0.85 * reach * np.sin(angle)
            shade, radius = rng.uniform(0.6, 1.2), rng.uniform(0.018, 0.036)
            green: Colour = (0.13 * shade, 0.20 * shade, 0.11 * shade)
            easel.paint(ellipse((cx, cy), radius, 0.8 * radius), green, 6.0 + 3.0 * rng.random())
    for _ in range(420):
        x, y = rng.uniform(0.885, 1.5), rng.uniform(0.47, 0.668)
        shade, radius = rng.uniform(0.6, 1.1), rng.uniform(0.014, 0.026)
        green = (0.12 * shade, 0.18 * shade, 0.10 * shade)
        easel.paint(ellipse((x, y), radius, 0.8 * radius), green, 6.5 + 2.5 * rng.random())


def _parked_car(easel: _Easel) -> None:
    """Paint a car that faces the camera with its headlights on (effects.Glare)."""
    x = sum(lamp[0] for lamp in PARKED_HEADLIGHTS) / 2
    left, right = [(-0.062, 0.672), (-0.062, 0.625)], [(0.062, 0.625), (0.062, 0.672)]
    roof = [(-0.05, 0.605), (-0.036, 0.572), (0.036, 0.572), (0.05, 0.605)]
    place = np.array((x, 0.0))
    easel.paint(np.array([*left, *roof, *right]) + place, (0.30, 0.34, 0.38), 12.0)
    glass = np.array([(-0.042, 0.605), (-0.031, 0.579), (0.031, 0.579), (0.042, 0.605)])
    easel.paint(glass + place, (0.10, 0.12, 0.14), 8.5)
    easel.paint(rectangle(x - 0.05, 0.610, x + 0.05, 0.624), (0.32, 0.36, 0.40), 25.0)
    easel.paint(rectangle(x - 0.022, 0.630, x + 0.022, 0.648), (0.08,) * 3, 33.0)
    for side in (-0.05, 0.05):
        easel.paint(ellipse((x + side, 0.676), 0.012, 0.018), (0.04,) * 3, 22.0)
    for lamp in PARKED_HEADLIGHTS:
        easel.paint(ellipse(lamp, 0.010, 0.008), (1, 1, 1), 24.0, (1, 1, 0.95))


def _street_furniture(easel: _Easel) -> None:
    x, y = LAMP
    easel.paint(rectangle(x - 0.005, y, x + 0.005, 0.70), (0.22, 0.23, 0.24), 8.5)
    easel.paint(rectangle(x - 0.010, 0.67, x + 0.010, 0.705), (0.20, 0.21, 0.22), 9.0)
    easel.paint(ellipse((x, y - 0.012), 0.026, 0.010), (0.2,) * 3, 19.0)
    easel.paint(ellipse((x, y), 0.018, 0.010), (1, 1, 1), 36.0, (1.0, 0.92, 0.72))
    post = 0.575
    easel.paint(rectangle(post - 0.003, 0.50, post + 0.003, 0.71), (0.5,) * 3, 8.0)
    easel.paint(ellipse((post, 0.505), 0.036, 0.036, 8), (0.85, 0.85, 0.85), 6.0, (0.3, 0.3, 0.3))
    sign = ellipse((post, 0.505), 0.032, 0.032, 8)
    easel.paint(sign, (0.80, 0.08, 0.08), 6.0, (0.5, 0.03, 0.03))
    easel.write("STOP", (post, 0.505), 0.017, (1, 1, 1), (0.9, 0.9, 0.9))
