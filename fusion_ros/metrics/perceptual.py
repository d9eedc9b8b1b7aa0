# SPDX-License-Identifier: Apache-2.0
"""PaQ-2-PiQ, the paper's perceptual score, through `pyiqa` and a weights file that the user has.

Source: Z. Ying et al., "From patches to pictures (PaQ-2-PiQ)", CVPR 2020. Neither the package nor
the weights come with this project; without them the score is not given, never guessed.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn

from fusion_ros.metrics.checks import check_images


class PerceptualScoreUnavailable(RuntimeError):
    """`pyiqa` or the weights file is missing or unfit; the message says which and what to do."""


class PaQ2PiQ:
    """Perceptual quality of the fused image alone, about 0 to 100, higher is better.

    Args:
        weights: the P2P-RM weights that `pyiqa` names for its metric `paq2piq`.
        device: where to run.
    """

    def __init__(self, weights: str | Path, device: str = "cpu") -> None:
        try:
            from pyiqa.archs import paq2piq_arch
        except ImportError as error:
            raise PerceptualScoreUnavailable(
                "PaQ-2-PiQ needs the package pyiqa: pip install pyiqa"
            ) from error
        path = Path(weights)
        if not path.is_file():
            raise PerceptualScoreUnavailable(
                f"PaQ-2-PiQ weights {weights} do not exist; the file that pyiqa uses is at "
                f"{paq2piq_arch.default_model_urls['url']}"
            )
        # Left alone, pyiqa fetches ImageNet weights only to overwrite them, and unpickles the file
        # with all that a pickle may do.
        untrained = paq2piq_arch.tv.models.resnet18(weights=None)
        with mock.patch.object(paq2piq_arch.tv.models, "resnet18", return_value=untrained):
            net = paq2piq_arch.PAQ2PIQ(pretrained=False)
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            net.load_state_dict({k.removeprefix("module."): v for k, v in state.items()})
        except (pickle.UnpicklingError, RuntimeError, AttributeError) as error:
            raise PerceptualScoreUnavailable(
                f"{weights} holds no plain weights of PaQ-2-PiQ: {error}"
            ) from error
        self._net: nn.Module = net.to(device).eval()
        self._device = device

    @torch.inference_mode()
    def __call__(self, fused: Tensor) -> Tensor:
        """N, 1 or 3, H, W in [0, 1] to N scores."""
        check_images(fused=fused)
        colour = fused.expand(-1, 3, -1, -1).to(self._device, torch.float32)
        # One by one: the architecture takes each region of a batch for its first picture's.
        return torch.cat([self._net(picture[None]) for picture in colour]).flatten()
