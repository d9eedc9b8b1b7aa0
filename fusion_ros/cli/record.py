# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros record`: write a bag from images, videos or live topics."""

from __future__ import annotations

import argparse
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion_ros.cli.argument_types import number, result_folder, whole_number
from fusion_ros.cli.exit_codes import DONE, NEGATIVE
from fusion_ros.cli.node import NO_RCLPY_FIX
from fusion_ros.cli.shared_options import add_by_order, add_tolerance, matching_of
from fusion_ros.streams.outside_text import say

if TYPE_CHECKING:
    from fusion_ros.imaging.encodings import PixelFrame
    from fusion_ros.imaging.pair_check import PairDoubt
    from fusion_ros.streams.ledger import Stream

_EXAMPLES = """\
examples:
  fusion-ros record bag clips/drive               a folder that holds vis/ and ir/
  fusion-ros record bag day_vis.mp4 --thermal day_ir.mp4
  fusion-ros record bag --live --seconds 60 --visible-topic /cam/color/image_raw \\
      --thermal-topic /lepton/image_raw --topic /tf

Exit codes: 0 the bag is written (Ctrl-C ends it early, the bag is whole), 1 it is written, but part
of the source could not be read, 2 no bag is written.
"""
VISIBLE_TOPIC, THERMAL_TOPIC = "/visible/image_raw", "/thermal/image_raw"


def add_parser(subparsers: Any) -> None:
    """Add `record` to the sub-commands of `fusion-ros`."""
    parser = subparsers.add_parser(
        "record",
        help="write a bag from images, videos or live topics",
        description="Writes a ROS 2 bag of the two cameras: from a folder that holds vis/ and ir/, "
        "from two videos, or (--live) from the topics of a running system. Needs ROS only for "
        "--live; the ros2 command is not needed.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "out", type=result_folder, metavar="OUT", help="folder of the new bag; must not exist yet"
    )
    parser.add_argument(
        "source", type=Path, nargs="?", metavar="SOURCE",
        help="folder that holds vis/ and ir/, a visible folder, or a visible video NAME_vis.mp4 "
        "(NAME_ir.mp4 beside it is found)",
    )  # fmt: skip
    parser.add_argument(
        "--thermal", type=Path, metavar="PATH",
        help="thermal folder or video, if SOURCE is the visible one",
    )  # fmt: skip
    for stream, topic in (("visible", VISIBLE_TOPIC), ("thermal", THERMAL_TOPIC)):
        parser.add_argument(
            f"--{stream}-topic", type=_topic, default=topic, metavar="TOPIC",
            help=f"topic of the {stream} images in the bag; with --live also the topic to record "
            "(default: %(default)s)",
        )  # fmt: skip
    parser.add_argument(
        "--storage", choices=("mcap", "sqlite3"), default="mcap",
        help="file format of the bag (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--compression", choices=("none", "file", "message"), default="none",
        help="compress the whole file or each message with zstd (default: %(default)s)",
    )  # fmt: skip
    _add_files(parser.add_argument_group("from images and videos"))
    _add_live(parser.add_argument_group("from a running system"))
    parser.set_defaults(run=run)


def _add_files(group: Any) -> None:
    group.add_argument(
        "--rate", type=number(0, above=True), metavar="HZ",
        help="frames per second of images without a time in their names (default: 30), and of "
        "videos that do not state their rate",
    )  # fmt: skip
    add_by_order(group)
    add_tolerance(group)
    group.add_argument(
        "--jpeg", type=whole_number(1, 100), metavar="QUALITY",
        help="write CompressedImage messages, as JPEG of this quality, 1 to 100 (default: "
        "uncompressed Image messages)",
    )  # fmt: skip
    group.add_argument(
        "--thermal-grey", action=argparse.BooleanOptionalAction, default=True,
        help="write thermal frames that are stored as colour (videos) as mono8 (default: yes)",
    )  # fmt: skip


