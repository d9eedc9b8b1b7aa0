# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a recording, in words: each fault by name, where it is, and what to do."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from enum import Enum
from statistics import median

from fusion_ros.accounting import Fate, Stream
from fusion_ros.replay.log import FrameEntry
from fusion_ros.replay.motion_offset import motion_offset_ms
from fusion_ros.replay.recording import Damage, Identity
from fusion_ros.replay.session import ReplayResult
from fusion_ros.replay.settings import ReplaySettings
from fusion_ros.replay.timing import Rhythm, rhythm_of
from fusion_ros.replay.topics import THERMAL_WORDS, VISIBLE_WORDS, name_fits

_MOST_PLACES = 24
_WRONG_ENCODING = ("unknown_encoding", "bad_step", "bad_size", "zero_size", "too_large")


class Severity(str, Enum):
    """How bad: an error spoils results, a warning may, info is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclasses.dataclass(frozen=True)
class Finding:
    """One fault.

    Attributes:
        code: its name for machines; gates and comparisons refer to it.
        title, detail, fix: for people.
        at_s: where, in seconds from the recording's first frame; the first few.
        count: how often.
    """

    code: str
    severity: Severity
    title: str
    detail: str
    fix: str
    at_s: tuple[float, ...] = ()
    count: int = 1


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What the findings rest on."""

    identity: Identity
    damage: list[Damage]
    result: ReplayResult
    settings: ReplaySettings
    frames: dict[Stream, list[FrameEntry]]
    rhythms: dict[Stream, Rhythm]
    offset_ms: float | None
    offset_from: str
    begin_ns: int

    @classmethod
    def of(
        cls,
        identity: Identity,
        damage: list[Damage],
        result: ReplayResult,
        settings: ReplaySettings,
    ) -> Evidence:
        """Collect it."""
        frames = {stream: result.log.of(stream) for stream in Stream}
        offset_ms, source = _constant_offset(result, frames)
        begin_ns = min((f.arrived_ns for f in result.log.frames), default=0)
        rhythms = {stream: rhythm_of(entries) for stream, entries in frames.items()}
        return cls(identity, damage, result, settings, frames, rhythms, offset_ms, source, begin_ns)

    def seconds(self, arrived_ns: int) -> float:
        """Seconds since the recording's first frame."""
        return round((arrived_ns - self.begin_ns) / 1e9, 3)

    def places(self, entries: list[FrameEntry]) -> tuple[float, ...]:
        """Where some frames are."""
        return tuple(self.seconds(entry.arrived_ns) for entry in entries[:_MOST_PLACES])


def find_faults(evidence: Evidence) -> list[Finding]:
    """Everything found, worst first."""
    checks: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
        _damaged_file, _empty_stream, _swapped, _wrong_encoding, _looped, _offset, _missing_frames,
        _unpaired, _gain_jumps, _rejections, _odd_bytes, _format_changes, _frozen, _stalls,
        _doubles, _misaligned, _flicker, _not_finished,
    )  # fmt: skip
    found = [finding for check in checks for finding in check(evidence)]
    order = list(Severity)
    return sorted(found, key=lambda finding: order.index(finding.severity))


def _constant_offset(
    result: ReplayResult, frames: dict[Stream, list[FrameEntry]]
) -> tuple[float | None, str]:
    """What to add to thermal stamps, and what says so."""
    if result.log.offsets_ms:
        return median(value for _, value in result.log.offsets_ms), "stamps and arrival"
    delays = {}
    for stream, entries in frames.items():
        stamped = [f for f in entries if f.stamp_ns]
        if len(stamped) < 5:
            return None, ""
        delays[stream] = median(f.arrived_ns - f.stamp_ns for f in stamped)
    return (delays[Stream.THERMAL] - delays[Stream.VISIBLE]) / 1e6, "arrival"


