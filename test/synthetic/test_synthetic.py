# SPDX-License-Identifier: Apache-2.0
"""The synthetic street: deterministic, and neither camera shows everything."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fusion_ros.synthetic import Scene
from fusion_ros.synthetic.actors import (
    CAR,
    IN_THE_DARK,
    IN_THE_GLARE,
    IN_THE_LIGHT,
    IN_THE_SMOKE,
    Person,
)
from fusion_ros.synthetic.exposures import ExposureTimer
from fusion_ros.synthetic.geometry import View, limb

SIZE = (640, 480)
MOMENTS = (0.5, 2.0, 3.5)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(*SIZE, noise=0.0)


def to_celsius(counts: np.ndarray) -> np.ndarray:
    return counts.astype(np.float64) / 100.0 - 273.15


def masks(person: Person, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels of the trunk and those beside it at the same height."""
    view = View(*SIZE)
    x, _ = person.at(seconds)
    top, bottom = person.feet_y - 0.78 * person.height, person.feet_y - 0.58 * person.height
    corners = np.array([(x - 0.2 * person.height, top), (x + 0.2 * person.height, bottom)])
    (left, first), (right, last) = np.rint(view.pixels(corners)).astype(int)
    around = np.zeros((SIZE[1], SIZE[0]), bool)
    around[first:last, left:right] = True
    trunk = np.zeros_like(around)
    inset = round(0.06 * person.height * view.scale)
    middle = (left + right) // 2
    trunk[first:last, middle - inset // 2 : middle + inset // 2] = True
    figure = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    for part in person.parts(seconds):
        cv2.fillPoly(figure, [np.rint(view.pixels(part.outline)).astype(np.int32)], 1)
    figure = cv2.dilate(figure, np.ones((5, 5)))
    return trunk, around & (figure == 0)


def contrast(image: np.ndarray, person: Person, seconds: float) -> float:
    inside, beside = masks(person, seconds)
    return float(abs(image[inside].mean() - image[beside].mean()))


@pytest.mark.parametrize("seconds", MOMENTS)
@pytest.mark.parametrize("person", [IN_THE_DARK, IN_THE_SMOKE])
def test_people_in_darkness_and_smoke_are_visible_only_in_the_infrared(
    scene: Scene, person: Person, seconds: float
) -> None:
    grey = cv2.cvtColor(scene.visible(seconds), cv2.COLOR_RGB2GRAY)
    assert contrast(grey, person, seconds) < 14  # of 255
    assert contrast(to_celsius(scene.thermal(seconds)), person, seconds) > 8.0


def test_a_person_in_the_light_is_visible_to_both_cameras(scene: Scene) -> None:
    grey = cv2.cvtColor(scene.visible(0.5), cv2.COLOR_RGB2GRAY)
    assert contrast(grey, IN_THE_LIGHT, 0.5) > 30
    assert contrast(to_celsius(scene.thermal(0.5)), IN_THE_LIGHT, 0.5) > 5.0


def test_glare_whites_out_the_legs_of_the_person_beside_the_headlights(scene: Scene) -> None:
    x, y = View(*SIZE).pixels(np.array([(0.778, 0.634)]))[0].astype(int)
    assert scene.visible(2.0)[y - 3 : y + 4, x - 3 : x + 4].min() > 240
    warmest = to_celsius(scene.thermal(2.0))[y - 60 : y + 10, x - 30 : x + 40].max()
    assert warmest > 28.0
    assert IN_THE_GLARE.left < 0.8


@pytest.mark.parametrize(
    ("what", "left", "top", "right", "bottom"),
    [("the cafe's name", 0.14, 0.472, 0.41, 0.504), ("the zebra crossing", 0.56, 0.80, 0.78, 0.83)],
)
def test_lettering_and_road_paint_are_invisible_in_the_infrared(
    scene: Scene, what: str, left: float, top: float, right: float, bottom: float
) -> None:
    # At a time when nothing hides them.
    corners = View(*SIZE).pixels(np.array([(left, top), (right, bottom)]))
    (x0, y0), (x1, y1) = np.rint(corners).astype(int)
    seconds = next(
        t for t in np.arange(0, 30, 0.5) if CAR.front(t) < 0.3 and abs(CAR.front(t) - 0.5) > 0.1
    )
    grey = cv2.cvtColor(scene.visible(seconds), cv2.COLOR_RGB2GRAY)[y0:y1, x0:x1]
    celsius = to_celsius(scene.thermal(seconds))[y0:y1, x0:x1]
    assert grey.std() > 20, what
    assert celsius.std() < 0.8, what


def test_the_street_depends_only_on_the_seed() -> None:
    one, same, other = Scene(160, 120, seed=3), Scene(160, 120, seed=3), Scene(160, 120, seed=4)
    for look in (Scene.visible, Scene.thermal):
        np.testing.assert_array_equal(look(one, 1.25), look(same, 1.25))
        assert (look(one, 1.25) != look(other, 1.25)).any()


def test_an_image_does_not_depend_on_earlier_images() -> None:
    one, other = Scene(160, 120), Scene(160, 120)
    for seconds in (0.1, 9.0, 4.2):
        other.visible(seconds), other.thermal(seconds)
    np.testing.assert_array_equal(one.visible(2.0), other.visible(2.0))
    np.testing.assert_array_equal(one.thermal(2.0), other.thermal(2.0))


def test_things_move(scene: Scene) -> None:
    assert np.abs(scene.visible(1.0).astype(int) - scene.visible(1.2)).max() > 50
    assert np.abs(scene.thermal(1.0).astype(int) - scene.thermal(1.2)).max() > 500


def test_temperatures_are_those_of_a_cool_evening_in_centikelvin(scene: Scene) -> None:
    celsius = to_celsius(scene.thermal(1.0))
    assert -20 < celsius.min() < 5
    assert 33 < celsius.max() < 60
    assert 5 < np.median(celsius) < 15


def test_noise_is_new_in_every_frame_and_as_strong_as_usual_sensors() -> None:
    noisy, clean = Scene(320, 240), Scene(320, 240, noise=0.0)
    errors = [
        noisy.thermal(t).astype(float) - clean.thermal(t).astype(float) for t in (1.0, 1.0 + 1 / 30)
    ]
    assert 5 < errors[0].std() < 12  # 0.05 to 0.12 degrees
    assert (errors[0] != errors[1]).mean() > 0.9
    shown = clean.visible(1.0)
    middle = (shown > 40) & (shown < 200)
    error = noisy.visible(1.0).astype(float) - shown
    assert 2.5 < error[middle].std() < 4.0


@pytest.mark.parametrize("size", [(640, 512), (160, 120), (1280, 720), (33, 57)])
def test_any_size_and_aspect_gives_images_of_that_size(size: tuple[int, int]) -> None:
    scene = Scene(*size)
    width, height = size
    assert (scene.visible(1.0).shape, scene.visible(1.0).dtype) == ((height, width, 3), np.uint8)
    assert (scene.thermal(1.0).shape, scene.thermal(1.0).dtype) == ((height, width), np.uint16)


def test_a_smaller_thermal_camera_sees_the_same_things_at_the_same_places(scene: Scene) -> None:
    small = cv2.resize(Scene(160, 120, noise=0.0).thermal(1.0).astype(np.float32), SIZE)
    large = cv2.GaussianBlur(scene.thermal(1.0).astype(np.float32), (0, 0), 3)
    assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > 0.97


@pytest.mark.parametrize(("width", "height", "named"), [(31, 480, "width"), (640, 5000, "height")])
def test_a_size_out_of_range_is_named(width: int, height: int, named: str) -> None:
    with pytest.raises(ValueError, match=f"{named} is .*32 to 4096"):
        Scene(width, height)


def test_a_limb_is_a_bar_with_round_ends() -> None:
    outline = limb(np.array([0.0, 0.0]), np.array([10.0, 0.0]), 2.0, 4.0)
    assert outline.min(axis=0) == pytest.approx([-1, -2], abs=0.1)
    assert outline.max(axis=0) == pytest.approx([12, 2], abs=0.1)


def test_exposures_are_at_whole_periods_of_the_clock() -> None:
    timer = ExposureTimer(10.0)
    due = [timer.next_after(now).due_ns for now in (0, 1, 99_999_999, 100_000_000)]
    assert due == [100_000_000, 100_000_000, 100_000_000, 200_000_000]


def test_two_timers_of_one_rate_expose_at_the_same_times() -> None:
    now = 1_795_361_923_696_289_892
    first, second = ExposureTimer(30.0, seed=1), ExposureTimer(30.0, seed=2)
    assert first.next_after(now).stamp_ns == second.next_after(now + 1000).stamp_ns


def test_exposures_are_in_the_future_and_do_not_repeat() -> None:
    timer, now = ExposureTimer(29.97), 1_795_361_923_696_289_892
    due = []
    for _ in range(1000):
        now = timer.next_after(now).due_ns
        due.append(now)
    gaps = np.diff(due)
    assert gaps.min() > 33e6
    assert gaps.max() < 34e6


def test_offset_jitter_and_loss_are_as_configured() -> None:
    timer = ExposureTimer(30.0, offset_ms=7.0, jitter_ms=2.0, drop_ratio=0.25, seed=5)
    exposures = [timer.next_after(n * 33_333_334) for n in range(4000)]
    error_ms = np.array([e.stamp_ns - e.due_ns for e in exposures]) / 1e6
    assert error_ms.mean() == pytest.approx(7.0, abs=0.15)
    assert error_ms.std() == pytest.approx(2.0, abs=0.15)
    assert np.abs(error_ms - 7.0).max() <= 6.0 + 1e-6
    assert np.mean([e.dropped for e in exposures]) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(
    ("argument", "value"), [("rate_hz", 0.0), ("jitter_ms", -1.0), ("drop_ratio", 1.5)]
)
def test_an_argument_out_of_range_is_named(argument: str, value: float) -> None:
    arguments = {"rate_hz": 30.0, argument: value}
    with pytest.raises(ValueError, match=f"{argument} is {value}"):
        ExposureTimer(**arguments)
