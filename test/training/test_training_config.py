# SPDX-License-Identifier: Apache-2.0
"""Invalid configs are refused before images are read; the error has key and allowed values."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.config import ConfigError
from training.config_file import config_from_dict, load_config

GOOD = {"train": [{"kind": "folders", "root": "somewhere"}]}
CONFIGS = Path(__file__).resolve().parents[2] / "training" / "configs"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stpes": 3}, "unknown key 'stpes'; did you mean 'steps'"),
        ({"preset": "huge"}, "preset is 'huge'; allowed: "),
        ({"steps": "many"}, "config.steps is 'many'"),
        ({"steps": 0}, "steps is 0; allowed is >= 1"),
        ({"steps": True}, "config.steps is True"),
        ({"crop": [100, 100]}, "crop is .* multiples of 32"),
        ({"loss": {"qx": 1}}, "loss has unknown key 'qx'; known: qw"),
        ({"loss": {"qw": -1}}, "loss.qw is -1"),
        ({"loss": 3}, "loss is 3"),
        ({"network": {"widths": [0]}}, r"network: widths is \(0,\)"),
        ({"network": {"layout": "mine"}}, "network: layout is 'mine'"),
        ({"modules": ["absent.py"]}, "modules has 'absent.py'"),
        ({"modules": "absent.py"}, "modules is 'absent.py'; allowed is a list"),
        ({"initial_weights": 5}, "config.initial_weights is 5"),
        ({"seed": -1}, "seed is -1"),
        ({"clip_gradient": 0}, "clip_gradient is 0"),
        ({"crop": [64.0, 64]}, "crop is"),
        ({"patience": 3}, "patience is 3; .* needs data in `validation`"),
        ({"train": []}, "train is empty"),
        ({"train": [{"kind": "tmo", "root": "x"}]}, "data.kind is 'tmo'"),
        ({"train": [{"kind": "tno", "root": "x"}]}, "for evaluation only"),
        ({"train": [{"kind": "folders", "root": "x", "weight": 0}]}, "allowed is > 0"),
        ({"train": [{"root": "x"}]}, "kind"),
        ({"train": [{"kind": "folders", "root": 5}]}, "root is 5"),
        ({"train": [{"kind": "folders", "root": "x", "split": 5}]}, "split is 5"),
        ({"train": [{"kind": "folders", "root": "x", "homography": [[1, 0]]}]}, "homography"),
        (
            {
                "train": [
                    {"kind": "folders", "root": r, "weight": w} for r, w in (("x", 1), ("y", 2))
                ]
            },
            "the weights 1 and 2",
        ),
        ({"augmentation": {"flip": 2}}, "augmentation.flip is 2"),
        ({"augmentation": {"smallest_gain": 0}}, "allowed is > 0 and <= 1"),
        ({"batch": 3, "devices": 2}, "batch is 3"),
        ({"ema": 1.0}, "ema is 1.0"),
        ({"schedule": "linear"}, "schedule is 'linear'; allowed: cosine, halve"),
        ({"learning_rate": float("inf")}, "learning_rate is inf"),
        ({"clip_gradient": float("nan")}, "clip_gradient is nan"),
        ({"weight_decay": -1}, "weight_decay is -1"),
        ({"steps": 10**399}, "config.steps is 10"),
        ({"crop": [32]}, r"config.crop is \[32\]"),
        ({"halve_at_epochs": ["a"]}, "config.halve_at_epochs is"),
        ({"seed": 2**63}, "seed is 9"),
        ({"network": []}, "config.network is"),
        ({"loss": 0}, "loss is 0"),
        ({"loss": {"qw": 0, "qe": 0}}, "loss is .* > 0"),
        ({"augmentation": 0}, "augmentation is 0"),
        ({"augmentation": {"noise_deviation": -1}}, "augmentation.noise_deviation is -1"),
        ({"augmentation": {"shift_pixels": float("nan")}}, "augmentation.shift_pixels is nan"),
    ],
)
def test_an_invalid_value_is_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        config_from_dict({**GOOD, **changes})


def test_overrides_change_nested_values(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("train: [{kind: folders, root: x}]\nloss: {qw: 1.0}\n")
    config = load_config(path, ["steps=7", "loss.qe=2.5", "crop=[64, 64]"])
    assert (config.steps, config.loss["qe"], config.crop) == (7, 2.5, (64, 64))
    assert config.loss["qw"] == 1.0
    with pytest.raises(ConfigError, match="not of the form key=value"):
        load_config(path, ["steps"])


def test_a_config_with_a_base_holds_the_differences(tmp_path):
    base = "train: [{kind: folders, root: x}]\nsteps: 5\nloss: {qw: 1.0, mse: 0.5}\n"
    (tmp_path / "base.yaml").write_text(base)
    path = tmp_path / "stage.yaml"
    path.write_text("base: base.yaml\nsteps: 9\nloss: {qw: 3.0}\n")
    config = load_config(path, ["loss.qe=2"])
    assert (config.steps, config.loss) == (9, {"qw": 3.0, "qe": 2, "mse": 0.5})
    path.write_text("base: absent.yaml\n")
    with pytest.raises(ConfigError, match=r"absent.yaml cannot be read"):
        load_config(path)


def test_a_module_that_raises_is_named(tmp_path):
    path = tmp_path / "broken_module.py"
    path.write_text("1 / 0\n")
    with pytest.raises(ConfigError, match=r"broken_module.py cannot be imported: ZeroDivision"):
        config_from_dict({**GOOD, "modules": [str(path)]})


def test_modules_of_one_file_name_are_all_run_and_may_have_dataclasses(tmp_path):
    code = """
from __future__ import annotations
import dataclasses
from training.losses import loss_term

@dataclasses.dataclass
class Settings:
    limit: float = 0.5

@loss_term
def {name}(crops):
    return (crops.fused - Settings().limit).abs().mean()
"""
    paths = []
    for name in ("term_of_a", "term_of_b"):
        (tmp_path / name).mkdir()
        paths.append(tmp_path / name / "terms.py")
        paths[-1].write_text(code.replace("{name}", name))
    loss = {"term_of_a": 1.0, "term_of_b": 2.0}
    config = config_from_dict({**GOOD, "modules": [str(path) for path in paths], "loss": loss})
    assert config.loss.items() >= loss.items()


def test_a_base_that_leads_back_by_another_path_is_refused(tmp_path):
    (tmp_path / "sub").mkdir()
    path = tmp_path / "c.yaml"
    path.write_text("base: sub/../c.yaml\n")
    with pytest.raises(ConfigError, match="base of itself"):
        load_config(path)


def test_an_unreadable_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"absent.yaml cannot be read"):
        load_config(tmp_path / "absent.yaml")
    path = tmp_path / "list.yaml"
    path.write_text("- 1\n")
    with pytest.raises(ConfigError, match="is a list"):
        load_config(path)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.stem)
def test_the_configs_of_the_project_are_valid(path):
    assert load_config(path).preset == path.stem.split("_")[0]