def _add_live(group: Any) -> None:
    group.add_argument("--live", action="store_true", help="record the topics of a running system")
    group.add_argument(
        "--seconds", type=number(0, above=True), metavar="SECONDS",
        help="duration of the recording (default: until Ctrl-C)",
    )  # fmt: skip
    group.add_argument(
        "--topic", type=_topic, action="append", default=[], metavar="TOPIC",
        help="further topic to record, such as /tf or /visible/camera_info; repeatable",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Write the bag and return the exit code."""
    _check(args)
    return _record_live(args) if args.live else _record_files(args)


def _check(args: argparse.Namespace) -> None:
    if args.visible_topic == args.thermal_topic:
        raise ValueError(f"--visible-topic and --thermal-topic are both {args.visible_topic!r}")
    if not args.live and args.source is None:
        raise ValueError("SOURCE is missing: give a folder or a video, or --live")
    of_files = {
        "SOURCE": args.source, "--thermal": args.thermal, "--rate": args.rate, "--jpeg": args.jpeg
    }  # fmt: skip
    of_live = {"--seconds": args.seconds, "--topic": args.topic}
    misplaced = [name for name, value in (of_files if args.live else of_live).items() if value]
    if misplaced:
        where = "not allowed with --live" if args.live else "allowed only with --live"
        raise ValueError(f"{', '.join(misplaced)}: {where}")


def _topic(text: str) -> str:
    if not re.fullmatch(r"/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", text, flags=re.ASCII):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a topic name; allowed are letters, digits, _ and /, "
            "such as /camera/image_raw"
        )
    return text


def _record_files(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from fusion_ros.imaging.colour import luma
    from fusion_ros.imaging.encodings import ChannelOrder, EncodingError, PixelFrame
    from fusion_ros.imaging.pair_check import DOUBT_TEXTS
    from fusion_ros.recordings.bags.writer import BagWriter
    from fusion_ros.recordings.opening import open_recording
    from fusion_ros.recordings.recording import DamageKind
    from fusion_ros.streams.ledger import Stream

    recording = open_recording(
        args.source, partner=args.thermal, rate_hz=args.rate, **matching_of(args)
    )
    say(f"record: {recording.identity.choice}")
    for doubt in recording.identity.doubts:
        say(f"record: warning: {doubt}", error=True)
    topics = {Stream.VISIBLE: args.visible_topic, Stream.THERMAL: args.thermal_topic}
    written = dict.fromkeys(Stream, 0)
    doubts: Counter[PairDoubt] = Counter()
    left_out = 0
    total = sum(topic.messages for topic in recording.identity.topics)
    try:
        with BagWriter(args.out, storage=args.storage, compression=args.compression) as bag:
            for frame in tqdm(recording.frames(), total=total, unit="frame", disable=None):
                stream = frame.stream
                try:
                    pixels = frame.read()
                except EncodingError as error:
                    say(f"record: left out: {error}", error=True)
                    left_out += 1
                    continue
                if frame.stamp_ns is None:
                    say(f"record: left out: a {stream.value} frame without a stamp", error=True)
                    left_out += 1
                    continue
                doubts.update(_doubts_of(stream, pixels))
                if stream is Stream.THERMAL and args.thermal_grey and pixels.pixels.ndim == 3:
                    pixels = PixelFrame(luma(pixels.pixels, order=pixels.order), ChannelOrder.GREY)
                write = bag.image if args.jpeg is None else bag.jpeg
                options = {} if args.jpeg is None else {"quality_percent": args.jpeg}
                write(
                    topics[stream],
                    pixels,
                    stamp_ns=frame.stamp_ns,
                    frame_id=f"{stream.value}_camera",
                    **options,
                )
                written[stream] += 1
    except KeyboardInterrupt:
        say("record: stopped; the bag holds the frames up to here", error=True)
    finally:
        recording.close()
    for damage in recording.damage:
        say(f"record: {damage.file}: {damage.what}", error=True)
    counts = ", ".join(f"{n} {stream.value}" for stream, n in written.items())
    say(f"record: {args.out}: {counts} frames ({args.storage})")
    for doubt, count in doubts.items():
        of = written[Stream.THERMAL]
        say(f"record: warning: {DOUBT_TEXTS[doubt]} ({count} of {of} frames)", error=True)
    lost = any(d.kind in (DamageKind.BYTES, DamageKind.MESSAGES) for d in recording.damage)
    return NEGATIVE if left_out or lost else DONE


def _doubts_of(stream: Stream, frame: PixelFrame) -> list[PairDoubt]:
    """Return the signs that a single thermal frame shows."""
    from fusion_ros.imaging.pair_check import PairDoubt, is_constant, shows_colours
    from fusion_ros.streams.ledger import Stream

    if stream is not Stream.THERMAL:
        return []
    signs = {
        PairDoubt.RENDERING: bool(frame.rendering_of),
        PairDoubt.FALSE_COLOUR: shows_colours(frame.pixels),
        PairDoubt.THERMAL_CONSTANT: is_constant(frame.pixels),
    }
    return [doubt for doubt, is_seen in signs.items() if is_seen]


def _record_live(args: argparse.Namespace) -> int:
    try:
        from fusion_ros.nodes.bag_recorder import record_live
    except ImportError as error:
        raise ValueError(f"--live needs rclpy ({error}): {NO_RCLPY_FIX}") from error
    counts = record_live(
        args.out,
        [args.visible_topic, args.thermal_topic, *args.topic],
        seconds=args.seconds,
        storage=args.storage,
        compression=args.compression,
    )
    if not any(counts.values()):
        shutil.rmtree(args.out)  # record_live created it
        raise ValueError(f"no message arrived on {', '.join(sorted(counts))}; no bag is written")
    say(f"record: {args.out}: " + ", ".join(f"{n} {t}" for t, n in sorted(counts.items())))
    return DONE
