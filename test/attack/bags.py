# SPDX-License-Identifier: Apache-2.0
"""Kind `bags`: recordings of every form, damaged; none may pass a gate with frames missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from planted_faults import write_bag

from attack import mutations
from attack.commands import attempt, command
from attack.files import QUICK
from attack.trial import Tally

PAIRS = 12
FORMS = [(s, c) for s in ("mcap", "sqlite3") for c in ("none", "file", "message")]


def attack_bags(tally: Tally) -> None:
    """Damage a bag, replay it with a gate that forbids errors, and compare with the original."""
    gate = tally.folder / "gate.yaml"
    gate.write_text("forbid_severity: error\n", encoding="utf-8")
    good = {}
    for storage, compression in FORMS:
        folder = tally.folder / f"{storage}_{compression}"
        good[folder.name] = write_bag(folder, count=PAIRS, storage=storage, compression=compression)
    out = tally.folder / "report"
    arguments = ["--out", out, *QUICK, "--no-report", "--gate", gate]
    for name, folder in good.items():
        ended = command(["replay", folder, *arguments], tally.folder)
        if ended.code != 0 or _fused(out) != PAIRS:
            tally.breach("silent", f"{name}, intact", f"code {ended.code}: {ended.text}")
    while tally.has_time:
        name = list(good)[tally.tried % len(good)]
        bag = tally.folder / "bag"
        shutil.rmtree(bag, ignore_errors=True)
        shutil.copytree(good[name], bag)
        data = max(bag.iterdir(), key=lambda file: file.stat().st_size)
        how = _damage(tally, bag, data)
        alone = tally.random.random() < 0.25
        shutil.rmtree(out, ignore_errors=True)
        source = data if alone else bag
        what = f"{name}, {how}{', file alone' if alone else ''}"
        ended = attempt(tally, what, ["replay", source, *arguments], data)
        if ended is None or ended.code != 0:
            continue
        if (fused := _fused(out)) < PAIRS:
            detail = f"{fused} of {PAIRS} pairs, gate passed\n{ended.text}"
            tally.breach("silent", what, detail, data)


def _damage(tally: Tally, bag: Path, data: Path) -> str:
    rng = tally.random
    content = bytearray(data.read_bytes())
    how = rng.choice(
        ["changed", "changed", "cut", "zeroed block", "metadata changed", "no metadata"]
    )
    metadata = bag / "metadata.yaml"
    if how == "changed":
        data.write_bytes(mutations.of_bytes(rng, bytes(content)))
    elif how == "cut":
        data.write_bytes(content[: rng.randrange(len(content))])
    elif how == "zeroed block":
        at = rng.randrange(max(1, len(content) // 4096)) * 4096
        content[at : at + 4096] = bytes(len(content[at : at + 4096]))
        data.write_bytes(content)
    elif how == "metadata changed":
        metadata.write_bytes(mutations.of_text(rng, metadata.read_text(encoding="utf-8")))
    else:
        metadata.unlink()
    return how


def _fused(out: Path) -> int:
    try:
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
    return int(summary["fused"])
