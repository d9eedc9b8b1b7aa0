# SPDX-License-Identifier: Apache-2.0
"""The run as people start it: learns, resumes exactly after a kill, stops, spreads out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_run import write_config

pytest.importorskip("lightning_fabric")
pytest.importorskip("tensorboard")

from fusion_ros.model.config import PRESETS
from fusion_ros.model.network import FusionNet
from fusion_ros.model.weights import load_weights
from training.config import load_config
from training.losses import LossWeights
from training.run_folder import CHECKPOINT, METRICS, WEIGHTS
from training.sampling import CropSampler
from training.step import TrainingStep
from training.train import Trainer, TrainingError, learning_rate, main

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
# Sums in another order, widened by ten steps of Adam, move the loss by this much at most; learning
# moves it by ten times as much at least.
ROUNDING = 5e-3


def final_weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_weights(folder / WEIGHTS).net.state_dict()


def start(config: Path, *overrides: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "training.train", str(config), *overrides],
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    """Folder of a run of ten steps that nothing disturbed."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    config = write_config(folder, validation=[{"kind": "folders", "root": str(folder / "pairs")}])
    assert main([str(config)]) == 0
    return folder / "run"


def test_a_run_leaves_config_environment_curves_and_loadable_weights(uninterrupted):
    for name in ("config.yaml", "environment.json", METRICS, CHECKPOINT, WEIGHTS):
        assert (uninterrupted / name).stat().st_size > 0
    assert list((uninterrupted / "tensorboard").iterdir())
    metadata = load_weights(uninterrupted / WEIGHTS).metadata
    assert metadata.preset == "compact"
    assert set(metadata.metrics) == {"validation_qw", "validation_qe"}


def test_a_killed_run_ends_with_the_weights_of_one_that_was_never_killed(uninterrupted, tmp_path):
    config = write_config(tmp_path, checkpoint_every_s=0.0)
    checkpoint = tmp_path / "run" / CHECKPOINT
    first = start(config, "steps=100000")
    try:
        # It checkpoints after every step; a bounded wait on the file, then no mercy.
        while not checkpoint.is_file() and first.poll() is None:
            try:
                first.wait(timeout=0.02)
            except subprocess.TimeoutExpired:
                continue
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    reached = torch.load(checkpoint, weights_only=True)["step"]
    assert 0 < reached < 10, f"killed at step {reached}, meant to be within the run's ten"
    assert main([str(config)]) == 0
    expected, got = final_weights(uninterrupted), final_weights(tmp_path / "run")
    for name, tensor in expected.items():
        assert torch.equal(tensor, got[name]), name


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(tmp_path):
    config = write_config(tmp_path, checkpoint_every_s=0.0)
    run = start(config, "steps=100000")
    while not (tmp_path / "run" / CHECKPOINT).is_file() and run.poll() is None:
        try:
            run.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            continue
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 130, output
    assert torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)["step"] > 0


def test_two_processes_learn_what_one_learns(uninterrupted, tmp_path):
    config = write_config(tmp_path)
    script = Path(__file__).with_name("two_ranks.py")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*launcher, "--nproc-per-node=2", str(script), str(config), str(tmp_path)],
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [torch.load(tmp_path / f"rank{r}.pt", weights_only=True) for r in (0, 1)]
    single = torch.load(uninterrupted / CHECKPOINT, weights_only=True)["net"]
    for name, tensor in ranks[0].items():
        assert torch.equal(tensor, ranks[1][name]), f"{name} differs between the ranks"
    losses = [loss_on_a_fixed_batch(state) for state in (ranks[0], single)]
    assert losses[0] == pytest.approx(losses[1], abs=ROUNDING)
    assert loss_on_a_fixed_batch(None) > losses[1] + 10 * ROUNDING, "nothing was learnt"


def test_the_order_of_channels_in_memory_changes_nothing_that_is_learnt(uninterrupted, tmp_path):
    assert main([str(write_config(tmp_path)), "channels_last=true"]) == 0
    losses = [loss_on_a_fixed_batch(final_weights(f)) for f in (tmp_path / "run", uninterrupted)]
    assert losses[0] == pytest.approx(losses[1], abs=ROUNDING)


def loss_on_a_fixed_batch(state: dict[str, torch.Tensor] | None) -> float:
    torch.manual_seed(0)
    net = FusionNet(PRESETS["compact"])
    if state is not None:
        net.load_state_dict(state)
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    visible = (0.5 + 0.3 * torch.sin(x / 5) * torch.cos(y / 6))[None, None]
    thermal = (0.2 + 0.6 * torch.exp(-((x - 30) ** 2 + (y - 30) ** 2) / 80))[None, None]
    with torch.no_grad():
        return TrainingStep(net, LossWeights(mse=0.5), 4)(visible, thermal)[0].item()


def test_two_processes_share_out_the_batch_of_one(tmp_path):
    config = load_config(write_config(tmp_path))
    trainer = Trainer(config)
    pack, augmentation = trainer._packs[0], config.augmentation
    whole, halves = (
        [
            CropSampler(
                pack,
                {"folders": 1.0},
                config.crop,
                1,
                augmentation,
                seed=0,
                batch=4,
                rank=rank,
                world=world,
            ).batch(3)
            for rank in range(world)
        ]
        for world in (1, 2)
    )
    assert halves[0].names + halves[1].names == [whole[0].names[i] for i in (0, 2, 1, 3)]
    assert torch.equal(halves[1].visible, whole[0].visible[1::2])
    assert halves[1].draws == whole[0].draws[1::2]


def test_a_bad_batch_stops_the_run_and_is_named(tmp_path, capsys):
    config = load_config(write_config(tmp_path))
    trainer = Trainer(config)
    with torch.no_grad():
        next(trainer.net.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"step 0: .*batch: folders/0"):
        trainer.run()
    assert "folders/0" in (tmp_path / "run" / "bad_batch.txt").read_text()


def test_another_config_does_not_continue_a_run(uninterrupted, capsys):
    config = uninterrupted / "config.yaml"
    assert main([str(config), "learning_rate=0.5"]) == 2
    assert "learning_rate" in capsys.readouterr().err


def test_learning_rate_halves_at_the_papers_epochs(tmp_path):
    config = load_config(write_config(tmp_path, schedule="halve", warm_up_steps=0))
    rates = [learning_rate(config, epoch * 5, 5) for epoch in (0, 9, 10, 20, 30)]
    assert rates == pytest.approx([2e-3, 2e-3, 1e-3, 5e-4, 2.5e-4])


def test_a_folder_without_readable_pairs_ends_with_an_error_that_names_it(tmp_path, capsys):
    config = write_config(tmp_path)
    for path in (tmp_path / "pairs" / "vis").iterdir():
        path.write_bytes(b"broken")
    assert main([str(config)]) == 2
    assert "0000.png cannot be decoded" in capsys.readouterr().err
