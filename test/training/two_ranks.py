# SPDX-License-Identifier: Apache-2.0
"""What ``torchrun`` starts twice in a test: train, then each rank keeps its own weights."""

import sys
from pathlib import Path

import torch

from training.config_file import load_config
from training.train import Trainer

trainer = Trainer(load_config(sys.argv[1]))
assert trainer.run() == 0
assert trainer.fabric.world_size == 2
torch.save(trainer.net.state_dict(), Path(sys.argv[2]) / f"rank{trainer.fabric.global_rank}.pt")
