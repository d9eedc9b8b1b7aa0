# SPDX-License-Identifier: Apache-2.0
"""Functions that write to a node's log, safe for text from outside.

rclpy allows one severity for each line of code that logs and raises for another one. So each
severity has its own line here.
"""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node

from fusion_ros.streams.outside_text import LINE_LIMIT, printable, printable_lines

Write = Callable[[str], object]


def info_line(node: Node) -> Write:
    """Return a function that logs one printable line at level info."""
    logger = node.get_logger()
    return lambda text: logger.info(printable(text, LINE_LIMIT))


def warning_line(node: Node) -> Write:
    """Return a function that logs one printable line at level warning."""
    logger = node.get_logger()
    return lambda text: logger.warning(printable(text, LINE_LIMIT))


def error_line(node: Node) -> Write:
    """Return a function that logs one printable line at level error."""
    logger = node.get_logger()
    return lambda text: logger.error(printable(text, LINE_LIMIT))


def error_lines(node: Node) -> Write:
    """Return a function that logs several printable lines, such as a traceback, at level error."""
    logger = node.get_logger()
    return lambda text: logger.error(printable_lines(text))
