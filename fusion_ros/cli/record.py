# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros record`: write a bag from images, videos or live topics."""

from __future__ import annotations

import argparse
import contextlib
import shutil
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion_ros.cli.argument_types import number, result_folder, topic_name, whole_number
from fusion_ros.cli.exit_codes import DONE, NEGATIVE
from fusion_ros.cli.inputs import EXPLANATION, add_inputs, recording_options, show_files, source_of
from fusion_ros.cli.node import NO_RCLPY_FIX
from fusion_ros.cli.options import add_options, opt
from fusion_ros.outside_text import say
from fusion_ros.streams.ledger import Stream

if TYPE_CHECKING:
    from fusion_ros.imaging.encodings import PixelFrame
    from fusion_ros.imaging.pair_check import PairDoubt
    from fusion_ros.recordings.recording import Recording

_EXAMPLES = f"""\
examples:
  fusion-ros record clips/drive bag               a folder that holds both cameras
  fusion-ros record day_vis.mp4 bag               day_ir.mp4 beside it is found
  fusion-ros record bag --live --seconds 60 --visible-topic /cam/color/image_raw \\
      --thermal-topic /lepton/image_raw --topic /tf

{EXPLANATION}
Exit codes: 0 the bag is written (Ctrl-C ends it early, the bag is whole), 1 it is written, but part
of the source could not be read, 2 no bag is written.
"""

# fmt: off
_OPTIONS = (
    opt("--storage FORMAT", "file format of the bag: mcap or sqlite3 (default: %(default)s)",
        choices=("mcap", "sqlite3"), default="mcap"),
    opt("--compression PART", "compress the whole file or each message with zstd: none, file or "
        "message (default: %(default)s)", choices=("none", "file", "message"), default="none"),
    opt("--jpeg QUALITY", "write CompressedImage messages, as JPEG of this quality, 1 to 100 "
        "(default: uncompressed Image messages)", type=whole_number(1, 100)),
    opt("--thermal-colours", "keep thermal frames that are stored as colour (default: write them "
        "as mono8)"),
)
_LIVE = (
    opt("--live", "record the topics of a running system"),
    opt("--seconds SECONDS", "duration of the recording (default: until Ctrl-C)",
        type=number(0, above=True)),
    opt("--topic TOPIC", "further topic to record, such as /tf or /visible/camera_info; repeatable",
        type=topic_name, action="append", default=[]),
)
# fmt: on