def _damaged_file(e: Evidence) -> Iterator[Finding]:
    for file in dict.fromkeys(damage.file for damage in e.damage):
        said = [damage.what for damage in e.damage if damage.file == file]
        yield Finding(
            "damaged_file",
            Severity.ERROR,
            f"{file} is damaged or cut",
            f"{'; '.join(said)}. What could be read was replayed.",
            "The recorder was stopped hard or the copy is incomplete: copy again, or record anew.",
        )


def _empty_stream(e: Evidence) -> Iterator[Finding]:
    for stream, entries in e.frames.items():
        if not entries:
            topic = e.identity.visible if stream is Stream.VISIBLE else e.identity.thermal
            yield Finding(
                "no_frames",
                Severity.ERROR,
                f"There is not one {stream.value} frame",
                f"Nothing could be read from {topic}.",
                "Choose the right topic, or record anew.",
            )


def _swapped(e: Evidence) -> Iterator[Finding]:
    seen = e.result.watchers
    reasons = []
    if seen[Stream.THERMAL].is_colour and not seen[Stream.VISIBLE].is_colour:
        reasons.append(f"{e.identity.thermal} shows colours and {e.identity.visible} does not")
    deep = [kind for kind in seen[Stream.VISIBLE].kinds if kind != "uint8"]
    if deep:
        reasons.append(f"{e.identity.visible} carries {deep[0]}, as thermal cameras do")
    if name_fits(e.identity.visible, THERMAL_WORDS) and name_fits(
        e.identity.thermal, VISIBLE_WORDS
    ):
        reasons.append("the topics' names say the opposite")
    if reasons:
        yield Finding(
            "swapped_topics",
            Severity.ERROR,
            "The two cameras look swapped",
            f"{'; '.join(reasons)[:1].upper()}{'; '.join(reasons)[1:]}.",
            f"Replay with --visible-topic {e.identity.thermal} --thermal-topic "
            f"{e.identity.visible}, and swap the remappings on the robot.",
        )


def _wrong_encoding(e: Evidence) -> Iterator[Finding]:
    for stream, entries in e.frames.items():
        bad = [f for f in entries if f.reason in _WRONG_ENCODING]
        if bad:
            message = e.result.rejections.get(f"{stream.value}:{bad[0].reason}", "")
            yield Finding(
                "wrong_encoding",
                Severity.ERROR,
                f"{len(bad)} {stream.value} frames do not fit their encoding",
                f"{message}.",
                "The driver fills the message's header wrongly, or publishes an encoding that is "
                "not read here.",
                e.places(bad),
                len(bad),
            )


def _looped(e: Evidence) -> Iterator[Finding]:
    if e.result.jumps:
        back = []
        for entries in e.frames.values():
            stamped = [f for f in entries if f.stamp_ns]
            back += [b for a, b in itertools.pairwise(stamped) if _went_back(a, b)]
        yield Finding(
            "time_jumped_back",
            Severity.ERROR,
            f"Time jumps back ({_times(e.result.jumps)})",
            "The stamps begin again at an earlier time, as when a looped bag is recorded. Pairing "
            "starts anew at each jump.",
            "Record from the cameras, or play the source bag without --loop.",
            e.places(sorted(back, key=lambda f: f.arrived_ns)),
            e.result.jumps,
        )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _went_back(a: FrameEntry, b: FrameEntry) -> bool:
    return (b.stamp_ns or 0) < (a.stamp_ns or 0) - 500_000_000


