# SPDX-License-Identifier: Apache-2.0
"""PaQ-2-PiQ, the paper's perceptual score, through `pyiqa` and a weights file that the user has.

Source: Z. Ying et al., "From patches to pictures (PaQ-2-PiQ)", CVPR 2020. Neither the package nor
the weights come with this project; without them the score is not given, never guessed.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from fusion_ros.metrics.checks import check_images


class PerceptualScoreUnavailable(RuntimeError):
    """`pyiqa` or the weights file is missing; the message says which and how to get it."""


class PaQ2PiQ:
    """Perceptual quality of the fused image alone, about 0 to 100, higher is better.

    Args:
        weights: the P2P-RM weights file of PaQ-2-PiQ, as `pyiqa` reads it.
        device: where to run.
    """

    def __init__(self, weights: str | Path, device: str = "cpu") -> None:
        try:
            import pyiqa
        except ImportError as error:
            raise PerceptualScoreUnavailable(
                "PaQ-2-PiQ needs the package pyiqa: pip install 'fusion_ros[perceptual]'"
            ) from error
        if not Path(weights).is_file():
            raise PerceptualScoreUnavailable(
                f"PaQ-2-PiQ weights {weights} do not exist; take P2P_RM.pth from the authors"
            )
        self._net = pyiqa.create_metric(
            "paq2piq", device=device, pretrained_model_path=str(weights)
        )

    def __call__(self, fused: Tensor) -> Tensor:
        """N, 1 or 3, H, W in [0, 1] to N scores."""
        check_images(fused=fused)
        return self._net(fused.expand(-1, 3, -1, -1)).flatten()
