# SPDX-License-Identifier: Apache-2.0
"""Videos pair by time and keep their depth."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fusion_ros.imaging.encodings import EncodingError
from fusion_ros.recordings import video_files
from fusion_ros.recordings.image_recordings import FIRST_STAMP_NS, VideoRecording
from fusion_ros.recordings.opening import open_recording
from fusion_ros.recordings.recording import DamageKind, RecordingError
from fusion_ros.recordings.sampled_pairs import paired_frames
from fusion_ros.recordings.video_files import VideoError, VideoFile, match_videos
from fusion_ros.streams.ledger import Stream

SHAPE = (48, 64)


def write_video(
    path: Path, count: int, rate_hz: float, *, deep: bool = False, codec: str = "FFV1"
) -> Path:
    """A video whose frame n shows the level n (8 bits), or counts from 7000 + 100 n."""
    options = [cv2.VIDEOWRITER_PROP_IS_COLOR, 0 if deep else 1]
    options += [cv2.VIDEOWRITER_PROP_DEPTH, cv2.CV_16U if deep else cv2.CV_8U]
    codec = cv2.VideoWriter_fourcc(*codec)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, rate_hz, SHAPE[::-1], options)
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write such a video")
    for n in range(count):
        if deep:
            writer.write(np.full(SHAPE, 7000 + 100 * n, np.uint16) + np.arange(64, dtype=np.uint16))
        else:
            writer.write(np.full((*SHAPE, 3), n, np.uint8))
    writer.release()
    return path


def write_frames_at(path: Path, times: list[int]) -> Path:
    """A video of 30 Hz with frames at these multiples of the period alone."""
    options = [cv2.VIDEOWRITER_PROP_RAW_VIDEO, 1]
    codec = cv2.VideoWriter_fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, 30.0, SHAPE[::-1], options)
    if not (writer.isOpened() and writer.set(cv2.VIDEOWRITER_PROP_PTS, times[0])):
        pytest.skip("this OpenCV cannot write such a video")
    for n, time in enumerate(times):
        writer.set(cv2.VIDEOWRITER_PROP_PTS, time)
        writer.write(cv2.imencode(".jpg", np.full((*SHAPE, 3), n, np.uint8))[1].reshape(1, -1))
    writer.release()
    return path


@pytest.mark.parametrize("first", [0, 150])
@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_a_variable_rate_keeps_its_times_and_misses_no_frame(
    tmp_path: Path, ending: str, first: int
) -> None:
    times = [first + n for n in (0, 1, 4, 5, 9, 10, 12, 20, 21)]
    paths = [write_frames_at(tmp_path / f"{s.value}.{ending}", times) for s in Stream]
    recording = VideoRecording(*paths)
    stamps: dict[Stream, list[int]] = {s: [] for s in Stream}
    for frame in recording.frames():
        stamps[frame.stream].append(round((frame.arrived_ns - FIRST_STAMP_NS) * 30 / 1e9))
    recording.close()
    assert stamps == {s: [time - first for time in times] for s in Stream}
    assert recording.damage == []
    assert [recording.identity.messages(s) for s in Stream] == [len(times)] * 2


@pytest.mark.parametrize("ending", ["mkv", "avi"])
def test_frames_missing_at_the_end_are_counted(tmp_path: Path, ending: str) -> None:
    whole, cut = (
        write_video(tmp_path / f"{name}.{ending}", 40, 10.0, codec="MJPG") for name in ("a", "b")
    )
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    recording = VideoRecording(whole, cut)
    decoded = [frame.stream for frame in recording.frames()].count(Stream.THERMAL)
    recording.close()
    assert 0 < decoded < 40
    assert [(d.file, d.kind, decoded + d.lost) for d in recording.damage] == [
        (cut.name, DamageKind.MESSAGES, 40)
    ]


@pytest.mark.parametrize(("rates", "seconds"), [((30, 9), 4), ((9, 30), 4), ((25, 25), 2)])
@pytest.mark.parametrize("ending", ["mkv", "avi"])
def test_frames_pair_at_the_nearest_time(
    tmp_path: Path, rates: tuple[float, float], seconds: int, ending: str
) -> None:
    visible, thermal = (
        write_video(tmp_path / f"{stream.value}.{ending}", rate * seconds, rate)
        for stream, rate in zip(Stream, rates, strict=True)
    )
    recording = VideoRecording(visible, thermal)
    pairs = list(paired_frames(recording.frames(), recording.match.tolerance_ns))
    recording.close()
    # At the end the slower video may last a little longer than the faster one.
    assert min(rates) * seconds - 1 <= len(pairs) <= min(rates) * seconds
    assert recording.match.doubt == ""
    for seen, felt in ((pair.visible, pair.thermal) for pair in pairs):
        seconds_apart = seen.index / rates[0] - felt.index / rates[1]
        assert abs(seconds_apart) <= 0.5 / max(rates) + 0.001
        assert int(seen.read().pixels[0, 0, 0]) == seen.index
        assert int(felt.read().pixels[0, 0, 0]) == felt.index


def test_sixteen_bit_grey_keeps_its_counts_of_a_thermal_camera(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", 5, 9.0, deep=True)
    frames = list(VideoFile(path, Stream.THERMAL).frames())
    assert [int(frame.pixels[0, 0]) for frame in frames] == [7000 + 100 * n for n in range(5)]
    assert [int(frame.pixels[0, 63]) for frame in frames] == [7063 + 100 * n for n in range(5)]
    with pytest.raises(VideoError, match=r"a\.mkv .*16-bit"):
        VideoFile(path, Stream.VISIBLE)


def test_formats_that_would_lose_depth_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mkv", 2, 9.0, deep=True)
    monkeypatch.setattr(video_files, "_GREY16", b"none")  # as any other deep format
    with pytest.raises(VideoError, match=r"a\.mkv .*\b16\b"):
        VideoFile(path, Stream.THERMAL)


@pytest.mark.parametrize(
    ("tag", "bits"),
    [
        (b"Y1\0\x10", 16),  # gray16le
        (b"\x10\x001Y", 16),  # gray16be
        (b"Y1\0\x0e", 14),
        (b"Y3\x0b\x0a", 10),  # yuv420p10le
        (b"RGB0", 16),  # rgb48le
        (b"P010", 16),
        (b"Y800", 8),
        (b"I420", 8),
        (b"BGRA", 8),
        (b"\0\0\0\0", 8),
    ],
)
def test_the_depth_is_that_of_the_pixel_format(tag: bytes, bits: int) -> None:
    assert video_files.bits_of(tag) == bits


class NoRate:
    """A capture without a frame rate."""

    def __init__(self, path: str) -> None:
        self._capture = REAL_CAPTURE(path)

    def get(self, what: int) -> float:
        return 0.0 if what == cv2.CAP_PROP_FPS else self._capture.get(what)

    def __getattr__(self, name: str) -> object:
        return getattr(self._capture, name)


REAL_CAPTURE = cv2.VideoCapture


def test_an_unknown_rate_must_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mkv", 4, 10.0)
    monkeypatch.setattr(video_files.cv2, "VideoCapture", NoRate)
    with pytest.raises(VideoError, match="--frame-rate"):
        VideoFile(path, Stream.VISIBLE)
    frames = list(VideoFile(path, Stream.VISIBLE, 20.0).frames())
    assert [frame.time_ns for frame in frames] == [0, 50_000_000, 100_000_000, 150_000_000]


def test_one_rate_for_two_that_differ_is_refused(tmp_path: Path) -> None:
    fast = write_video(tmp_path / "a_vis.mkv", 30, 30.0)
    slow = write_video(tmp_path / "a_ir.mkv", 9, 9.0)
    with pytest.raises(RecordingError, match=r"a_ir\.mkv 9\b"):
        open_recording(fast, partner=slow, rate_hz=30.0)


def test_different_lengths_are_doubtful(tmp_path: Path) -> None:
    long = VideoFile(write_video(tmp_path / "a.mkv", 30, 10.0), Stream.VISIBLE)
    short = VideoFile(write_video(tmp_path / "b.mkv", 20, 10.0), Stream.THERMAL)
    doubt = match_videos(long, short).doubt
    assert all(value in doubt for value in ("a.mkv", "3.00 s", "b.mkv", "2.00 s"))


def test_a_tiff_file_of_several_images_is_a_video(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    counts = np.arange(6 * 48 * 64).reshape(6, 48, 64).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a_ir.tiff", counts)
    seen = write_video(tmp_path / "a_vis.mkv", 12, 20.0)
    recording = open_recording(seen, partner=tmp_path / "a_ir.tiff", rate_hz=10.0)
    pairs = list(paired_frames(recording.frames(), recording.match.tolerance_ns))
    assert [(pair.visible.index, pair.thermal.index) for pair in pairs] == [
        (2 * n, n) for n in range(6)
    ]
    np.testing.assert_array_equal(pairs[5].thermal.read().pixels, counts[5])
    with pytest.raises(RecordingError, match="--frame-rate"):
        open_recording(seen, partner=tmp_path / "a_ir.tiff")
    tifffile.imwrite(tmp_path / "b.tiff", counts)
    swapped = open_recording(tmp_path / "b.tiff", partner=tmp_path / "a_ir.tiff", rate_hz=10.0)
    with pytest.raises(EncodingError, match="uint16"):
        list(swapped.frames())