def _offset(e: Evidence) -> Iterator[Finding]:
    rates = [r.rate_hz for r in e.rhythms.values() if r.rate_hz > 0]
    if not rates:
        return
    period_ms = 1e3 / max(rates)
    wanted = e.offset_ms
    in_use = e.settings.thermal_offset_ns / 1e6
    limit = max(5.0, 0.3 * period_ms) if e.offset_from == "stamps and arrival" else 25.0
    if wanted is not None and abs(wanted - in_use) > limit:
        late = in_use - wanted
        yield Finding(
            "constant_offset",
            Severity.ERROR,
            f"Thermal stamps are {abs(late):.0f} ms {'late' if late > 0 else 'early'}",
            f"By {e.offset_from}, thermal and visible frames of one moment carry stamps that "
            f"differ by a constant {abs(late):.1f} ms. Frames of different moments are paired, or "
            "none at all.",
            f"Set thermal_offset_ms to {wanted:.1f} (replay: --thermal-offset-ms {wanted:.1f}), "
            "or mend the driver's clock.",
        )
        return
    series = {
        stream: [(f.stamp_ns, f.motion) for f in entries if f.stamp_ns and f.motion is not None]
        for stream, entries in e.frames.items()
    }
    if e.result.jumps or any(len(s) < 60 for s in series.values()):
        return
    seen = motion_offset_ms(
        [s for s, _ in series[Stream.VISIBLE]],
        [m for _, m in series[Stream.VISIBLE]],
        [s for s, _ in series[Stream.THERMAL]],
        [m for _, m in series[Stream.THERMAL]],
    )
    if seen is not None and abs(seen - in_use) > max(20.0, 0.8 * period_ms):
        late = in_use - seen
        yield Finding(
            "offset_in_pictures",
            Severity.WARNING,
            f"Movements reach the thermal stream {abs(late):.0f} ms "
            f"{'late' if late > 0 else 'early'}",
            "What moves in the visible pictures moves in the thermal ones at stamps that differ "
            "by this much, though the stamps themselves look right.",
            f"Try --thermal-offset-ms {seen:.0f} and compare the two reports.",
        )


def _missing_frames(e: Evidence) -> Iterator[Finding]:
    for stream, rhythm in e.rhythms.items():
        share = rhythm.missing / max(1, rhythm.missing + len(e.frames[stream]))
        if rhythm.missing >= 3 or share > 0.02:
            longest = rhythm.gaps[0]
            yield Finding(
                f"missing_{stream.value}_frames",
                Severity.ERROR if share > 0.05 or longest.seconds > 1 else Severity.WARNING,
                f"About {rhythm.missing} {stream.value} frames are missing",
                f"At {rhythm.rate_hz:.1f} Hz, {share:.1%} of the frames never came: "
                f"{_times(len(rhythm.gaps))}, the longest {longest.seconds:.2f} s at "
                f"{e.seconds(longest.at_ns):.1f} s.",
                "Look at the cable, the driver, and at DDS (large images need the shared-memory "
                "profile), and whether the recorder's disk kept up.",
                tuple(sorted(e.seconds(gap.at_ns) for gap in rhythm.gaps[:_MOST_PLACES])),
                rhythm.missing,
            )


def _unpaired(e: Evidence) -> Iterator[Finding]:
    for stream, entries in e.frames.items():
        alone = [f for f in entries if f.fate is Fate.UNPAIRED]
        other = Stream.THERMAL if stream is Stream.VISIBLE else Stream.VISIBLE
        rate, others = e.rhythms[stream].rate_hz, e.rhythms[other].rate_hz
        # The faster camera's extra frames have nobody to meet.
        expected = max(0.0, 1 - others / rate) if rate > 0 else 0.0
        if len(alone) > 2 and len(alone) > (expected + 0.05) * len(entries):
            yield Finding(
                f"unpaired_{stream.value}_frames",
                Severity.WARNING,
                f"{len(alone)} of {len(entries)} {stream.value} frames found no partner",
                f"No {other.value} frame lay within {e.settings.tolerance_ns / 1e6:g} ms of them.",
                "Look at the findings about missing frames and constant offset first; else raise "
                "pairing_tolerance_ms, knowing what a moving scene makes of it.",
                e.places(alone),
                len(alone),
            )


