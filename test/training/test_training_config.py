# SPDX-License-Identifier: Apache-2.0
"""A wrong config is refused before any picture is read, with key, value and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.config import ConfigError, config_from_dict, load_config

GOOD = {"train": [{"kind": "folders", "root": "somewhere"}]}
CONFIGS = Path(__file__).resolve().parents[2] / "training" / "configs"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stpes": 3}, "unknown key 'stpes'"),
        ({"preset": "huge"}, "preset is 'huge'; allowed: "),
        ({"steps": "many"}, "config.steps is 'many'"),
        ({"steps": 0}, "steps is 0; allowed is >= 1"),
        ({"steps": True}, "config.steps is True"),
        ({"crop": [100, 100]}, "crop is .* multiples of 32"),
        ({"loss": {"qx": 1}}, "loss.qx is no loss term"),
        ({"loss": {"qw": -1}}, "loss.qw is -1"),
        ({"train": []}, "train is empty"),
        ({"train": [{"kind": "tmo", "root": "x"}]}, "data.kind is 'tmo'"),
        ({"train": [{"kind": "tno", "root": "x"}]}, "for evaluation only"),
        ({"train": [{"kind": "folders", "root": "x", "weight": 0}]}, "allowed is > 0"),
        ({"train": [{"root": "x"}]}, "kind"),
        ({"augmentation": {"flip": 2}}, "augmentation.flip is 2"),
        ({"batch": 3, "devices": 2}, "batch is 3"),
        ({"ema": 1.0}, "ema is 1.0"),
        ({"schedule": "linear"}, "schedule is 'linear'; allowed: cosine, halve"),
    ],
)
def test_a_wrong_value_is_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        config_from_dict({**GOOD, **changes})


def test_overrides_reach_inside(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("train: [{kind: folders, root: x}]\nloss: {qw: 1.0}\n")
    config = load_config(path, ["steps=7", "loss.qe=2.5", "crop=[64, 64]"])
    assert (config.steps, config.loss.qe, config.crop) == (7, 2.5, (64, 64))
    assert config.loss.qw == 1.0
    with pytest.raises(ConfigError, match="not of the form key=value"):
        load_config(path, ["steps"])


def test_a_stage_names_its_base_and_holds_what_differs(tmp_path):
    base = "train: [{kind: folders, root: x}]\nsteps: 5\nloss: {qw: 1.0, mse: 0.5}\n"
    (tmp_path / "base.yaml").write_text(base)
    path = tmp_path / "stage.yaml"
    path.write_text("base: base.yaml\nsteps: 9\nloss: {qw: 3.0}\n")
    config = load_config(path, ["loss.qe=2"])
    assert (config.steps, config.loss.qw, config.loss.qe, config.loss.mse) == (9, 3.0, 2, 0.5)
    path.write_text("base: absent.yaml\n")
    with pytest.raises(ConfigError, match=r"absent.yaml cannot be read"):
        load_config(path)


def test_an_unreadable_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"absent.yaml cannot be read"):
        load_config(tmp_path / "absent.yaml")
    path = tmp_path / "list.yaml"
    path.write_text("- 1\n")
    with pytest.raises(ConfigError, match="is a list"):
        load_config(path)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.stem)
def test_the_configs_that_come_with_the_project_are_sound(path):
    assert load_config(path).preset == path.stem.split("_")[0]
