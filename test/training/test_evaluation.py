# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros evaluate` and `export` on synthetic pairs; ranks and baselines by hand."""

from __future__ import annotations

import csv
import math

import cv2
import numpy as np
import pytest
import torch
from tiny_run import write_pairs

from fusion_ros.cli.main import main
from fusion_ros.metrics.baselines import BASELINES, laplacian_pyramid
from fusion_ros.model.config import PRESETS
from fusion_ros.model.network import FusionNet
from fusion_ros.model.onnx_file import read_onnx
from fusion_ros.model.weights import load_weights, save_weights
from training import evaluate, export, steadiness
from training.data.pairs import DataSetError, PairFiles, find_pairs
from training.ranks import mean_ranks, ranks, write_tables


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "untrained.safetensors"
    save_weights(path, FusionNet(PRESETS["compact"]), training_data="none", metrics={}, version="0")
    return path


def test_ranks_go_by_each_measures_better_direction():
    scores = {
        "a": {"qw": 0.8, "Nabf": 0.1},
        "b": {"qw": 0.8, "Nabf": 0.3},
        "c": {"qw": 0.1, "Nabf": 0.2},
    }
    assert ranks(scores, "qw") == {"a": 1.5, "b": 1.5, "c": 3}
    assert ranks(scores, "Nabf") == {"a": 1, "b": 3, "c": 2}
    assert mean_ranks(scores) == {"a": 1.25, "b": 2.25, "c": 2.5}


def test_a_score_that_is_not_a_number_ranks_last():
    scores = {"a": {"VIF": float("nan")}, "b": {"VIF": 0.1}}
    assert ranks(scores, "VIF") == {"a": 2, "b": 1}


def test_the_table_is_sorted_by_rank_and_marks_the_best(tmp_path):
    scores = {"worse": {"qw": 0.1, "EN": 7.0}, "better": {"qw": 0.9, "EN": 7.5}}
    text = write_tables(scores, mean_ranks(scores), tmp_path, "two pictures")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert lines[1].startswith("| better | **0.9000** | **7.50** | 1.00 |")
    rows = list(csv.reader((tmp_path / "table.csv").open()))
    assert rows[1] == ["better", "0.900000", "7.500000", "1.0000"]


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_a_baseline_returns_an_image_that_both_sources_share(name):
    y, x = np.mgrid[0:70, 0:90]
    shared = 0.5 + 0.4 * np.sin(x / 6.0) * np.cos(y / 8.0)
    fused = BASELINES[name](shared, shared)
    assert fused.shape == shared.shape
    np.testing.assert_allclose(fused, shared, atol=2e-5)


def test_the_pyramid_takes_the_stronger_detail_of_either_source():
    y, x = np.mgrid[0:64, 0:128]
    texture = 0.5 + 0.3 * ((x + y) % 2 - 0.5)
    left, right = texture.copy(), texture.copy()
    left[:, 64:] = 0.5
    right[:, :64] = 0.5
    fused = laplacian_pyramid(left, right)
    inner = np.s_[8:-8, 8:-8]
    assert np.abs(fused - texture)[inner].mean() < 0.02


def test_evaluate_writes_tables_fused_images_and_a_contact_sheet(tmp_path, weights):
    root = write_pairs(tmp_path / "pairs", count=2)
    peer = tmp_path / "peers" / "copycat"
    peer.mkdir(parents=True)
    for path in (root / "vis").iterdir():
        cv2.imwrite(str(peer / path.name), cv2.imread(str(path), 0))
    out = tmp_path / "out"
    command = ["--weights", str(weights), "--data", f"folders={root}", "--out", str(out)]
    command += ["--peers", str(peer.parent), "--measures", "qw", "qe", "EN", "Nabf"]
    assert main(["evaluate", *command]) == 0
    rows = {row["method"]: row for row in csv.DictReader((out / "table.csv").open())}
    assert set(rows) == {"untrained", "copycat", *BASELINES}
    # The same pixels by two ways: read from a peer's folder, and as a baseline.
    assert rows["copycat"] == {**rows["visible"], "method": "copycat"}
    assert cv2.imread(str(out / "untrained" / "0001.png"), cv2.IMREAD_UNCHANGED).shape == (72, 80)
    assert cv2.imread(str(out / "contact_sheet.png")).shape[0] == 2 * 244
    assert len(list(csv.DictReader((out / "per_image.csv").open()))) == 2 * len(rows)