def _gain_jumps(e: Evidence) -> Iterator[Finding]:
    for stream, entries in e.frames.items():
        jumps = [f for f in entries if f.jump]
        if jumps:
            largest = max(jumps, key=lambda f: abs(f.jump))
            yield Finding(
                "gain_jump" if stream is Stream.THERMAL else "exposure_jump",
                Severity.WARNING if stream is Stream.THERMAL else Severity.INFO,
                f"The {stream.value} camera changes its gain ({_times(len(jumps))})",
                f"From one frame to the next the same scene changes by up to "
                f"{abs(largest.jump):.1f} (the camera's own numbers), at "
                f"{e.seconds(largest.arrived_ns):.2f} s (frame {largest.index}).",
                "Thermal: record 16-bit counts if the camera can, or keep tone_eight_bit at "
                "'stabilise'. Visible: look at the auto exposure.",
                e.places(jumps),
                len(jumps),
            )


def _rejections(e: Evidence) -> Iterator[Finding]:
    told = {
        "truncated": ("damaged_messages", "are cut or damaged", "The transport or the recorder "
                      "lost bytes; look at its disk and at DDS fragmentation."),
        "zero_stamp": ("zero_stamps", "carry no time", "Replay with --stamp-source arrival, and "
                       "set stamp_source to 'arrival' on the robot."),
        "shutter": ("shutter", "have no content (a closed shutter)", "Normal for cameras with a "
                    "shutter; the fuse node leaves these frames out."),
        "not_8_bit": ("visible_not_8_bit", "are not 8-bit pictures", "Choose another topic, or "
                      "let the driver publish rgb8, bgr8 or mono8."),
        "engine_error": ("engine_error", "could not be fused", "Look at the engine's message."),
        "unusable_pair": ("unusable_pair", "could not be fused", "Look at sizes and types."),
    }  # fmt: skip
    for stream, entries in e.frames.items():
        for reason, (code, what, fix) in told.items():
            bad = [f for f in entries if f.reason == reason]
            if bad:
                key = f"{stream.value}:{reason}"
                message = e.result.rejections.get(key) or e.result.rejections.get(f"pair:{reason}")
                yield Finding(
                    code,
                    Severity.INFO if reason == "shutter" else Severity.ERROR,
                    f"{len(bad)} {stream.value} frames {what}",
                    f"The first one: {message}.",
                    fix,
                    e.places(bad),
                    len(bad),
                )


def _odd_bytes(e: Evidence) -> Iterator[Finding]:
    for stream, seen in e.result.watchers.items():
        if seen.odd_steps > seen.frames / 2:
            yield Finding(
                "wrong_encoding",
                Severity.ERROR,
                f"The {stream.value} frames' rows are twice as long as their encoding needs",
                f"Named {next(iter(seen.formats))}, but half or more of every row is not used: "
                "the pixels are of another encoding than the header says.",
                "Correct the encoding that the driver names (mono16 for 16-bit, rgb8 for colour).",
                count=seen.odd_steps,
            )
        if seen.odd_byte_order > seen.frames / 2:
            yield Finding(
                "wrong_byte_order",
                Severity.ERROR,
                f"The {stream.value} frames' bytes look swapped",
                "Read as the header says, neighbouring pixels have nothing to do with each other; "
                "with the two bytes of each pixel swapped they do.",
                "Correct is_bigendian in the driver.",
                count=seen.odd_byte_order,
            )


def _format_changes(e: Evidence) -> Iterator[Finding]:
    for stream, seen in e.result.watchers.items():
        if seen.format_changes:
            index, before, after = seen.format_changes[0]
            changed = {i for i, _, _ in seen.format_changes}
            yield Finding(
                "format_changed",
                Severity.WARNING,
                f"The {stream.value} stream changes its format "
                f"({_times(len(seen.format_changes))})",
                f"At frame {index}: from {before} to {after}.",
                "Two publishers on one topic, or a driver that was restarted with other settings.",
                e.places([f for f in e.frames[stream] if f.index in changed]),
                len(seen.format_changes),
            )