def add_parser(subparsers: Any) -> None:
    """Add `record` to the sub-commands of `fusion-ros`."""
    parser = subparsers.add_parser(
        "record",
        help="write a bag from images, videos or live topics",
        description="Writes a ROS 2 bag of the two cameras: from images, from two videos, or "
        "(--live) from the topics of a running system. Needs ROS only for --live; the ros2 command "
        "is not needed.",
        epilog=_EXAMPLES,
    )
    add_inputs(
        parser, "folder of both cameras, visible folder, image or video, or a bag to convert"
    )
    # fmt: off
    add_options(
        parser,
        opt("out OUT", "folder of the new bag; must not exist yet", type=result_folder),
        *(opt(f"--{stream.value}-topic TOPIC", f"topic of the {stream.value} images in the bag; "
              "with --live also the topic to record (default: %(default)s)", type=topic_name,
              default=f"/{stream.value}/image_raw")
          for stream in Stream),
        *_OPTIONS,
    )
    # fmt: on
    add_options(parser.add_argument_group("from a running system"), *_LIVE)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the bag and return the exit code."""
    if args.visible_topic == args.thermal_topic:
        raise ValueError(f"--visible-topic and --thermal-topic are both {args.visible_topic!r}")
    of_files = {
        "SOURCE": args.source or args.visible, "--thermal": args.thermal, "--pairs": args.pairs,
        "--frame-rate": args.frame_rate, "--jpeg": args.jpeg,
    }  # fmt: skip
    of_live = {"--seconds": args.seconds, "--topic": args.topic}
    misplaced = [name for name, value in (of_files if args.live else of_live).items() if value]
    if misplaced:
        where = "not allowed with --live" if args.live else "allowed only with --live"
        raise ValueError(f"{', '.join(misplaced)}: {where}")
    if args.live:
        return _record_live(args)
    given = args.source or args.visible
    if given and not Path(given).exists() and Path(args.out).exists():
        raise ValueError(f"{given} does not exist, but {args.out} does; the order is SOURCE OUT")
    source = source_of(args)
    show_files(args, source)
    if args.dry_run:
        return DONE
    from fusion_ros.recordings.opening import open_recording

    with contextlib.closing(open_recording(source, **recording_options(args))) as recording:
        return _record(args, recording)


def _record(args: argparse.Namespace, recording: Recording) -> int:
    from tqdm import tqdm

    from fusion_ros.imaging.colour import luma
    from fusion_ros.imaging.encodings import ChannelOrder, EncodingError, PixelFrame, RejectReason
    from fusion_ros.imaging.pair_check import DOUBT_TEXTS
    from fusion_ros.recordings.bags.writer import BagWriter, IncompleteBagError
    from fusion_ros.recordings.recording import DamageKind

    topics = {Stream.VISIBLE: args.visible_topic, Stream.THERMAL: args.thermal_topic}
    written = dict.fromkeys(Stream, 0)
    doubts: Counter[PairDoubt] = Counter()
    left_out = 0
    total = sum(topic.messages for topic in recording.identity.topics)
    try:
        with BagWriter(args.out, storage=args.storage, compression=args.compression) as bag:
            write = bag.image if args.jpeg is None else partial(bag.jpeg, quality_percent=args.jpeg)
            for frame in tqdm(recording.frames(), total=total, unit="frame", disable=None):
                stream = frame.stream
                try:
                    pixels = frame.read()
                    if frame.stamp_ns is None:
                        raise EncodingError(RejectReason.MALFORMED, "a message without a stamp")
                except EncodingError as error:
                    say(f"record: left out: {error}", error=True)
                    left_out += 1
                    continue
                if stream is Stream.THERMAL:
                    doubts.update(_doubts_of(pixels))
                    if pixels.pixels.ndim == 3 and not args.thermal_colours:
                        grey = luma(pixels.pixels, order=pixels.order)
                        pixels = PixelFrame(grey, ChannelOrder.GREY)
                frame_id = f"{stream.value}_camera"
                write(topics[stream], pixels, stamp_ns=frame.stamp_ns, frame_id=frame_id)
                written[stream] += 1
    except KeyboardInterrupt:
        say("record: stopped; the bag holds the frames up to here", error=True)
    except (IncompleteBagError, OSError):
        shutil.rmtree(args.out, ignore_errors=True)  # its source is still there
        raise
    for damage in recording.damage:
        say(f"record: {damage.file}: {damage.what}", error=True)
    counts = ", ".join(f"{n} {stream.value}" for stream, n in written.items())
    say(f"record: {args.out}: {counts} frames ({args.storage})")
    for doubt, count in doubts.items():
        of = written[Stream.THERMAL]
        say(f"record: warning: {DOUBT_TEXTS[doubt]} ({count} of {of} frames)", error=True)
    lost = any(d.kind in (DamageKind.BYTES, DamageKind.MESSAGES) for d in recording.damage)
    return NEGATIVE if left_out or lost else DONE


def _doubts_of(frame: PixelFrame) -> list[PairDoubt]:
    """Return the signs that a single thermal frame shows."""
    from fusion_ros.imaging.pair_check import PairDoubt, is_constant, shows_colours

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
    topics = [args.visible_topic, args.thermal_topic, *args.topic]
    until = "until Ctrl-C" if args.seconds is None else f"for {args.seconds:g} s"
    say(f"record: {', '.join(topics)} {until}")
    options = {name: getattr(args, name) for name in ("seconds", "storage", "compression")}
    counts = record_live(args.out, topics, **options)
    if not any(counts.values()):
        shutil.rmtree(args.out)  # record_live created it
        raise ValueError(f"no message arrived on {', '.join(sorted(counts))}; no bag is written")
    say(f"record: {args.out}: " + ", ".join(f"{n} {t}" for t, n in sorted(counts.items())))
    return DONE
