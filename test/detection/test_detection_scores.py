# SPDX-License-Identifier: Apache-2.0
"""Average precision by COCO's rules; recall and misses at a confidence."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_ros.detection import Detection, LabelledBox, LabelledImage, evaluate

pytest.importorskip("pycocotools")

BOX, OTHER, WRONG = (0, 0, 10, 10), (20, 20, 30, 30), (50, 50, 60, 60)


def image(*boxes: LabelledBox, classes=("a",), name="0") -> LabelledImage:
    return LabelledImage(name, boxes, frozenset(classes))


def scores(found, *boxes: LabelledBox, confidence: float = 0.3):
    return evaluate({0: found}, {0: image(*boxes)}, confidence=confidence)["a"]


def test_average_precision_equals_a_manual_computation() -> None:
    found = [Detection(BOX, 0.9, "a"), Detection(WRONG, 0.8, "a"), Detection(OTHER, 0.7, "a")]
    result = scores(found, LabelledBox(BOX, "a"), LabelledBox(OTHER, "a"))
    # Hits 1, 0, 1: precision 1 at the recalls 0 to 0.5, then 2/3, at COCO's 101 recalls.
    assert result.ap50 == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
    assert (result.objects, result.recall, result.missed) == (2, 1.0, ())


def test_a_second_box_on_one_object_is_a_false_one() -> None:
    found = [Detection(BOX, 0.9, "a"), Detection(BOX, 0.8, "a"), Detection(OTHER, 0.7, "a")]
    result = scores(found, LabelledBox(BOX, "a"), LabelledBox(OTHER, "a"))
    assert result.ap50 == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_boxes_below_the_confidence_count_for_precision_and_not_for_recall() -> None:
    found = [Detection(BOX, 0.9, "a"), Detection(OTHER, 0.1, "a")]
    result = scores(found, LabelledBox(BOX, "a"), LabelledBox(OTHER, "a"), confidence=0.5)
    assert result.ap50 == pytest.approx(1.0)
    assert (result.recall, result.missed) == (0.5, ((0, LabelledBox(OTHER, "a")),))


def test_ap_over_ious_falls_with_the_overlap() -> None:
    result = scores([Detection((0, 0, 10, 8), 0.9, "a")], LabelledBox(BOX, "a"))
    assert result.ap50 == pytest.approx(1.0)
    assert result.ap50_95 == pytest.approx(0.7)  # IoU 0.8: up to 0.8


@pytest.mark.parametrize("of", ["a", "b"])
def test_detections_in_an_ignored_region_are_not_counted(of: str) -> None:
    crowd = LabelledBox((40, 40, 80, 80), of, ignored=True)
    found = [Detection(WRONG, 0.95, "a"), Detection(BOX, 0.9, "a")]
    result = scores(found, LabelledBox(BOX, "a"), crowd)
    assert (result.objects, result.ap50, result.missed) == (1, pytest.approx(1.0), ())
    assert scores(found, LabelledBox(BOX, "a")).ap50 == pytest.approx(0.5)


def test_a_class_is_measured_where_it_is_labelled() -> None:
    labels = {
        0: image(LabelledBox(BOX, "a"), classes=("a", "b")),
        1: image(LabelledBox(BOX, "b"), classes=("b",)),
    }
    found = {0: [Detection(BOX, 0.9, "a")], 1: [Detection(BOX, 0.95, "a")], 2: []}
    result = evaluate(found, labels, confidence=0.3)
    assert list(result) == ["a", "b"]
    assert (result["a"].ap50, result["a"].objects) == (pytest.approx(1.0), 1)
    assert (result["b"].ap50, result["b"].recall) == (0.0, 0.0)


def test_classes_without_an_object_have_no_scores() -> None:
    labels = {0: image(LabelledBox(BOX, "a", ignored=True))}
    assert evaluate({0: [Detection(BOX, 0.9, "a")]}, labels, confidence=0.3) == {}
    assert evaluate({}, {}, confidence=0.3) == {}


boxes = st.tuples(*[st.integers(0, 8)] * 2, *[st.integers(1, 8)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
detections = st.lists(st.builds(Detection, boxes, st.floats(0, 1), st.just("a")), max_size=6)


@settings(max_examples=60)
@given(detections, st.lists(st.builds(LabelledBox, boxes, st.just("a")), min_size=1, max_size=5))
def test_scores_are_shares_and_misses_complement_hits(found, labelled) -> None:
    result = scores(found, *labelled, confidence=0.4)
    assert 0 <= result.ap50_95 <= result.ap50 + 1e-9 <= 1 + 2e-9
    assert result.recall == pytest.approx(1 - len(result.missed) / len(labelled))
    perfect = scores([Detection(b.box, 1.0, "a") for b in labelled], *labelled)
    assert (perfect.ap50, perfect.missed) == (pytest.approx(1.0), ())
