# SPDX-License-Identifier: Apache-2.0
"""Pair an RGB and a thermal camera and fuse each pair into one image.

Public API: `fuse` for two arrays, `FusionPipeline` for a stream of them. Both are imported on
first use, so importing the package loads no other module of it and no third-party package.
"""

from __future__ import annotations

from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fusion_ros.pipeline import FusionPipeline, fuse

# rosidl installs the generated messages (`fusion_ros.msg`) under the same name, possibly in another
# prefix than this source tree. extend_path makes both one package.
__path__ = extend_path(__path__, __name__)

__version__ = "0.2.0"
__all__ = ["FusionPipeline", "__version__", "fuse"]


def __getattr__(name: str) -> Any:
    """Import the public API on first use."""
    if name not in ("FusionPipeline", "fuse"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fusion_ros import pipeline

    return getattr(pipeline, name)
