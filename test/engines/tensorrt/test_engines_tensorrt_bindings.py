# SPDX-License-Identifier: Apache-2.0
"""Names and signatures that the TensorRT engine uses, in NVIDIA's own Python bindings.

The bindings have a small wheel (tensorrt-cu13-bindings); TensorRT's libraries, several GB and for
machines with a GPU, are replaced by empty ones. So nothing is built or run here.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

import pytest

from fusion_ros.engines.tensorrt import builder, module

WHEEL = "tensorrt-cu13-bindings"
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
# The functions that the bindings link to.
FUNCTIONS = (
    "createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL", "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry", "getNvOnnxParserVersion", "getPluginRegistry",
    "initLibNvInferPlugins",
)  # fmt: skip
# Method -> the arguments of our calls, as named in the bindings.
CALLS = {
    "Builder.__init__": ("logger",),
    "Builder.create_network": ("flags",),
    "Builder.create_builder_config": (),
    "Builder.build_serialized_network": ("network", "config"),
    "OnnxParser.__init__": ("network", "logger"),
    "OnnxParser.parse": ("model",),
    "OnnxParser.get_error": ("index",),
    "IBuilderConfig.set_memory_pool_limit": ("pool", "pool_size"),
    "Runtime.__init__": ("logger",),
    "Runtime.deserialize_cuda_engine": ("serialized_engine",),
    "ICudaEngine.serialize": (),
    "ICudaEngine.create_execution_context": (),
    "ICudaEngine.get_tensor_shape": ("name",),
    "ICudaEngine.get_tensor_dtype": ("name",),
    "IExecutionContext.set_tensor_address": ("name", "memory"),
    "IExecutionContext.execute_async_v3": ("stream_handle",),
    "INetworkDefinition.add_shuffle": ("input",),
    "INetworkDefinition.add_deconvolution_nd": (
        "input", "num_output_maps", "kernel_shape", "kernel", "bias",
    ),
}  # fmt: skip
ATTRIBUTES = (
    "OnnxParser.num_errors", "MemoryPoolType.WORKSPACE", "IShuffleLayer.reshape_dims",
    "IShuffleLayer.second_transpose", "IShuffleLayer.get_output", "IDeconvolutionLayer.stride_nd",
    "IDeconvolutionLayer.padding_nd", "IDeconvolutionLayer.num_groups",
)  # fmt: skip


@pytest.fixture(scope="module")
def tensorrt(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Return the bindings."""
    try:
        release = version(WHEEL).partition(".")[0]
    except PackageNotFoundError:
        pytest.skip(f"{WHEEL} is not installed")
    folder = tmp_path_factory.mktemp("libraries")
    source = folder / "empty.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in FUNCTIONS))
    compiler = shutil.which("cc") or shutil.which("gcc") or pytest.skip("no C compiler")
    for library in LIBRARIES:
        name = f"lib{library}.so.{release}"
        out = folder / name
        options = ["-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", str(out), str(source)]
        subprocess.run([compiler, *options], check=True)
        ctypes.CDLL(str(out), mode=ctypes.RTLD_GLOBAL)  # satisfies the bindings' own request
    return pytest.importorskip("tensorrt_bindings")


def found(tensorrt: ModuleType, name: str) -> object:
    of, _, attribute = name.partition(".")
    return getattr(getattr(tensorrt, of), attribute)


@pytest.mark.parametrize("name", CALLS)
def test_methods_take_the_arguments_of_our_calls(tensorrt: ModuleType, name: str) -> None:
    method = name.partition(".")[2]
    signatures = re.findall(
        rf"\b{method}\((self.*)\)(?: ->|$)", found(tensorrt, name).__doc__, re.M
    )
    arguments = CALLS[name]
    assert any(
        set(arguments) <= set(names := re.findall(r"(\w+): ", signature))
        and [argument for argument in names if argument in arguments] == list(arguments)
        for signature in signatures
    ), signatures


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes_exist(tensorrt: ModuleType, name: str) -> None:
    assert found(tensorrt, name) is not None


def test_values_that_we_create_are_accepted(tensorrt: ModuleType) -> None:
    assert tensorrt.Logger(tensorrt.Logger.WARNING).min_severity is not None
    assert list(tensorrt.Permutation([0, 1, 4, 2, 5, 3]))[:6] == [0, 1, 4, 2, 5, 3]
    assert tensorrt.Weights().size == 0
    assert set(module._TYPES) <= set(tensorrt.DataType.__members__)


def test_torch2trt_is_chosen_where_its_names_exist(
    tensorrt: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt)
    release = int(version(WHEEL).partition(".")[0])
    assert builder.builds_through_torch2trt() == (release < 11)
