# SPDX-License-Identifier: Apache-2.0
"""What pip installs; on a ROS distribution colcon and CMakeLists.txt install the same files.

Extras: `desk` fuses and records files; `ros` brings rclpy and its middleware to a machine without a
ROS distribution; `torch` and `tensorrt` are further engines; `replay` evaluates recordings; `train`
trains, `quantize` makes 8-bit networks; `dev` tests and checks. A node on a CPU needs only `ros`.

Where there is a distribution, leave `ros` out and install with `--no-deps`: there the
distribution's OpenCV, which cv_bridge is built against, must stay the one that Python finds.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
NAME = "fusion_ros"

# rclpy has wheels for this platform only; a Jetson has its distribution.
WHEELS_EXIST = "sys_platform == 'linux' and platform_machine == 'x86_64'"
TORCH = ["torch>=2.2", "onnx>=1.16"]  # PyTorch writes ONNX with the package onnx


def version() -> str:
    """The version in fusion_ros/__init__.py, read without importing the package."""
    text = (HERE / NAME / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, flags=re.MULTILINE)
    if found is None:
        raise RuntimeError('fusion_ros/__init__.py has no line __version__ = "..."')
    return found.group(1)


def files(pattern: str) -> list[str]:
    """The files that match, relative to this one; a pattern that matches nothing is an error."""
    found = sorted(str(path.relative_to(HERE)) for path in HERE.glob(pattern) if path.is_file())
    if not found:
        raise RuntimeError(f"setup.py installs {pattern}, but no such file exists")
    return found


setup(
    name=NAME,
    version=version(),
    description="RGB-thermal image fusion for ROS 2",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    # Naming the root makes an editable install a plain path entry. setuptools' other way, an import
    # hook, is asked last, after the directory that holds the generated fusion_ros.msg was found:
    # the package would look empty.
    package_dir={"": "."},
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["**/weights/*", "**/py.typed", "**/pages/*"]},
    data_files=[
        # Where ros2 run and ros2 launch look.
        ("share/ament_index/resource_index/packages", files("resource/*")),
        (f"lib/{NAME}", files("executables/*")),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", files("launch/*.launch.py")),
        (f"share/{NAME}/launch/examples", files("launch/examples/*")),
        (f"share/{NAME}/config", files("config/*")),
        (f"share/{NAME}/config/cameras", files("config/cameras/*")),
        (f"share/{NAME}/config/foxglove", files("config/foxglove/*")),
        (f"share/{NAME}/config/rviz", files("config/rviz/*")),
        (f"share/{NAME}/config/security", files("config/security/*")),
        (f"share/{NAME}/msg", files("msg/*.msg")),
    ],
    install_requires=[
        "numpy>=1.21",
        "opencv-python-headless>=4.8,<5",  # cv_bridge is built against 4
        "openvino>=2024.0",
        "pyyaml",
        "safetensors>=0.4",
        "tqdm",
    ],
    extras_require={
        "ros": [
            f"ros-rclpy; {WHEELS_EXIST}",
            f"ros-rmw-fastrtps-cpp; {WHEELS_EXIST}",
            f"ros-sensor-msgs; {WHEELS_EXIST}",
            f"ros-diagnostic-msgs; {WHEELS_EXIST}",
            f"ros-std-srvs; {WHEELS_EXIST}",
        ],
        "desk": [
            "argcomplete>=3",
            "jinja2>=3",
            "markupsafe>=2",
            "pi-heif>=0.20",  # HEIC; pillow-heif also encodes, by a library under the GPL
            "pillow>=10",
            "rosbags>=0.10",
        ],
        "torch": TORCH,
        "tensorrt": TORCH,
        "replay": ["jinja2>=3", "markupsafe>=2", "rosbags>=0.10", *TORCH],
        "detectors": ["onnxruntime>=1.17", "pycocotools>=2.0.8"],
        "quantize": [*TORCH, "nncf>=3.0", "onnxruntime>=1.17"],
        "rerun": ["rerun-sdk>=0.23"],
        "train": [
            *TORCH,
            "lightning-fabric>=2.2",
            "onnxruntime>=1.17",
            "onnxscript",
            "tensorboard",
            "torchmetrics>=1.4",
        ],
        "dev": [
            "argcomplete>=3",
            "codespell>=2.3",
            "hypothesis>=6",
            "mypy>=1.10",
            "pi-heif>=0.20",
            "pytest>=7",
            "ruff>=0.6",
            f"tensorrt-cu13-bindings; {WHEELS_EXIST}",  # names and signatures; 1.3 MB
            "types-PyYAML",
            "types-tqdm",
            # Independent implementations that the metrics are held to:
            "kornia",
            "scikit-image",
            "scipy",
            "sewar",
        ],
    },
    entry_points={
        "console_scripts": [
            "fusion-ros = fusion_ros.cli.main:main",
            "fuse_node = fusion_ros.nodes.programs:fuse_node",
            "synthetic_camera = fusion_ros.nodes.programs:synthetic_camera",
            "recorder = fusion_ros.nodes.programs:recorder",
            "replay = fusion_ros.cli.replay.command:main",
        ],
    },
    zip_safe=False,
)
