# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros train`: learning, exact resumption, stopping, several processes, own modules."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from tiny_run import write_config

pytest.importorskip("lightning_fabric")
pytest.importorskip("tensorboard")

from fusion_ros.cli.main import main as command
from fusion_ros.model import network
from fusion_ros.model.config import PRESETS
from fusion_ros.model.config import ConfigError as NetworkConfigError
from fusion_ros.model.network import FusionNet, register_layout
from fusion_ros.model.rewrites import fold_image_scale
from fusion_ros.model.weights import WeightsError, load_weights, save_weights
from training.config_file import load_config
from training.data.sampling import CropSampler
from training.run.run_folder import BEST, CHECKPOINT, METRICS, WEIGHTS
from training.run.step import TrainingStep
from training.train import Trainer, TrainingError, learning_rate

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
# Sums in another order, widened by ten steps of Adam, move the loss by this much at most; learning
# moves it by ten times as much at least.
ROUNDING = 8e-3


def main(arguments: list[str]) -> int:
    return command(["train", *arguments])


def final_weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_weights(folder / WEIGHTS).net.state_dict()


def start(config: Path, *overrides: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "fusion_ros.cli.main", "train", str(config), *overrides],
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    """Folder of an uninterrupted run of ten steps."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    config = write_config(folder, validation=[{"kind": "folders", "root": str(folder / "pairs")}])
    assert main([str(config)]) == 0
    return folder / "run"


def test_a_run_leaves_config_environment_curves_and_loadable_weights(uninterrupted):
    for name in ("config.yaml", "environment.json", METRICS, CHECKPOINT, WEIGHTS, BEST):
        assert (uninterrupted / name).stat().st_size > 0
    assert list((uninterrupted / "tensorboard").iterdir())
    metadata = load_weights(uninterrupted / WEIGHTS).metadata
    assert metadata.preset == "compact"
    assert set(metadata.metrics) == {"validation_qw", "validation_qe"}


def test_a_killed_run_resumes_to_the_weights_of_an_uninterrupted_one(uninterrupted, tmp_path):
    config = write_config(tmp_path, checkpoint_every_s=0.0)
    checkpoint = tmp_path / "run" / CHECKPOINT
    first = start(config, "steps=100000")
    try:
        # It checkpoints after every step.
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


def test_ctrl_c_leaves_a_checkpoint_and_returns_130(tmp_path):
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


def test_two_processes_reach_the_loss_of_one(uninterrupted, tmp_path):
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
    assert loss_on_a_fixed_batch(None) > losses[1] + 10 * ROUNDING, "the loss did not fall"


def test_channels_last_reaches_the_loss_of_the_default_layout(uninterrupted, tmp_path):
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
        return TrainingStep(net, {"qw": 1.0, "qe": 1.0, "mse": 0.5}, 4)(visible, thermal)[0].item()


def test_two_processes_split_the_batch_of_one(tmp_path):
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


def test_a_complete_run_is_left_as_it_is(uninterrupted):
    before = (uninterrupted / WEIGHTS).read_bytes()
    assert main([str(uninterrupted / "config.yaml")]) == 0
    assert (uninterrupted / WEIGHTS).read_bytes() == before


def test_another_config_does_not_continue_a_run(uninterrupted, capsys):
    config = uninterrupted / "config.yaml"
    assert main([str(config), "learning_rate=0.5"]) == 2
    assert "learning_rate" in capsys.readouterr().err


def test_a_run_starts_from_the_weights_of_its_config(tmp_path, capsys):
    start = tmp_path / "start.safetensors"
    net = FusionNet(PRESETS["compact"])
    save_weights(start, net, training_data="none", metrics={}, version="0")
    trainer = Trainer(load_config(write_config(tmp_path), [f"initial_weights={start}"]))
    assert torch.equal(trainer.net.blend.stem.weight, net.blend.stem.weight)
    narrow = FusionNet(replace(PRESETS["compact"], widths=(4, 6, 8)))
    save_weights(start, narrow, training_data="none", metrics={}, version="0")
    config = str(write_config(tmp_path, run_folder=str(tmp_path / "other")))
    for path, named in ((start, "blend.stem.weight"), ("absent.safetensors", "does not exist")):
        assert command(["train", config, f"initial_weights={path}"]) == 2
        assert named in capsys.readouterr().err


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


def test_the_progress_line_and_the_curves_start_at_the_first_step(tmp_path, capsys):
    assert main([str(write_config(tmp_path))]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert any("1/10" in line and "loss=" in line for line in lines)
    (events,) = (tmp_path / "run" / "tensorboard").iterdir()
    assert b"train/loss" in events.read_bytes()


def test_loggers_are_chosen_by_name(tmp_path):
    validation = [{"kind": "folders", "root": str(tmp_path / "pairs")}]
    config = write_config(tmp_path, loggers=["csv"], validation=validation, steps=2)
    assert main([str(config)]) == 0
    assert not (tmp_path / "run" / "tensorboard").exists()
    with (tmp_path / "run" / "csv" / "version_0" / "metrics.csv").open() as file:
        first, last = csv.DictReader(file)
    assert (first["step"], last["step"]) == ("1", "2")
    assert float(first["train/loss"]) > 0
    metrics = json.loads((tmp_path / "run" / METRICS).read_text())
    assert float(last["validation/qw"]) == pytest.approx(metrics["validation_qw"])


def test_wandb_receives_curves_and_images(tmp_path, monkeypatch):
    """A module of that name records the calls: the package is no part of the environment."""
    received = []

    class Run:
        id = "a"

        def log(self, values, step):
            received.append((step, set(values)))

        def finish(self):
            received.append("finished")

    module = types.ModuleType("wandb")
    module.init = lambda **named: received.append(named["name"]) or Run()
    module.Image = lambda image: image
    monkeypatch.setitem(sys.modules, "wandb", module)
    validation = [{"kind": "folders", "root": str(tmp_path / "pairs")}]
    assert (
        main([str(write_config(tmp_path, loggers=["wandb"], validation=validation, steps=2))]) == 0
    )
    name, (first, curves), (second, scores), (third, images), end = received
    assert (name, first, second, third, end) == ("run", 1, 2, 2, "finished")
    assert "train/loss" in curves
    assert scores == {"validation/qw", "validation/qe"}
    assert images == {"visible thermal fused"}


def test_a_missing_package_of_a_logger_is_refused_before_the_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert main([str(write_config(tmp_path, loggers=["wandb"]))]) == 2
    assert "pip install wandb" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_without_improvement_stops_early_and_keeps_the_best(tmp_path, capsys):
    validation = [{"kind": "folders", "root": str(tmp_path / "pairs")}]
    # A step this large spoils the network at once.
    changes = {"learning_rate": 0.5, "warm_up_steps": 0, "ema": 0.0, "validate_every": 1}
    config = write_config(tmp_path, validation=validation, patience=2, steps=1000, **changes)
    assert main([str(config)]) == 0
    assert "stopped early" in capsys.readouterr().err
    metrics = (tmp_path / "run" / METRICS).read_text().splitlines()
    scores = [row["validation_qw"] + row["validation_qe"] for row in map(json.loads, metrics)]
    assert len(scores) < 1000
    assert max(scores) == max(scores[:-2]) > max(scores[-2:])
    assert main([str(config)]) == 0  # a repeated command does not train on
    assert (tmp_path / "run" / METRICS).read_text().splitlines() == metrics
    best = load_weights(tmp_path / "run" / BEST).metadata
    assert best.version == f"step-{scores.index(max(scores)) + 1}"


def test_prepare_reports_pairs_and_skipped_files(tmp_path, capsys):
    config = write_config(tmp_path)
    (tmp_path / "pairs" / "vis" / "0001.png").write_bytes(b"broken")
    (tmp_path / "pairs" / "ir" / "0002.png").unlink()
    assert main([str(config), "--prepare"]) == 0
    output = capsys.readouterr().out
    assert "train: folders: 2 pairs, 0 with a second frame; sizes 80x72 (2)" in output
    assert "2 files skipped" in output
    assert not (tmp_path / "run").exists()
    (problems,) = (tmp_path / "packs").glob("*/problems.json")
    problems.unlink()  # as of a process that was killed after the pack was written
    assert main([str(config), "--prepare"]) == 0
    assert "2 files skipped" in capsys.readouterr().out


@pytest.mark.parametrize("damaged", ["checkpoint.pt", "config.yaml"])
def test_damaged_files_of_a_run_are_named(tmp_path, capsys, damaged):
    config, run = write_config(tmp_path), tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text(yaml.safe_dump(load_config(config).as_dict()))
    (run / "checkpoint.pt").write_bytes(b"")
    (run / damaged).write_bytes(b"[")
    assert main([str(config)]) == 2
    assert damaged in capsys.readouterr().err


MODULE = """
from torch import nn
from fusion_ros.model.network import register_layout
from training.losses import loss_term

