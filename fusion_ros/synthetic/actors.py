# SPDX-License-Identifier: Apache-2.0
"""Moving objects of the street: people and a car, as flat parts with colour and temperature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusion_ros.synthetic.geometry import Colour, Part, ellipse, limb, rectangle, shaded

SKIN: Colour = (0.78, 0.57, 0.46)


@dataclass(frozen=True)
class Person:
    """A person who walks to and fro between two places at the height `feet_y`."""

    left: float
    right: float
    feet_y: float
    height: float
    speed: float  # world units per second; the height of the image is one unit
    coat: Colour
    trousers: Colour
    phase: float = 0.0
    coat_celsius: float = 23.5

    def at(self, seconds: float) -> tuple[float, float]:
        """Return x of the feet and the direction: 1 to the right, -1 to the left."""
        span = max(self.right - self.left, 1e-6)
        way = (seconds * self.speed + self.phase * span) % (2 * span)
        return (self.left + way, 1.0) if way < span else (self.right - (way - span), -1.0)

    def parts(self, seconds: float) -> list[Part]:
        """Return the parts at a time, from back to front."""
        x, facing = self.at(seconds)
        h = self.height
        stride = 2 * np.pi * (seconds * self.speed / (0.75 * h) + self.phase)
        swing, counter = 0.5 * np.sin(stride), 0.5 * np.sin(stride + np.pi)
        bob = 0.012 * h * abs(np.cos(stride))
        hip = np.array([x, self.feet_y - 0.49 * h - bob])
        neck = hip + np.array([0.02 * h * facing, -0.34 * h])
        parts = []
        for angle in (counter, swing):  # the far leg and arm first
            knee = hip + 0.24 * h * np.array([np.sin(angle), np.cos(angle)])
            bend = angle - facing * 0.7 * max(0.0, -facing * angle + 0.15)
            foot = knee + 0.24 * h * np.array([np.sin(bend), np.cos(bend)])
            parts.append(Part(limb(hip, knee, 0.125 * h, 0.09 * h), self.trousers, 23.0))
            parts.append(Part(limb(knee, foot, 0.09 * h, 0.06 * h), self.trousers, 21.0))
            toe = foot + np.array([0.06 * h * facing, 0.01 * h])
            parts.append(Part(limb(foot, toe, 0.05 * h, 0.04 * h), (0.10, 0.09, 0.09), 17.0))
        parts += self._arm(neck, counter * -0.8, facing)
        parts.append(Part(limb(neck, hip, 0.17 * h, 0.16 * h), self.coat, self.coat_celsius))
        chest = neck + np.array([0.0, 0.06 * h])
        parts.append(Part(ellipse(chest, 0.105 * h, 0.07 * h), self.coat, self.coat_celsius + 1))
        parts += self._arm(neck, swing * -0.8, facing)
        head = neck + np.array([0.015 * h * facing, -0.105 * h])
        parts.append(Part(limb(neck, head, 0.06 * h, 0.06 * h), SKIN, 33.0))
        parts.append(Part(ellipse(head, 0.055 * h, 0.07 * h), SKIN, 34.0))
        hair = head + np.array([-0.016 * h * facing, -0.034 * h])
        parts.append(Part(ellipse(hair, 0.05 * h, 0.042 * h), (0.13, 0.09, 0.07), 29.0))
        return parts

    def _arm(self, neck: np.ndarray, angle: float, facing: float) -> list[Part]:
        h = self.height
        shoulder = neck + np.array([0.0, 0.035 * h])
        bend = angle + 0.25 * facing
        elbow = shoulder + 0.17 * h * np.array([np.sin(angle), np.cos(angle)])
        hand = elbow + 0.16 * h * np.array([np.sin(bend), np.cos(bend)])
        shade = shaded(self.coat, 0.8)
        return [
            Part(limb(shoulder, elbow, 0.07 * h, 0.06 * h), shade, self.coat_celsius + 1.5),
            Part(limb(elbow, hand, 0.06 * h, 0.045 * h), shade, self.coat_celsius),
            Part(ellipse(hand, 0.026 * h, 0.026 * h, count=10), SKIN, 31.0),
        ]


@dataclass(frozen=True)
class Car:
    """A car that drives from left to right, and again after a pause."""

    ground_y: float = 0.915
    length: float = 0.40
    speed: float = 0.26
    pause: float = 0.25  # world units out of sight between two passes
    start: float = 0.55
    paint: Colour = (0.70, 0.13, 0.11)

    def front(self, seconds: float) -> float:
        """Return x of the front bumper."""
        way = 4.0 / 3.0 + self.length + self.pause
        return (self.start + seconds * self.speed) % way

    def headlight(self, seconds: float) -> tuple[float, float]:
        """Return the place of the headlight."""
        return self.front(seconds) - 0.01 * self.length, self.ground_y - 0.17 * self.length

    def parts(self, seconds: float) -> list[Part]:
        """Return the parts at a time, from back to front."""
        length, x = self.length, self.front(seconds) - self.length

        def place(points: list[tuple[float, float]]) -> np.ndarray:
            return np.array([(x + u * length, self.ground_y - v * length) for u, v in points])

        back = [(0.0, 0.09), (0.0, 0.22), (0.05, 0.26), (0.16, 0.27), (0.28, 0.38), (0.34, 0.40)]
        bonnet = [(0.76, 0.265), (0.93, 0.235), (0.99, 0.19), (1.0, 0.09)]
        body = place([*back, (0.58, 0.40), (0.64, 0.38), *bonnet])
        hood = place([(0.74, 0.27), (0.93, 0.235), (0.99, 0.19), (0.99, 0.13), (0.74, 0.13)])
        glass = place(
            [(0.20, 0.275), (0.30, 0.37), (0.35, 0.385), (0.57, 0.385), (0.62, 0.37), (0.72, 0.275)]
        )
        pillar = place([(0.45, 0.27), (0.46, 0.39), (0.48, 0.39), (0.48, 0.27)])
        driver = ellipse((x + 0.56 * length, self.ground_y - 0.315 * length), 0.035, 0.04)
        shadow = ellipse((x + 0.5 * length, self.ground_y + 0.004), 0.52 * length, 0.014)
        parts = [
            Part(shadow, (0.03, 0.03, 0.04), 14.5),
            Part(body, self.paint, 12.5),
            Part(hood, shaded(self.paint, 0.92), 27.0),
            Part(glass, (0.16, 0.19, 0.24), 9.0),
            Part(driver * (0.5, 0.5) + 0.5 * driver.mean(axis=0), (0.2, 0.15, 0.13), 16.0),
            Part(pillar, self.paint, 12.0),
            Part(place([(0.02, 0.115), (0.98, 0.115), (0.98, 0.10), (0.02, 0.10)]), (0.2,) * 3, 15),
        ]
        turn = seconds * self.speed / (0.09 * length)
        for u in (0.19, 0.81):
            hub = np.array([x + u * length, self.ground_y - 0.085 * length])
            parts.append(Part(ellipse(hub, 0.09 * length, 0.09 * length), (0.05,) * 3, 27.0))
            parts.append(Part(ellipse(hub, 0.055 * length, 0.055 * length), (0.5,) * 3, 33.0))
            for spoke in range(3):
                angle = turn + spoke * 2 * np.pi / 3
                tip = hub + 0.05 * length * np.array([np.cos(angle), np.sin(angle)])
                parts.append(Part(limb(hub, tip, 0.012, 0.008), (0.15,) * 3, 30.0))
        lamp = ellipse(self.headlight(seconds), 0.012, 0.011)
        tail = rectangle(x, self.ground_y - 0.22 * length, x + 0.008, self.ground_y - 0.17 * length)
        parts.append(Part(lamp, (1.0, 1.0, 0.9), 26.0, glow=(1.0, 0.97, 0.85)))
        parts.append(Part(tail, (0.8, 0.1, 0.1), 15.0, glow=(0.9, 0.08, 0.05)))
        exhaust = ellipse((x + 0.015, self.ground_y - 0.07 * length), 0.012, 0.006)
        parts.append(Part(exhaust, (0.12,) * 3, 48.0))
        return parts


CAR = Car()
IN_THE_LIGHT = Person(
    0.06, 0.60, 0.735, 0.225, 0.055, (0.20, 0.33, 0.52), (0.17, 0.17, 0.20), phase=0.42
)
IN_THE_DARK = Person(
    1.02, 1.30, 0.715, 0.215, 0.035, (0.08, 0.09, 0.08), (0.06, 0.06, 0.07), phase=0.60
)
IN_THE_SMOKE = Person(
    0.925, 0.965, 0.725, 0.22, 0.012, (0.36, 0.28, 0.17), (0.15, 0.15, 0.18), phase=0.3
)
IN_THE_GLARE = Person(
    0.772, 0.81, 0.672, 0.165, 0.010, (0.25, 0.22, 0.26), (0.12, 0.12, 0.16), phase=0.8
)
"""Four people, each visible to another camera; glare and smoke are in effects.py."""
