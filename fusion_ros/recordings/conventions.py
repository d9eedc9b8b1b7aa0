# SPDX-License-Identifier: Apache-2.0
"""Naming conventions of visible and thermal files, as a table of regular expressions."""

from __future__ import annotations

import re
from typing import NamedTuple

_VISIBLE = "vis|visible|visible_hr|visual|vi|rgb|colou?r|eo"
_THERMAL = "ir|thermal|infrared|lwir|inf|flir"


class Convention(NamedTuple):
    """Names that distinguish the two cameras.

    Attributes:
        rule: description for users.
        visible, thermal: patterns in the path of a file below its folder, without suffix, in any
            case. Files belong together if the rest of their paths is equal, with the groups of the
            pattern. The last match counts.
    """

    rule: str
    visible: str
    thermal: str

    def key(self, name: str, camera: int) -> str | None:
        """Return the rest of a name as a visible (0) or thermal (1) file; None without a match."""
        matches = list(re.finditer(self[1 + camera], name, re.IGNORECASE))
        if not matches:
            return None
        last = matches[-1]
        return "".join((name[: last.start()], "*", *last.groups(), name[last.end() :])).lower()


CONVENTIONS = (
    Convention("names with _vis and _ir", rf"[_-](?:{_VISIBLE})$", rf"[_-](?:{_THERMAL})$"),
    Convention("names with _RGB and _PreviewData (FLIR)", r"_RGB$", r"_PreviewData$"),
    Convention("names with _V and _T (DJI)", r"_V$", r"_T$"),
    Convention("names with _W and _T (DJI)", r"_W$", r"_T$"),
    Convention("names V0001 and I0001", r"(?:^|(?<=/))V(?=\d+$)", r"(?:^|(?<=/))I(?=\d+$)"),
    Convention(
        "names DC_0001 and FLIR0001",
        r"(?:^|(?<=/))DC_?0*(?=\d+$)",
        r"(?:^|(?<=/))(?:FLIR|IR)_?0*(?=\d+$)",
    ),
    Convention(
        "names with VIS_ and IR_ in front",
        rf"(?:^|(?<=/))(?:{_VISIBLE})[_-]",
        rf"(?:^|(?<=/))(?:{_THERMAL})[_-]",
    ),
    Convention("folders crop_HR_visible and cropinfrared", r"crop_HR_visible/", r"cropinfrared/"),
    Convention("folders crop_LR_visible and cropinfrared", r"crop_LR_visible/", r"cropinfrared/"),
    Convention("folders RGB and thermal_16_bit (FLIR)", r"\bRGB/", r"\bthermal_16_bit/"),
    Convention("folders RGB and thermal_8_bit (FLIR)", r"\bRGB/", r"\bthermal_8_bit/"),
    Convention(
        "folders vis and ir", rf"(?:^|(?<=/))(?:{_VISIBLE})/", rf"(?:^|(?<=/))(?:{_THERMAL})/"
    ),
    Convention(
        "folders visual and thermal, names 1v and 1i (TNO)",
        r"\bvisual/(.*\d)v$",
        r"\bthermal/(.*\d)i$",
    ),
    Convention(
        "one VIS and one IR file in each folder (TNO)",
        # The first number must agree.
        rf"(?:^|(?<=/))(?:{_VISIBLE})(?![a-z])[^0-9/]*(\d*)[^0-9/]*$",
        rf"(?:^|(?<=/))(?:{_THERMAL})(?![a-z])[^0-9/]*(\d*)[^0-9/]*$",
    ),
)
"""More specific conventions come first."""


def convention_of(visible: str, thermal: str) -> Convention:
    """Return the convention of two names in which {} stands for the common part.

    Raises:
        ValueError: a name does not contain {} once.
    """
    patterns = []
    for template in (visible, thermal):
        parts = re.sub(r"\.[A-Za-z]\w*$", "", template).split("{}")
        if len(parts) != 2:
            raise ValueError(
                f"--pattern: {template!r} must contain {{}} once, for the part that both names "
                "share, as in rgb_{} lwir_{}"
            )
        start, end = map(re.escape, parts)
        patterns.append(rf"(?:^|(?<=/)){start}([^/]+){end}$")
    return Convention(f"names as {visible} and {thermal}", *patterns)
