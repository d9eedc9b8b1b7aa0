# SPDX-License-Identifier: Apache-2.0
"""Attack the real program for a bounded time: `make attack`.

    make attack ARGS="--seconds 540 --seed 1 --only files bags"

Kinds: files and pictures (changed by a little, read by the commands), bags (damaged), parameters
(legal and illegal values over the services of a live node), messages (changed, over DDS), stalls
(subscribers that stand still), kills (cameras, subscribers, recorders and reports during writes,
weights rewritten during a reload). Prints what was tried and every breach, writes `attack.json`
and the files that made a breach. Exit code 1 on any breach.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

TEST = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TEST.parent), str(TEST), str(TEST / "replay")]

from attack.bags import attack_bags  # noqa: E402
from attack.commands import import_the_program  # noqa: E402
from attack.files import attack_files, attack_pictures  # noqa: E402
from attack.kills import attack_kills  # noqa: E402
from attack.live import attack_messages, attack_parameters  # noqa: E402
from attack.stalls import attack_stalls  # noqa: E402
from attack.trial import Tally, table  # noqa: E402

# Commands are forked, so they come before this process joins DDS and has threads.
KINDS: dict[str, tuple[float, Callable[[Tally], None]]] = {
    "files": (0.2, attack_files),
    "pictures": (0.1, attack_pictures),
    "bags": (0.2, attack_bags),
    "kills": (0.2, attack_kills),
    "parameters": (0.12, attack_parameters),
    "messages": (0.08, attack_messages),
    "stalls": (0.1, attack_stalls),
}
"""By kind: its share of the time, and its function."""


def main() -> int:
    """0 where nothing was breached."""
    parser = argparse.ArgumentParser(
        prog="python -m attack",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=540.0, help="without starts (540)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--out", type=Path, default=Path("attack"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    begun_s = time.monotonic()
    total = sum(KINDS[kind][0] for kind in args.only)
    tallies = []
    with tempfile.TemporaryDirectory(prefix="attack_") as scratch:
        os.environ["FUSION_ROS_CACHE"] = scratch
        import_the_program()
        for kind in args.only:
            share, attack = KINDS[kind]
            folder = Path(scratch) / kind
            folder.mkdir()
            seconds = args.seconds * share / total
            tally = Tally(kind, args.seed, folder, seconds, args.out, begun_s + args.seconds + 50)
            tallies.append(tally)
            try:
                attack(tally)
            except Exception:  # the others still run; a kind that broke is not a pass
                tally.breach("silent", "the attack itself broke", traceback.format_exc())
            if not tally.tried:
                tally.breach("silent", "nothing was tried", "no time was left; see --seconds")
            counts = ", ".join(f"{n} {way}" for way, n in tally.counts().items() if n)
            print(f"{kind}: {tally.tried} tried, {counts or 'no breach'}", flush=True)
    result = {
        "seed": args.seed,
        "seconds": round(time.monotonic() - begun_s, 1),
        "kinds": {
            t.kind: {"tried": t.tried, **t.counts(), "notes": t.notes, "breaches": t.breaches}
            for t in tallies
        },
    }
    (args.out / "attack.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(table(tallies))
    return 1 if any(tally.breaches for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
