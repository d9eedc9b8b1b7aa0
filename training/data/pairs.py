# SPDX-License-Identifier: Apache-2.0
"""Data sets of aligned visible / thermal pairs, and the layout of their files.

A data set maps a root folder to pairs of paths without reading pixels. Missing or invalid files are
listed in ``problems`` and skipped, so that one broken file does not stop a run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from fusion_ros.files.limits import MAX_TEXT_BYTES
from fusion_ros.files.reading import (
    MalformedFileError,
    UnreadableFileError,
    parse_text,
    read_bytes,
)
from fusion_ros.recordings.file_pairs import find_pairs as find_file_pairs
from fusion_ros.recordings.image_files import IMAGES, VIDEOS
from fusion_ros.recordings.matching import MatchError, Matching
from fusion_ros.streams.ledger import Stream


@dataclass(frozen=True)
class PairFiles:
    """One aligned pair: two image files, or frame ``frame`` of two videos.

    Attributes:
        name: path of the visible file below its folder, without suffix; unique in the data set.
        visible: image or video file.
        thermal: file of the same type.
        frame: frame number in a video, None for images.
        resize_visible: whether the visible image is area-resized to the thermal one.
    """

    name: str
    visible: Path
    thermal: Path
    frame: int | None = None
    resize_visible: bool = False


@dataclass
class Pairs:
    """Pairs of a root folder in natural order of their names, and a line for each skipped file."""

    source: str
    pairs: list[PairFiles] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[PairFiles]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)


class DataSetError(ValueError):
    """An unusable data set; the message names folder or file and the requirement."""


@dataclass(frozen=True)
class DataSet:
    """Layout and terms of one data set.

    Attributes:
        name: key in configs.
        find: function from root to pairs.
        terms: publisher's terms in a few words.
        evaluation_only: whether training on it would invalidate the published figures.
    """

    name: str
    find: Callable[[Path], Pairs]
    terms: str
    evaluation_only: bool = False


def match_folders(
    source: str,
    visible: Path,
    thermal: Path,
    *,
    prefix: str = "",
    resize_visible: bool = False,
) -> Pairs:
    """Pair the files of two folders by their names, as all commands do.

    A pair is named ``prefix`` and the path of its visible file in that folder, without suffix.
    """
    result = Pairs(source)
    for folder in (visible, thermal):
        if not folder.is_dir():
            raise DataSetError(f"{source}: {folder} is not a folder; allowed: a folder of images")
    try:
        match = find_file_pairs(visible, thermal, Matching(suffixes=IMAGES))
    except MatchError as error:
        result.problems.append(f"{visible} and {thermal}: {error}")
        return result
    result.pairs = [
        PairFiles(
            prefix + pair.visible.relative_to(visible).with_suffix("").as_posix(),
            pair.visible,
            pair.thermal,
            resize_visible=resize_visible,
        )
        for pair in match.pairs
    ]
    result.problems += [
        f"{each.path}: no thermal partner, {each.why}" for each in match.visible_left
    ]
    result.problems += [
        f"{each.path}: no visible partner, {each.why}" for each in match.thermal_left
    ]
    result.problems += [f"{visible}: {doubt}" for doubt in match.doubts()]
    return result


def _first_folder(root: Path, *names: str) -> Path:
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise DataSetError(f"{root} has none of the folders {', '.join(names)}")


def _folders(
    source: str, visible: tuple[str, ...], thermal: tuple[str, ...]
) -> Callable[[Path], Pairs]:
    def find(root: Path) -> Pairs:
        return match_folders(source, _first_folder(root, *visible), _first_folder(root, *thermal))

    return find


def _find_roadscene(root: Path) -> Pairs:
    # The full-size visible images have fewer JPEG artefacts than the small copies.
    if (root / "vis_hr").is_dir():
        return match_folders("roadscene", root / "vis_hr", root / "ir", resize_visible=True)
    return match_folders(
        "roadscene",
        _first_folder(root, "vis", "crop_LR_visible", "visible"),
        _first_folder(root, "ir", "cropinfrared", "infrared"),
    )


def _find_flir(root: Path) -> Pairs:
    """Find FLIR ADAS 1.3: ``{train,val,video}/{RGB,thermal_8_bit}/FLIR_0001.*``.

    The two cameras differ in view and size: training needs the key ``homography`` of the set.
    """
    result = Pairs("flir")
    for part in ("train", "val", "video"):
        folder = root / part
        if not folder.is_dir():
            continue
        found = match_folders("flir", folder / "RGB", folder / "thermal_8_bit", prefix=f"{part}/")
        result.pairs += found.pairs
        result.problems += found.problems
    if not result.pairs and not result.problems:
        raise DataSetError(f"{root} holds no train, val or video folder of FLIR ADAS 1.3")
    return result


def _find_kaist(root: Path) -> Pairs:
    """Find KAIST: ``set00/V000/{visible,lwir}/I00000.jpg``."""
    result = Pairs("kaist")
    for visible in sorted(root.glob("set*/V*/visible")):
        sequence = visible.parent.relative_to(root).as_posix()
        found = match_folders("kaist", visible, visible.parent / "lwir", prefix=f"{sequence}/")
        result.pairs += found.pairs
        result.problems += found.problems
    if not result.pairs:
        raise DataSetError(f"{root} holds no set*/V*/visible folder of KAIST")
    return result


def _find_llvip(root: Path) -> Pairs:
    """Find LLVIP: ``visible/train/1.jpg`` and ``infrared/train/1.jpg``, or ``vis`` / ``ir``."""
    visible, thermal = _first_folder(root, "visible", "vis"), _first_folder(root, "infrared", "ir")
    if not (visible / "train").is_dir():
        return match_folders("llvip", visible, thermal)
    # The publisher's `test` part is reserved for evaluation.
    return match_folders("llvip", visible / "train", thermal / "train", prefix="train/")


def _find_msrs(root: Path) -> Pairs:
    """Find MSRS: ``train/{vi,ir}/00001D.png``, or ``vis`` / ``ir``."""
    base = root / "train" if (root / "train").is_dir() else root
    return match_folders("msrs", _first_folder(base, "vi", "vis"), _first_folder(base, "ir"))


def _find_m3svd(root: Path) -> Pairs:
    """Find M3SVD frames: ``<clip>/{vis,ir}/0000.png``, or ``{vis,ir}/<clip>/0000.png``."""
    result = Pairs("m3svd")
    clips = sorted(p.parent for p in root.glob("*/vis") if p.is_dir())
    folders = [(c.name, c / "vis", c / "ir") for c in clips]
    if not folders and (root / "vis").is_dir():
        folders = [(p.name, p, root / "ir" / p.name) for p in sorted((root / "vis").iterdir())]
    for clip, visible, thermal in folders:
        found = match_folders("m3svd", visible, thermal, prefix=f"{clip}/")
        result.pairs += found.pairs
        result.problems += found.problems
    if not result.pairs:
        raise DataSetError(f"{root} holds no <clip>/vis or vis/<clip> folders of M3SVD")
    return result


def _find_videos(root: Path) -> Pairs:
    """Find video pairs ``<clip>_vis.mp4`` and ``<clip>_ir.mp4`` of equal frame rate.

    Every 15th frame is listed, since adjacent frames are nearly equal.
    """
    from fusion_ros.recordings.video_files import (
        VideoError,
        VideoFile,
        has_frame_index,
        match_videos,
    )

    result = Pairs("m3svd_video")
    for visible in sorted(p for p in root.glob("*_vis.*") if p.suffix.lower() in VIDEOS):
        thermal = visible.with_name(visible.name.replace("_vis.", "_ir."))
        if not thermal.is_file():
            result.problems.append(f"{visible}: no thermal video {thermal.name}")
            continue
        if unknown := [path for path in (visible, thermal) if not has_frame_index(path)]:
            result.problems.append(
                f"{unknown[0]}: its container has no list of frames; allowed are MP4 and MOV"
            )
            continue
        videos: list[VideoFile] = []
        try:
            for path, stream in ((visible, Stream.VISIBLE), (thermal, Stream.THERMAL)):
                videos.append(VideoFile(path, stream))
            match = match_videos(videos[0], videos[1])
        except VideoError as error:
            result.problems.append(str(error))
            continue
        finally:
            for video in videos:
                video.close()
        if not match.is_equal_rate:  # frame n has a different time in each
            result.problems.append(
                f"{visible}: {match.visible_hz:g} frames per second, thermal {match.thermal_hz:g}; "
                "allowed: equal rates"
            )
            continue
        counts = [video.count for video in videos]
        if counts[0] != counts[1]:
            result.problems.append(f"{visible}: {counts[0]} frames, thermal {counts[1]}")
        clip = visible.stem.removesuffix("_vis")
        result.pairs += [
            PairFiles(f"{clip}/{n:05d}", visible, thermal, frame=n)
            for n in range(0, min(counts) - 1, 15)
        ]
    if not result.pairs:
        why = f": {result.problems[0]}" if result.problems else ""
        raise DataSetError(f"{root} holds no <clip>_vis video with its <clip>_ir beside it{why}")
    return result


def _find_tno(root: Path) -> Pairs:
    return match_folders(
        "tno", _first_folder(root, "vis", "VIS", "visible"), _first_folder(root, "ir", "IR")
    )


_RESEARCH = "research use with credit; no licence file"

DATA_SETS: Mapping[str, DataSet] = MappingProxyType(
    {
        d.name: d
        for d in (
            DataSet("flir", _find_flir, "FLIR ADAS 1.3 terms: non-commercial"),
            DataSet("kaist", _find_kaist, "KAIST multispectral: CC BY-NC-SA 4.0"),
            DataSet("msrs", _find_msrs, _RESEARCH),
            DataSet("roadscene", _find_roadscene, _RESEARCH),
            DataSet("llvip", _find_llvip, "LLVIP terms: non-commercial"),
            DataSet("m3svd", _find_m3svd, "M3SVD: academic and research use (MIT file)"),
            DataSet("m3svd_video", _find_videos, "M3SVD: academic and research use (MIT file)"),
            DataSet("tno", _find_tno, "TNO: research use with credit", evaluation_only=True),
            DataSet(
                "vifb",
                _folders("vifb", ("VI", "vis"), ("IR", "ir")),
                _RESEARCH,
                evaluation_only=True,
            ),
            DataSet(
                "folders",
                _folders("folders", ("visible", "vis"), ("thermal", "ir", "infrared")),
                "yours",
            ),
        )
    }
)


def find_pairs(name: str, root: Path, split: Path | None = None) -> Pairs:
    """Find the pairs of a data set, all or those in a split file.

    Args:
        name: a key of :data:`DATA_SETS`.
        root: folder of the data set.
        split: text file with a pair in each line: its name, or the end of its visible path, with or
            without suffix; further words in a line are ignored.

    Raises:
        DataSetError: unknown data set, missing folder, no pairs, or a split that matches none.
    """
    if name not in DATA_SETS:
        raise DataSetError(f"data set is {name!r}; allowed: {', '.join(sorted(DATA_SETS))}")
    root = Path(root)
    if not root.is_dir():
        raise DataSetError(f"{name}: root {root} is not a folder")
    found = DATA_SETS[name].find(root)
    if split is not None:
        _keep_split(found, Path(split))
    if not found.pairs:
        raise DataSetError(f"{name}: no pairs under {root}; {found.problems[:3]}")
    return found


def find_named_pairs(option: str, text: str, split: Path | None = None) -> Pairs:
    """Find the pairs of ``KIND=FOLDER``; files that are left out are listed on stderr.

    Raises:
        DataSetError: the text has another form, or see `find_pairs`.
    """
    kind, equals, root = text.partition("=")
    if not equals:
        raise DataSetError(f"{option} has {text!r}; allowed is KIND=FOLDER")
    found = find_pairs(kind, Path(root), split)
    for problem in found.problems:
        print(f"skipped: {problem}", file=sys.stderr)
    return found


def _keep_split(found: Pairs, split: Path) -> None:
    try:
        lines = parse_text(read_bytes(split, MAX_TEXT_BYTES)).splitlines()
    except (UnreadableFileError, MalformedFileError) as error:
        raise DataSetError(f"{found.source}: split file {split}: {error}") from error
    wanted = [line.split()[0] for line in lines if line.strip()]
    if not wanted:
        raise DataSetError(f"{found.source}: split file {split} is empty")
    known = {}
    for pair in found.pairs:
        known[pair.name] = pair
        for depth in (1, 2, 3, 4):
            known.setdefault("/".join(pair.visible.with_suffix("").parts[-depth:]), pair)
    kept = set()
    for line in wanted:
        tail = Path(line).with_suffix("").as_posix()
        # The lists of RoadScene name `vis`; the better images are in `vis_hr`.
        places = (line, tail, tail.replace("/vis/", "/vis_hr/"))
        kept |= {known[place].name for place in places if place in known}
    if not kept:
        raise DataSetError(f"{found.source}: none of the {len(wanted)} lines of {split} is a pair")
    found.pairs = [pair for pair in found.pairs if pair.name in kept]
