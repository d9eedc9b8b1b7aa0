# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros record`: a bag from folders of pictures, from videos, or from live topics."""

from __future__ import annotations

import argparse
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion_ros.cli.argument_types import number, result_folder, whole_number
from fusion_ros.cli.matching_options import add_by_order, add_tolerance, matching_of
from fusion_ros.cli.node import NO_RCLPY_FIX
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

Exit codes: 0 the bag is written (Ctrl-C ends it early, and whole), 1 it is written, but part of the
source could not be read, 2 it is not.
"""
VISIBLE_TOPIC, THERMAL_TOPIC = "/visible/image_raw", "/thermal/image_raw"


def add_parser(subparsers: Any) -> None:
    """Add `record` to the sub-commands of `fusion-ros`."""
    parser = subparsers.add_parser(
        "record",
        help="make a bag from folders, videos or live topics",
        description="Writes a ROS 2 bag of the two cameras: from a folder that holds vis/ and ir/, "
        "from two videos, or (--live) from the topics of a running system, where no ros2 CLI is "
        "installed. Needs no ROS but for --live.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=result_folder, help="folder of the new bag; it must not exist")
    parser.add_argument(
        "source", type=Path, nargs="?", help="folder with vis/ and ir/, or NAME_vis.mp4"
    )
    parser.add_argument(
        "--thermal", type=Path, help="the thermal folder or video, where SOURCE is the visible one"
    )
    parser.add_argument("--live", action="store_true", help="record the topics of a running system")
    parser.add_argument(
        "--seconds",
        type=number(0, above=True),
        help="with --live: how long (default: to Ctrl-C)",
    )
    parser.add_argument(
        "--visible-topic", type=_topic, default=VISIBLE_TOPIC, help=f"({VISIBLE_TOPIC})"
    )
    parser.add_argument(
        "--thermal-topic", type=_topic, default=THERMAL_TOPIC, help=f"({THERMAL_TOPIC})"
    )
    parser.add_argument(
        "--topic",
        type=_topic,
        action="append",
        default=[],
        help="with --live: a further topic, as camera_info or tf; repeatable",
    )
    parser.add_argument(
        "--rate",
        type=number(0, above=True),
        metavar="HZ",
        help="of pictures whose names tell no time (30), and of videos that name none",
    )
    add_by_order(parser)
    add_tolerance(parser)
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap")
    parser.add_argument(
        "--compression", choices=("none", "file", "message"), default="none", help="zstd (none)"
    )
    parser.add_argument(
        "--jpeg",
        type=whole_number(1, 100),
        metavar="QUALITY",
        help="write CompressedImage, as JPEG of this quality, 1 to 100",
    )
    parser.add_argument(
        "--thermal-grey",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write the thermal stream as mono8 though the video stores it as colour (yes)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Return 0 where a bag was written, 1 where it lacks a part of the source."""
    _check(args)
    return _record_live(args) if args.live else _record_files(args)


def _check(args: argparse.Namespace) -> None:
    if args.visible_topic == args.thermal_topic:
        raise ValueError(f"--visible-topic and --thermal-topic are both {args.visible_topic!r}")
    if not args.live and args.source is None:
        raise ValueError("name a SOURCE (a folder or a video), or give --live")
    of_files = {
        "SOURCE": args.source, "--thermal": args.thermal, "--rate": args.rate, "--jpeg": args.jpeg
    }  # fmt: skip
    of_live = {"--seconds": args.seconds, "--topic": args.topic}
    misplaced = [name for name, value in (of_files if args.live else of_live).items() if value]
    if misplaced:
        where = "not with --live" if args.live else "only with --live"
        raise ValueError(f"{', '.join(misplaced)}: {where}")


def _topic(text: str) -> str:
    if not re.fullmatch(r"/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", text, flags=re.ASCII):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no topic; allowed are letters, digits and _ with / between, as "
            "/cam/image_raw"
        )
    return text


def _record_files(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from fusion_ros.imaging.colour import luma
    from fusion_ros.imaging.encodings import ChannelOrder, EncodingError, PixelFrame
    from fusion_ros.imaging.pair_check import DOUBT_TEXTS
    from fusion_ros.recordings.bags.writer import BagWriter
    from fusion_ros.recordings.damage import DamageKind
    from fusion_ros.recordings.opening import open_recording
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
        say("record: stopped; what was written is a whole bag", error=True)
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
    return 1 if left_out or lost else 0


def _doubts_of(stream: Stream, frame: PixelFrame) -> list[PairDoubt]:
    """Signs that a thermal frame shows by itself."""
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
        shutil.rmtree(args.out)  # made by this very call
        say(f"record: nothing came on {', '.join(sorted(counts))}: no bag", error=True)
        return 2
    say(f"record: {args.out}: " + ", ".join(f"{n} {t}" for t, n in sorted(counts.items())))
    return 0
