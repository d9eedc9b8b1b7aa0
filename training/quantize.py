# SPDX-License-Identifier: Apache-2.0
"""``python -m training.quantize``: write the 8-bit ONNX file of weights of layout `blend`.

    python -m training.quantize --weights FILE|PRESET --data KIND=FOLDER ... [--split FILE]
        [--pairs 60]

NNCF measures the ranges of the features on pairs like those that the weights were trained on, and
the file `NAME.int8.onnx` is written beside the weights. The first convolution, which reads the
images, stays in float32.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from fusion_ros.cli.argument_types import whole_number
from fusion_ros.cli.exit_codes import DONE, reported
from fusion_ros.files.writing import write_bytes
from fusion_ros.imaging.colour import luma
from fusion_ros.model.onnx_export import export_onnx
from fusion_ros.model.onnx_file import int8_path, sealed
from fusion_ros.model.weights import LoadedWeights, WeightsError, load_weights, weights_path
from training.data.pairs import DATA_SETS, DataSetError, find_named_pairs
from training.data.reading import read_pair

#: Parts of the names of convolutions that stay in float32.
KEPT = ("/stem/",)

Images = dict[str, np.ndarray]
"""`uint8` (1, H, W, 1) by input of the network."""


def spread_pairs(data: list[str], split: Path | None, most: int) -> list[Images]:
    """Return an equal number of pairs of each ``KIND=FOLDER``, spread evenly, at most `most`.

    Raises:
        DataSetError: a text of another form, or a data set that cannot be read or is not for
            training.
    """
    result = []
    for text in data:
        found = find_named_pairs("--data", text, split)
        if DATA_SETS[found.source].evaluation_only:
            raise DataSetError(f"--data has {text!r}; allowed: data sets that are not evaluated on")
        count = min(len(found), max(1, most // len(data)))
        for index in np.linspace(0, len(found) - 1, count).astype(int):
            visible, thermal = read_pair(found.pairs[index])[0]
            pair = {"visible": luma(visible), "thermal": thermal}
            result.append({name: image[None, :, :, None] for name, image in pair.items()})
    return result


def quantised(weights: LoadedWeights, pairs: list[Images]) -> bytes:
    """Return the ONNX file of these weights with convolutions of 8-bit integers.

    Raises:
        WeightsError: the layout is not `blend`, or the tensors do not match the config.
    """
    import nncf
    import onnx
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    if weights.metadata.config.layout != "blend":
        raise WeightsError(
            f"weights file {weights.path} has layout {weights.metadata.config.layout!r}; "
            "allowed: 'blend'"
        )
    model = onnx.load_from_string(export_onnx(weights, integers=True))
    del model.metadata_props[:]
    nodes = model.graph.node
    kept = [n.name for n in nodes if n.op_type == "Conv" and any(k in n.name for k in KEPT)]
    others = sorted({n.op_type for n in nodes} - {"Conv", "Relu", "Constant"})
    result = nncf.quantize(
        model,
        nncf.Dataset(pairs),
        subset_size=len(pairs),
        preset=nncf.QuantizationPreset.MIXED,
        fast_bias_correction=False,
        ignored_scope=nncf.IgnoredScope(names=kept, types=others, validate=False),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
        ),
    )
    return sealed(result.SerializeToString(deterministic=True), weights.metadata.sha256)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.quantize",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--weights", required=True, help="weights file or preset")
    parser.add_argument("--data", nargs="+", required=True, metavar="KIND=FOLDER")
    parser.add_argument("--split", type=Path, help="file with the names of the pairs to use")
    parser.add_argument(
        "--pairs", type=whole_number(1), default=60, help="pairs of all data sets together"
    )
    options = parser.parse_args(arguments)
    return reported("python -m training.quantize", lambda: run(options))


def run(options: argparse.Namespace) -> int:
    """Write the 8-bit file; returns the exit code."""
    weights = load_weights(weights_path(options.weights))
    pairs = spread_pairs(options.data, options.split, options.pairs)
    data = quantised(weights, pairs)
    write_bytes(int8_path(weights.path), data)
    int8_path(weights.path).chmod(0o644)
    print(f"{int8_path(weights.path)}: {len(data) / 1e6:.2f} MB, from {len(pairs)} pairs")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
