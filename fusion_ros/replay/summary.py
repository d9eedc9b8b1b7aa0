# SPDX-License-Identifier: Apache-2.0
"""Result files of a replay: `summary.json`, `frames.csv`, `pairs.csv` and `times.csv`.

Two replays of one recording with one engine give identical bytes, except for `times.csv` and the
keys `times` and `machine` of the summary.
"""

from __future__ import annotations

import math
import os
import platform
import resource
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np

import fusion_ros
from fusion_ros.engines.engine import EngineDescription
from fusion_ros.files.tables import write_table
from fusion_ros.files.writing import write_json
from fusion_ros.metrics.names import HIGHER_IS_BETTER
from fusion_ros.replay.findings import Evidence, Finding
from fusion_ros.replay.log import ReplayLog
from fusion_ros.replay.rig import answers, verdict_of
from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.series import describe_series

FORMAT = 1
_DARK, _BRIGHT = 10.0, 245.0
"""Mean grey levels beyond which a visible frame shows nothing."""
_PACKAGES = ("numpy", "opencv-python-headless", "torch", "openvino", "rosbags", "onnxruntime")


def summarise(
    evidence: Evidence,
    findings: Sequence[Finding],
    engine: EngineDescription,
    detection: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the summary of a replay as plain JSON values (NaN becomes null).

    `engine` is that of its pipeline, `detection` the summary of a `DetectorSink`.
    """
    result, log = evidence.result, evidence.result.log
    recorded = {stream.value: evidence.identity.messages(stream) for stream in Stream}
    wanted = {
        stream: max(len(frames), recorded[stream.value]) if result.complete else len(frames)
        for stream, frames in evidence.frames.items()
    }
    alignment = _alignment(log)
    summary = {
        "format": FORMAT,
        "recording": asdict(evidence.identity),
        "damage": [asdict(damage) for damage in evidence.damage],
        "complete": result.complete,
        "settings": asdict(evidence.settings),
        "engine": {
            key: getattr(engine, key)
            for key in ("name", "device", "precision", "preset", "weights_sha256")
        },
        "version": fusion_ros.__version__,
        "duration_s": _duration_s(log),
        "counts": result.counts.as_dict(),
        "recorded": recorded,
        "passed_alone": _counted(evidence, "passed_alone"),
        "fused": len(log.pairs),
        "fused_share": len(log.partner_pairs) / max(1, min(wanted.values())),
        "jumps_back": result.jumps,
        "sync": _sync(evidence),
        "formats": {stream.value: dict(seen.formats) for stream, seen in result.watchers.items()},
        "quality": {"every": result.every, **_quality(log, alignment["score"]["p50"])},
        "temporal": _temporal(evidence),
        "alignment": alignment,
        "output": {"frames": len(log.pairs), "sha256": result.fused_sha256},
        **({} if detection is None else {"detection": detection}),
        "findings": [asdict(finding) for finding in findings],
        "times": _times(result.wall_s, log),
        "machine": _machine(engine),
    }
    plain = _plain(summary)
    found = answers(plain)
    plain["rig"] = {"verdict": verdict_of(found), **{a.name: a.word for a in found}}
    return plain


def _duration_s(log: ReplayLog) -> float:
    arrivals = [frame.arrived_ns for frame in log.frames]
    return (max(arrivals) - min(arrivals)) / 1e9 if arrivals else 0.0


def _sync(evidence: Evidence) -> dict[str, Any]:
    log = evidence.result.log
    skews = [pair.skew_ms for pair in log.partner_pairs]
    return {
        "skew_ms": describe_series([abs(skew) for skew in skews]),
        "signed_skew_ms": describe_series(skews),
        "held_age_ms": describe_series([abs(p.skew_ms) for p in log.pairs if p.is_held]),
        "drift_ms_per_min": _drift(log),
        "offset_ms": evidence.offset[0],
        "offset_from": evidence.offset[1],
        "streams": {
            stream.value: {
                "rate_hz": rhythm.rate_hz,
                "jitter_ms": rhythm.jitter_ms,
                "missing": rhythm.missing,
                "longest_gap_s": rhythm.gaps[0].seconds if rhythm.gaps else 0.0,
                "stalls": len(rhythm.stalls),
                "backward": rhythm.backward,
            }
            for stream, rhythm in evidence.rhythms.items()
        },
    }


def _counted(evidence: Evidence, flag: str) -> dict[str, int]:
    """Return the number of frames with a flag, by stream."""
    return {s.value: sum(getattr(f, flag) for f in of) for s, of in evidence.frames.items()}


def _drift(log: ReplayLog) -> float | None:
    """Return the drift of the signed skew in ms per minute; triggered cameras have none."""
    pairs = log.partner_pairs
    if len(pairs) < 30:
        return None
    minutes = np.array([p.visible_stamp_ns - pairs[0].visible_stamp_ns for p in pairs])
    minutes = minutes / 6e10
    if float(np.ptp(minutes)) <= 0:
        return None
    return float(np.polyfit(minutes, [p.skew_ms for p in pairs], 1)[0])


def _quality(log: ReplayLog, alignment: float | None) -> dict[str, Any]:
    """Return the measures of each candidate, and its score: qw times the alignment."""
    measured = [pair.quality for pair in log.pairs if pair.quality]
    candidates = {
        candidate: {
            name: describe_series([q[candidate][name] for q in measured]) for name in values
        }
        for candidate, values in (measured[0].items() if measured else ())
    }
    qw = {name: values.get("qw", {}).get("mean") for name, values in candidates.items()}
    return {
        "frames": len(measured),
        "candidates": candidates,
        "score": {
            name: None if value is None or alignment is None else value * alignment
            for name, value in qw.items()
        },
    }


def _temporal(evidence: Evidence) -> dict[str, Any]:
    everything = evidence.result.log.pairs
    pairs = [pair for pair in everything if pair.changes is not None]
    changes = [_mean([pair.changes[i] for pair in pairs if pair.changes]) for i in range(4)]
    slopes = [_mean([pair.slopes[i] for pair in everything]) for i in range(4)]
    visible, thermal, fused, average = (
        c / s if s > 0 else 0.0 for c, s in zip(changes, slopes, strict=True)
    )
    jumps = {
        stream.value: [
            {"frame": f.index, "at_s": evidence.seconds(f.arrived_ns), "change": f.jump}
            for f in frames
            if f.jump
        ]
        for stream, frames in evidence.frames.items()
    }
    minutes = _duration_s(evidence.result.log) / 60
    badly_exposed = [pair for pair in everything if not _DARK <= pair.means[0] <= _BRIGHT]
    return {
        "flicker_index": _ratio(fused, 0.5 * (visible + thermal)),
        "average_flicker_index": _ratio(average, 0.5 * (visible + thermal)),
        "change_ratio": _ratio(changes[2], 0.5 * (changes[0] + changes[1])),
        "excess_flicker": describe_series([p.excess_flicker or 0.0 for p in pairs]),
        "gain_jumps": jumps,
        "gain_jumps_per_minute": _ratio(len(jumps["thermal"]), minutes),
        "badly_exposed_share": _ratio(len(badly_exposed), len(everything)),
        "repeated": _counted(evidence, "repeated"),
        "shutter_frames": sum(f.reason == "shutter" for f in evidence.frames[Stream.THERMAL]),
    }


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _alignment(log: ReplayLog) -> dict[str, Any]:
    looked = [pair.alignment for pair in log.pairs if pair.alignment]
    clear = [a for pair in log.pairs if (a := pair.clear_alignment)]
    shift_x = describe_series([a.shift_x_px for a in clear])
    shift_y = describe_series([a.shift_y_px for a in clear])
    return {
        "score": describe_series([a.score for a in looked]),
        "clear": len(clear),
        "shift_x_px": shift_x,
        "shift_y_px": shift_y,
        "shift_share": math.hypot(shift_x["p50"] or 0.0, shift_y["p50"] or 0.0) / log.width
        if clear
        else None,
    }


def _times(wall_s: float, log: ReplayLog) -> dict[str, Any]:
    return {
        "wall_s": wall_s,
        "real_time_factor": _ratio(_duration_s(log), wall_s),
        "stages_ms": {stage: describe_series(values) for stage, values in log.times_ms.items()},
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _machine(engine: EngineDescription) -> dict[str, Any]:
    installed = {d.name: d.version for d in distributions() if d.name in _PACKAGES}
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "packages": {name: installed[name] for name in _PACKAGES if name in installed},
        "engine_detail": dict(engine.detail),
    }


def write_all(folder: Path, summary: Mapping[str, Any], evidence: Evidence) -> None:
    """Write the four files into an existing folder."""
    write_json(folder / "summary.json", summary)
    times = evidence.result.log.times_ms
    tables: dict[str, Iterable[dict[str, Any]]] = {
        "frames.csv": _frame_rows(evidence),
        "pairs.csv": _pair_rows(evidence),
        "times.csv": (
            {"stage": s, "n": i, "ms": round(v, 4)} for s in times for i, v in enumerate(times[s])
        ),
    }
    for name, rows in tables.items():
        texts = (
            {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows
        )
        write_table(folder / name, texts)


def _frame_rows(evidence: Evidence) -> Iterable[dict[str, Any]]:
    for f in evidence.result.log.frames:
        yield {
            "stream": f.stream.value,
            "index": f.index,
            "arrived_s": evidence.seconds(f.arrived_ns),
            "arrived_ns": f.arrived_ns,
            "stamp_ns": f.stamp_ns,
            "fate": f.fate.value if f.fate else "",
            "reason": f.reason,
            "pair": f.pair,
            "passed_alone": int(f.passed_alone),
            "mean": f.mean,
            "motion": f.motion,
            "repeated": int(f.repeated),
            "gain_jump": f.jump,
        }


def _pair_rows(evidence: Evidence) -> Iterable[dict[str, Any]]:
    candidates = next((p.quality for p in evidence.result.log.pairs if p.quality), {})
    measures = [m for m in HIGHER_IS_BETTER if m in evidence.settings.measures]
    visible = evidence.frames[Stream.VISIBLE]
    for p in evidence.result.log.pairs:
        row: dict[str, Any] = {
            "pair": p.index,
            "arrived_s": evidence.seconds(visible[p.visible_index].arrived_ns),
            "visible_index": p.visible_index,
            "thermal_index": p.thermal_index,
            "visible_stamp_ns": p.visible_stamp_ns,
            "skew_ms": p.skew_ms,
            "held": int(p.is_held),
            "mean_visible": p.means[0],
            "mean_thermal": p.means[1],
            "mean_fused": p.means[2],
            "change_ratio": p.change_ratio,
            "excess_flicker": p.excess_flicker,
            "alignment": p.alignment.score if p.alignment else None,
            "fused_sha256": p.fused_sha256,
        }
        for candidate in candidates:
            for name in measures:
                row[f"{candidate}.{name}"] = p.quality.get(candidate, {}).get(name)
        yield row


def _plain(value: Any) -> Any:
    """Convert to JSON types: NaN to null, enums to values, tuples to lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value.value if hasattr(value, "value") else value
