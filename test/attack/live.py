# SPDX-License-Identifier: Apache-2.0
"""Kinds `parameters` and `messages`: attacks on a running node over its services and topics."""

from __future__ import annotations

import array
import math
from pathlib import Path
from typing import Any

import numpy as np

from attack import mutations
from attack.node import LiveNode
from attack.trial import Tally, wait_until

TEXTS = [
    "",
    "x",
    "a" * 3000,
    "0,0",
    "1,2; 3,4",
    "10 20",
    "\n",
    "\x1b[31m",
    "/nowhere",
    "%s{0}",
    "ä",
]
NUMBERS = [0, 1, -1, 0.5, 99.9, 200.0, 1e-300, 1e300, 2**31, 2**62, -(2**62)]
NEVER = [math.nan, math.inf, -math.inf]
MEMORY_MB = 300.0


def attack_parameters(tally: Tally) -> None:  # noqa: C901
    """Every parameter, alone and in random sets; refused values leave no trace."""
    from rcl_interfaces.srv import GetParameters, SetParameters, SetParametersAtomically
    from rclpy.parameter import Parameter

    from fusion_ros.parameters import SPECS

    specs = {spec.name: spec for spec in SPECS}
    singles = [{name: value} for name, spec in specs.items() for value in _values(spec)]
    tally.random.shuffle(singles)
    with LiveNode(tally) as live:
        tally.begin()

        def get(names: list[str]) -> list[Any] | None:
            answer = live.call(
                GetParameters, "/fuse_node/get_parameters", GetParameters.Request(names=names)
            )
            return None if answer is None else list(answer.values)

        def try_set(values: dict[str, Any], atomic: bool) -> None:
            tally.tried += 1
            what = ", ".join(f"{name}={value!r:.60}" for name, value in values.items())
            names = list(values)
            before = get(names)
            wanted = [Parameter(name, value=v).to_parameter_msg() for name, v in values.items()]
            kind = SetParametersAtomically if atomic else SetParameters
            service = "/fuse_node/set_parameters" + ("_atomically" if atomic else "")
            answer = live.call(kind, service, kind.Request(parameters=wanted))
            after = get(names) if answer is not None and live.is_alive else None
            if not live.look(what):
                live.revive(what)
            elif answer is None or before is None or after is None:
                tally.breach("hang", what, "no answer within 10 s")
            else:
                results = [answer.result] * len(names) if atomic else answer.results
                for i, result in enumerate(results):
                    _judge(tally, what, specs[names[i]], values[names[i]], result,
                           (before[i], after[i], wanted[i].value))  # fmt: skip

        for values in singles:
            if not tally.has_time:
                break
            try_set(values, atomic=tally.random.random() < 0.3)
        while tally.has_time:
            chosen = tally.random.sample(list(specs), tally.random.randint(2, 5))
            values = {name: tally.random.choice(_values(specs[name])) for name in chosen}
            try_set(values, atomic=tally.random.random() < 0.5)
            if tally.tried % 50 == 0:
                live.send_pair()
        for spec in SPECS:
            if spec.live:
                request = SetParameters.Request(
                    parameters=[Parameter(spec.name, value=spec.default).to_parameter_msg()]
                )
                live.call(SetParameters, "/fuse_node/set_parameters", request)
        live.activate()  # with on_stream_loss at "stop" it had every right to deactivate
        if not live.fuses():
            tally.breach("silent", "after all sets", f"no fused image\n{live.log_text()[-800:]}")


def _values(spec: Any) -> list[Any]:
    """Legal and illegal values of a parameter, of its own and of other types."""
    if spec.kind is bool:
        return [True, False, "yes", 1]
    if spec.kind is str:
        return [*spec.choices, *TEXTS, 7]
    low, high = spec.low, spec.high
    ends = [end for end in (low, high) if end is not None]
    near = [end + step for end in ends for step in (-1, 1, 0)]
    if ends:
        near.append(sum(ends) / len(ends))
    numbers = [spec.kind(value) for value in [spec.default, *near, *NUMBERS]]
    numbers = [n for n in numbers if spec.kind is float or abs(n) < 2**63]  # as ROS can carry it
    return [*dict.fromkeys(numbers), "x", True, *(NEVER if spec.kind is float else [0.5])]


