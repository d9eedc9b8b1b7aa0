# SPDX-License-Identifier: Apache-2.0
"""Small changes that make a good file a bad one."""

from __future__ import annotations

import random
import re

HOSTILE = [
    "", "null", "true", "-1", "0", ".nan", "NaN", ".inf", "1e999", "9" * 400, "9" * 5000, "''",
    "[]", "{}", "[[1]]", '"1"', "!!int", "!!timestamp 1", "!!python/name:os.system", "!!binary x",
    "2001-13-41", "*a", "&a [*a]", "x" * 300, "\\u0000", "=1+1", "../../x", "/dev/zero", "0x10",
    "1_0", "[" * 3000, "\x1b[31m", "<script>",
]  # fmt: skip
_SCALAR = re.compile(r"(?<=[:\[, ])\s*(-?[\w.+-]+|\"[^\"]*\"|\[[^\[\]]*\])")


def of_text(rng: random.Random, text: str) -> bytes:
    """A value replaced by a hostile one, lines lost or doubled, or bytes changed."""
    if rng.random() < 0.75:
        places = list(_SCALAR.finditer(text))
        for place in sorted(
            rng.sample(places, min(len(places), rng.choice([1, 1, 1, 2]))),
            key=lambda match: -match.start(),
        ):
            text = text[: place.start(1)] + rng.choice(HOSTILE) + text[place.end(1) :]
        return text.encode("utf-8", "surrogatepass")
    lines = text.splitlines(keepends=True)
    at = rng.randrange(len(lines))
    change = rng.randrange(4)
    if change == 0:
        del lines[at]
    elif change == 1:
        lines.insert(at, lines[rng.randrange(len(lines))])
    elif change == 2:
        lines[at] = "  " + lines[at]
    else:
        return of_bytes(rng, text.encode())
    return "".join(lines).encode()


def of_bytes(rng: random.Random, data: bytes) -> bytes:
    """Bytes flipped, cut off, zeroed, inserted or doubled."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        if not changed:
            return b""
        at = rng.randrange(len(changed))
        if rng.random() < 0.4:  # headers decide most
            at = rng.randrange(min(len(changed), 256))
        change = rng.randrange(6)
        if change == 0:
            changed[at] ^= 1 << rng.randrange(8)
        elif change == 1:
            changed[at : at + 4] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"])
        elif change == 2:
            del changed[at:]
        elif change == 3:
            changed[at : at + 4096] = bytes(len(changed[at : at + 4096]))
        elif change == 4:
            changed[at:at] = rng.randbytes(rng.choice([1, 4, 100]))
        else:
            changed[at:at] = changed[at : at + rng.choice([1, 8, 4096])]
    return bytes(changed)