def test_rivals_that_lack_images_are_refused_before_the_work(tmp_path, capsys):
    root, peer = write_pairs(tmp_path / "pairs", count=2), tmp_path / "peers" / "rival"
    peer.mkdir(parents=True)
    cv2.imwrite(str(peer / "0000.png"), np.zeros((72, 80), np.uint8))
    (peer / "0001.txt").write_text("not an image")
    command = ["evaluate", "--data", f"folders={root}", "--out", str(tmp_path / "out"), "--peers"]
    for folder, named in ((peer.parent, "0001"), (peer, "a folder of images for each method")):
        assert main([*command, str(folder)]) == 2
        assert named in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_interrupted_evaluation_computes_only_what_is_missing(tmp_path, weights, monkeypatch):
    root, out = write_pairs(tmp_path / "pairs", count=3), tmp_path / "out"
    command = ["evaluate", "--weights", str(weights), "--data", f"folders={root}"]
    command += ["--out", str(out), "--no-baselines", "--measures", "qw", "EN"]
    assert main(command) == 0
    rows = (out / "per_image.csv").read_text()
    cut = rows[: rows.rindex("\n", 0, -1) - 5]  # without the last row and a half
    (out / "per_image.csv").write_text(cut)
    computed = []
    monkeypatch.setattr("training.evaluate.scores_of", counted(evaluate.scores_of, computed))
    assert main(command) == 0
    assert (out / "per_image.csv").read_text() == rows
    assert len(computed) == 2


def counted(function, calls):
    def run(*arguments):
        calls.append(arguments)
        return function(*arguments)

    return run


def test_results_of_other_weights_are_not_continued(tmp_path, weights, capsys):
    root, out = write_pairs(tmp_path / "pairs", count=1), tmp_path / "out"
    command = ["evaluate", "--weights", str(weights), "--data", f"folders={root}"]
    command += ["--out", str(out), "--no-baselines", "--measures"]
    assert main([*command, "qw"]) == 0
    capsys.readouterr()
    assert main([*command, "EN"]) == 2  # other columns
    assert "--out" in capsys.readouterr().err
    save_weights(weights, FusionNet(PRESETS["compact"]), training_data="", metrics={}, version="")
    assert main([*command, "qw"]) == 2
    assert "results of other weights called untrained" in capsys.readouterr().err
    assert main([*command, "sharpness"]) == 2


def test_results_of_other_pairs_of_the_same_names_are_not_continued(tmp_path, weights, capsys):
    command = ["evaluate", "--weights", str(weights), "--out", str(tmp_path / "out")]
    command += ["--no-baselines", "--measures", "qw", "--data"]
    for folder, code in (("one", 0), ("one", 0), ("other", 2)):
        root = tmp_path / folder
        if not root.is_dir():
            write_pairs(root, count=1)
        assert main([*command, f"folders={root}"]) == code
    assert "0000" in capsys.readouterr().err


def test_several_data_sets_get_a_folder_each_and_files_of_one_name_stay_apart(tmp_path, weights):
    twin = tmp_path / "other" / weights.name
    twin.parent.mkdir()
    twin.write_bytes(weights.read_bytes())
    mine = write_pairs(tmp_path / "pairs", count=1)
    out = tmp_path / "out"
    command = ["--weights", str(weights), str(twin), "--no-baselines", "--measures", "qw"]
    command += ["--data", f"folders={mine}", f"tno={mine}", "--out", str(out)]
    assert main(["evaluate", *command]) == 0
    for kind in ("folders", "tno"):
        rows = list(csv.DictReader((out / kind / "table.csv").open()))
        assert {row["method"] for row in rows} == {
            f"{tmp_path.name}-untrained",
            "other-untrained",
        }