def _judge(tally: Tally, what: str, spec: Any, value: Any, result: Any, values: tuple) -> None:
    from fusion_ros.parameters import ParameterError

    before, after, wanted = values
    try:
        spec.check(value)
        is_legal = True
    except ParameterError:
        is_legal = False
    if result.successful and not is_legal:
        tally.breach("silent", what, f"{spec.name}: an illegal value was taken")
    if not result.successful and not result.reason:
        tally.breach("silent", what, f"{spec.name}: refused without a reason")
    # An integer for a float parameter is stored as one or refused; NaN equals nothing.
    if result.successful and is_legal and after.type == wanted.type and after != wanted:
        tally.breach("silent", what, f"{spec.name}: taken, but it is {after}")
    if not result.successful and repr(after) != repr(before):
        tally.breach("silent", what, f"{spec.name}: refused, but changed from {before} to {after}")


def attack_messages(tally: Tally) -> None:
    """Image messages that are changed before they are published, as bytes."""
    from rclpy.serialization import serialize_message

    from fusion_ros.imaging.encodings import EXOTIC_ENCODINGS, RAW_ENCODINGS

    encodings = [
        *RAW_ENCODINGS,
        *EXOTIC_ENCODINGS,
        "",
        "16UC3",
        "jpeg",
        "=1+1",
        "\x1b[31m",
        "x" * 999,
    ]
    with LiveNode(tally) as live:
        live.fuses()
        tally.begin()
        memory = _memory_mb(live.process.pid)
        while tally.has_time:
            for _ in range(20):
                kind = tally.random.choice(list(live.cameras))
                message = _image(tally, encodings)
                data = serialize_message(message)
                if tally.random.random() < 0.5:
                    header = mutations.of_bytes(tally.random, data[:96])
                    data = data[:4] + header[4:96] + data[96:]
                live.cameras[kind].publish(data)
                tally.tried += 1
            live.send_pair()
            if not live.look("messages"):
                live.revive("messages")
                memory = _memory_mb(live.process.pid)
        if not tally.tried:
            return
        grown = _memory_mb(live.process.pid) - memory if live.is_alive else 0.0
        if grown > MEMORY_MB:
            tally.breach("silent", "messages", f"memory grew by {grown:.0f} MB")
        if not live.fuses(30.0):
            tally.breach(
                "silent", "after all messages", f"no fused image\n{live.log_text()[-800:]}"
            )
        seen = live.status
        wait_until(lambda: live.status is not seen, 3.0)
        if live.status is None or not live.status.visible_rejected:
            tally.breach("silent", "messages", "no frame was rejected")
        if (lines := live.log_text().count("\n")) > tally.tried / 4 + 200:
            tally.breach("silent", "messages", f"{lines} log lines of {tally.tried} messages")


def _image(tally: Tally, encodings: list[str]) -> Any:
    from sensor_msgs.msg import Image

    rng = tally.random
    message = Image(encoding=rng.choice(encodings), is_bigendian=rng.choice([0, 0, 1, 255]))
    message.height, message.width = rng.choice([48, 48, 1, 0, 2**16]), rng.choice([64, 64, 1, 0, 3])
    message.step = rng.choice([message.width * n for n in (1, 2, 3, 6, 8)] + [0, 2**32 - 1])
    length = rng.choice([message.step * message.height, 0, 7, 48 * 64 * 3])
    message.data = array.array("B", rng.randbytes(min(length, 10_000)))
    sec = rng.choice([0, 1, -1, 2**31 - 1, int(np.random.default_rng(tally.tried).integers(2**31))])
    message.header.stamp.sec, message.header.stamp.nanosec = (
        sec,
        rng.choice([0, 1, 10**9, 2**32 - 1]),
    )
    message.header.frame_id = rng.choice(["camera", "", "\x1b]0;x\x07", "f" * 500])
    return message


def _memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024
