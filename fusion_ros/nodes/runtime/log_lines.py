# SPDX-License-Identifier: Apache-2.0
"""A node's logger as plain functions of one line each, safe for text from outside.

rclpy allows one severity for one line of code, and raises at another: so each has a line here.
"""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node

from fusion_ros.streams.outside_text import LINE_LIMIT, printable, printable_lines

Write = Callable[[str], object]


def info_line(node: Node) -> Write:
    """Return a function that logs one line at level info."""
    logger = node.get_logger()

    def write(text: str) -> object:
        return logger.info(printable(text, LINE_LIMIT))

    return write


def warning_line(node: Node) -> Write:
    """Return a function that logs one line at level warning."""
    logger = node.get_logger()

    def write(text: str) -> object:
        return logger.warning(printable(text, LINE_LIMIT))

    return write


def error_line(node: Node) -> Write:
    """Return a function that logs one line at level error."""
    logger = node.get_logger()

    def write(text: str) -> object:
        return logger.error(printable(text, LINE_LIMIT))

    return write


def error_lines(node: Node) -> Write:
    """Return a function that logs lines, as of a traceback, at level error."""
    logger = node.get_logger()

    def write(text: str) -> object:
        return logger.error(printable_lines(text))

    return write