@pytest.mark.parametrize(
    ("data", "message"),
    [("folders", "allowed is KIND=FOLDER"), ("folders=/nowhere/at/all", "/nowhere/at/all")],
)
def test_evaluate_names_the_unusable_argument(tmp_path, capsys, data, message):
    assert main(["evaluate", "--data", data, "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err


def test_export_writes_equal_safetensors_and_onnx(tmp_path, weights):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    command = ["--weights", str(weights), "--out", str(tmp_path / "out"), "--version", "1"]
    assert main(["export", *command]) == 0
    before, after = load_weights(weights), load_weights(tmp_path / "out" / "compact.safetensors")
    assert after.metadata.version == "1"
    for name, tensor in before.net.state_dict().items():
        assert torch.equal(tensor, after.net.state_dict()[name])
    assert export.onnx_parity(after, read_onnx(after), 64, 223).max_error <= 1


def test_half_precision_halves_the_files(tmp_path, weights):
    pytest.importorskip("onnx")
    command = ["--weights", str(weights), "--out", str(tmp_path / "out"), "--half"]
    assert main(["export", *command]) == 0
    for name in ("compact.safetensors", "compact.onnx"):
        assert (tmp_path / "out" / name).stat().st_size < 0.6 * weights.stat().st_size


def test_steadiness_gives_a_row_a_method_and_a_column_a_clip(tmp_path, weights):
    root = tmp_path / "clips"
    for clip in ("one", "two"):
        write_pairs(root / clip, count=3)
    out = tmp_path / "flicker.md"
    command = ["--weights", str(weights), "--data", f"m3svd={root}", "--out", str(out)]
    assert steadiness.main(command) == 0
    lines = out.read_text().splitlines()
    assert lines[2] == "| method | one | two |"
    assert len(lines) == 4 + 1 + len(BASELINES)
    average = next(line for line in lines if line.startswith("| average"))
    for cell in average.split("|")[2:4]:
        _, _, excess, static = map(float, cell.split("/"))
        assert excess == 0
        assert math.isnan(static)  # every pixel of these clips moves


@pytest.mark.parametrize(
    ("sizes", "frame"),
    [(((72, 80),), None), (((72, 80), (64, 80)), None), (((72, 80), (72, 80)), 15)],
    ids=["one frame", "two sizes", "frames of a video"],
)
def test_images_that_are_no_clip_are_refused(tmp_path, sizes, frame):
    pairs = []
    for number, (height, width) in enumerate(sizes):
        root = write_pairs(tmp_path / str(number), 1, height, width)
        files = root / "vis" / "0000.png", root / "ir" / "0000.png"
        pairs.append(PairFiles(f"clip/{number}", *files, frame=frame))
    with pytest.raises(DataSetError):
        steadiness.flicker_table({}, steadiness.clips(pairs))


QUICK = ["--no-baselines", "--measures", "SD"]


def evaluated(out, *arguments):
    """Run `evaluate`; return its exit code and the images of the rows."""
    code = main(["evaluate", *map(str, arguments), *QUICK, "--out", str(out)])
    rows = (out / "per_image.csv").open(newline="", encoding="utf-8", errors="surrogateescape")
    return code, [row["image"] for row in csv.DictReader(rows)]


def test_a_damaged_pair_is_left_out_until_it_is_repaired(tmp_path, weights, capsys):
    root = write_pairs(tmp_path / "pairs", count=3)
    damaged = root / "vis" / "0001.png"
    whole = damaged.read_bytes()
    damaged.write_bytes(b"")
    arguments = ["--weights", weights, "--data", f"folders={root}"]
    assert evaluated(tmp_path / "out", *arguments) == (2, ["0000", "0002"])
    assert "0001.png" in capsys.readouterr().err
    assert (tmp_path / "out" / "contact_sheet.png").is_file()
    damaged.write_bytes(whole)
    assert evaluated(tmp_path / "out", *arguments) == (0, ["0000", "0002", "0001"])


@pytest.mark.parametrize("name", ["line\u2028end", "new\nline", "\udcff"])
def test_any_file_name_is_continued(tmp_path, weights, name):
    root = write_pairs(tmp_path / "pairs", count=1)
    for camera in ("vis", "ir"):
        (root / camera / "0000.png").rename(root / camera / f"{name}.png")
    arguments = ["--weights", weights, "--data", f"folders={root}"]
    for _ in range(2):
        assert evaluated(tmp_path / "out", *arguments) == (0, [name])


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("per_image.csv", b"\xff\n"),
        ("per_image.csv", b"method,image,SD\nuntrained,0000\n"),
        ("per_image.csv", b'method,image,SD\nuntrained,0000,"1\n'),
        ("weights.json", b"{"),
        ("pairs.json", b"[]"),
    ],
)
def test_damaged_results_are_named(tmp_path, weights, capsys, file, content):
    root, out = write_pairs(tmp_path / "pairs", count=1), tmp_path / "out"
    out.mkdir()
    (out / file).write_bytes(content)
    command = ["evaluate", "--weights", str(weights), "--data", f"folders={root}"]
    assert main([*command, *QUICK, "--out", str(out)]) == 2
    assert file in capsys.readouterr().err
    assert (out / file).read_bytes() == content


