# SPDX-License-Identifier: Apache-2.0
"""The watch lives one room down, where the replay can reach it; the node's imports stay."""

from fusion_ros.stream_watch import FLAT_GIVE_UP_S, FLAT_SHARE, FrameFormat, StreamWatch

__all__ = ["FLAT_GIVE_UP_S", "FLAT_SHARE", "FrameFormat", "StreamWatch"]