@register_layout("test_mean")
class Mean(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.weigh = nn.Conv2d(2, 1, 1)

    def forward(self, visible, thermal):
        import torch
        return self.weigh(torch.cat((visible, thermal), 1)).tanh()

@loss_term
def test_dark(crops):
    return crops.fused.mean()
"""


def test_a_module_adds_a_layout_and_a_loss_term(tmp_path, capsys):
    module = tmp_path / "test_mean_module.py"
    module.write_text(MODULE)
    network = {"layout": "test_mean", "widths": [8, 8]}
    loss = {"qw": 0.0, "qe": 0.0, "test_dark": 1.0}
    changes = {"modules": [str(module)], "network": network, "loss": loss, "steps": 40}
    config = write_config(tmp_path, **changes, learning_rate=0.1, ema=0.0)
    assert main([str(config)]) == 0
    trained = load_weights(tmp_path / "run" / WEIGHTS)
    assert (trained.metadata.preset, trained.net.config.layout) == ("custom", "test_mean")
    # The only term rewards darkness.
    assert trained.net(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)).mean() < -0.5
    scaled = fold_image_scale(trained.net)
    grey = torch.rand(1, 1, 8, 8) * 255
    expected = trained.net(grey / 127.5 - 1, grey / 127.5 - 1)
    torch.testing.assert_close(scaled((grey - 127.5) / 128, (grey - 127.5) / 128), expected)


def test_weights_of_an_unregistered_layout_load_without_their_network(tmp_path):
    register_layout("test_absent")(lambda config: torch.nn.Conv2d(1, 1, 1))
    config = replace(PRESETS["compact"], layout="test_absent")
    path = tmp_path / "absent.safetensors"
    save_weights(path, FusionNet(config), training_data="", metrics={}, version="")
    del network._REGISTERED["test_absent"]
    loaded = load_weights(path)  # an ONNX file beside it can be run
    with pytest.raises(WeightsError, match="'test_absent'; allowed: encoder_decoder, blend"):
        _ = loaded.net


def test_a_layout_of_the_package_cannot_be_replaced():
    with pytest.raises(NetworkConfigError, match="'blend'"):
        register_layout("blend")(lambda config: torch.nn.Identity())