def test_two_methods_or_pairs_of_one_result_are_refused(tmp_path, weights):
    root = write_pairs(tmp_path / "pairs", count=1)
    average = weights.rename(tmp_path / "average.safetensors")
    out = ["--out", str(tmp_path / "out")]
    command = ["evaluate", "--weights", str(average), "--data", f"folders={root}", *out]
    assert main([*command, "--measures", "SD"]) == 2  # a baseline has this name
    for camera in ("vis", "ir"):
        (root / camera / "0000.png").rename(root / camera / "a_b.png")
        (root / camera / "a").mkdir()
        (root / camera / "a" / "b.png").write_bytes((root / camera / "a_b.png").read_bytes())
    assert main([*command, *QUICK]) == 2


def test_export_refuses_names_with_folders_and_rounding_in_place(tmp_path, weights):
    before = weights.read_bytes()
    command = ["export", "--weights", str(weights), "--out", str(tmp_path / "ship"), "--name"]
    for name in ("../up", "a/b"):
        assert main([*command, name]) == 2
    assert not (tmp_path / "ship").exists()
    here = ["export", "--weights", str(weights), "--out", str(tmp_path)]
    assert main([*here, "--name", "untrained", "--half"]) == 2
    assert weights.read_bytes() == before


def test_frames_of_a_clip_are_in_the_order_of_their_numbers(tmp_path):
    root = write_pairs(tmp_path / "pairs", count=3)
    for camera in ("vis", "ir"):
        for old, new in zip(("0000", "0001", "0002"), ("f_2", "f_10", "f_9"), strict=True):
            (root / camera / f"{old}.png").rename(root / camera / f"{new}.png")
    (frames,) = steadiness.clips(find_pairs("folders", root)).values()
    assert [pair.name for pair in frames] == ["f_2", "f_9", "f_10"]


def test_a_clip_of_two_sizes_is_left_out_and_ends_with_2(tmp_path, capsys):
    root, out = tmp_path / "clips", tmp_path / "flicker.md"
    for clip in ("good", "odd"):
        write_pairs(root / clip, count=2)
    write_pairs(root / "odd", count=1, width=96)
    assert steadiness.main(["--data", f"m3svd={root}", "--out", str(out)]) == 2
    assert "0001.png" in capsys.readouterr().err
    assert out.read_text().splitlines()[2] == "| method | good |"
