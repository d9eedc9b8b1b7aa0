# SPDX-License-Identifier: Apache-2.0
"""The properties of `test_hostile_input`, with inputs that atheris leads by the code they reach.

    python test/ros/fuzz_with_coverage.py messages [-max_total_time=300] [libFuzzer's options]

Not a test that pytest collects: it runs until it is told to stop, and ends with code 0 where
nothing broke. `make fuzz` runs it for each property where atheris is installed. Inputs that reached
something new are kept in `.fuzz/`, from which the next run goes on; what broke something, too.
"""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path

KEPT = Path(".fuzz")

TARGETS = {
    "messages": "test_whatever_a_publisher_sends_ends_in_one_count_and_takes_no_memory",
    "parameters": "test_whatever_a_parameter_file_says_is_taken_or_refused_by_name",
    "files": "test_whatever_a_parameter_file_is_made_of_is_read_or_refused_as_such",
}


def main() -> int:
    """Fuzz until libFuzzer ends the process; 1 where the arguments or atheris are missing."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        print(f"usage: {sys.argv[0]} {{{','.join(TARGETS)}}} [libFuzzer's options]")
        return 1
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed, so there is no fuzzing by coverage: pip install atheris")
        return 1
    import atheris

    with atheris.instrument_imports(include=["fusion_ros", "yaml"]):
        import test_hostile_input as properties
    name = sys.argv[1]
    corpus = KEPT / name
    corpus.mkdir(parents=True, exist_ok=True)
    # Of too few bytes hypothesis can build nothing: from an empty corpus nothing would grow.
    for seed, length in enumerate((64, 256, 1024, 4096)):
        (corpus / f"seed_{length}").write_bytes(random.Random(seed).randbytes(length))
    options = [f"-artifact_prefix={KEPT}/{name}-", "-len_control=0", *sys.argv[2:]]
    test = getattr(properties, TARGETS[name])
    atheris.Setup([sys.argv[0], *options, str(corpus)], test.hypothesis.fuzz_one_input)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