def _frozen(e: Evidence) -> Iterator[Finding]:
    for stream, entries in e.frames.items():
        repeated = [f for f in entries if f.repeated]
        if len(repeated) > max(2, 0.02 * len(entries)):
            steady = len(repeated) > 0.4 * len(entries)
            yield Finding(
                "repeated_frames",
                Severity.INFO if steady else Severity.WARNING,
                f"{len(repeated)} {stream.value} frames repeat the one before to the last bit",
                "A slow sensor behind a fast driver repeats each picture."
                if steady
                else "A camera that froze (its shutter, its driver), or a recording of one.",
                "Fuse at the sensor's own rate where it can be had."
                if steady
                else "Look at the places on the timeline.",
                e.places(repeated),
                len(repeated),
            )


def _stalls(e: Evidence) -> Iterator[Finding]:
    both = [set(r.stalls) for r in e.rhythms.values()]
    stalls = sorted(set().union(*both), key=lambda gap: -gap.seconds)
    if stalls and stalls[0].seconds > 0.5:
        yield Finding(
            "stall",
            Severity.WARNING,
            f"The recording stands still ({_times(len(stalls))})",
            f"The longest time without a frame of one camera is {stalls[0].seconds:.2f} s, at "
            f"{e.seconds(stalls[0].at_ns):.1f} s.",
            "See the missing frames; if both cameras stall together, it was the recorder.",
            tuple(sorted(e.seconds(gap.at_ns) for gap in stalls[:_MOST_PLACES])),
            len(stalls),
        )


def _doubles(e: Evidence) -> Iterator[Finding]:
    for fate, title in (
        (Fate.DUPLICATE, "{} {} frames carry a stamp that was there before"),
        (Fate.LATE, "{} {} frames came too late to be paired"),
    ):
        for stream, entries in e.frames.items():
            bad = [f for f in entries if f.fate is fate]
            if bad:
                yield Finding(
                    f"{fate.value}_frames",
                    Severity.WARNING if len(bad) > 0.01 * len(entries) else Severity.INFO,
                    title.format(len(bad), stream.value),
                    "They were counted and left out.",
                    "Two publishers on one topic, a driver that sends twice, or frames that "
                    "overtake each other on the way.",
                    e.places(bad),
                    len(bad),
                )


def _misaligned(e: Evidence) -> Iterator[Finding]:
    clear = [p.alignment for p in e.result.log.pairs if p.alignment and p.alignment["clear"]]
    if len(clear) < 3:
        return
    shift_x = median(a["shift_x_px"] for a in clear)
    shift_y = median(a["shift_y_px"] for a in clear)
    gain = median(a["best_score"] - a["score"] for a in clear)
    if max(abs(shift_x), abs(shift_y)) >= 3 and gain > 0.02:
        yield Finding(
            "misaligned",
            Severity.WARNING,
            f"The thermal picture lies off by {shift_x:+.0f} px, {shift_y:+.0f} px",
            f"The edges of both pictures agree best at that shift (right, down), in {len(clear)} "
            "of the measured frames.",
            "Calibrate (see the command `fusion-ros calibrate`) and set registration_mode.",
        )


def _flicker(e: Evidence) -> Iterator[Finding]:
    restless = [
        p
        for p in e.result.log.pairs
        if p.excess_flicker is not None and p.excess_flicker > 2.0 and (p.change_ratio or 0) > 1.5
    ]
    if restless:
        worst = max(restless, key=lambda p: p.excess_flicker or 0)
        frames = e.frames[Stream.VISIBLE]
        yield Finding(
            "flicker",
            Severity.WARNING,
            f"The fused picture flickers in {len(restless)} places",
            f"It changes by {worst.excess_flicker:.1f} grey levels more than either source "
            f"(fused frame {worst.index}).",
            "Look at the tone mapping of the thermal stream (tone_smoothing_s, tone_eight_bit).",
            e.places([frames[p.visible_index] for p in restless]),
            len(restless),
        )


def _not_finished(e: Evidence) -> Iterator[Finding]:
    if not e.result.complete:
        yield Finding(
            "partial",
            Severity.INFO,
            "The replay was stopped before the recording's end",
            f"{len(e.result.log.frames)} messages were replayed.",
            "Run it again for the whole recording.",
        )
