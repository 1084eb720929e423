"""From raw pictures to a data set in BOP's layout, with detections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mrc_core.data.bop_detections import write_bop_detections
from mrc_core.data.bop_models import write_models
from mrc_core.data.bop_writer import ImageRecord, SplitWriter
from mrc_core.data.synthetic_detections import DetectorConfig, detect_scene
from mrc_core.geometry.objects import ObjectModel

from .describing import RAW_WHITE, Stored, read_description
from .sensor import Image, develop, read_raw
from .truth import Observer

SPLIT = "test"
Reader = Callable[[Path], Image]


def read_rendered(path: Path) -> Image:
    """A raw picture from disk, linear."""
    return read_raw(path, RAW_WHITE)


def assemble(
    dataset: Path,
    objects: Sequence[ObjectModel],
    stored: Sequence[Stored],
    box_noise: float,
    seed: int,
    read: Reader = read_rendered,
) -> tuple[int, int]:
    """Writes models, scenes, targets and detections; what was there is replaced. Returns targets and detections.

    Args:
        dataset: its folder.
        objects: in the order of their numbers.
        stored: the pictures' files, scene by scene, each scene's in the order of their numbers from 0 on.
        box_noise: sides of the detections' boxes are off by up to this part of their length.
        seed: of the detections.
        read: gives the linear picture of a raw file.

    Raises:
        OSError: a raw picture is missing or damaged.
    """
    write_models(dataset, objects)
    writer = SplitWriter(dataset, SPLIT)
    size = read_description(stored[0].description).size
    scenes: dict[int, list[Stored]] = {}
    for item in stored:
        scenes.setdefault(item.scene_id, []).append(item)
    detections = []
    for scene_id, items in scenes.items():
        writer.write_scene(scene_id, _records(items, read))
        folder = writer.scene_folder(scene_id)
        config = DetectorConfig(box_noise=box_noise)
        detections += detect_scene(folder, len(objects), size, config, f"{seed}/{SPLIT}")
    targets = writer.finish(list(scenes), size)
    write_bop_detections(dataset / "detections" / f"synthetic_{SPLIT}.json", detections)
    return sum(item["inst_count"] for item in targets), len(detections)


def _records(items: Sequence[Stored], read: Reader) -> Iterator[ImageRecord]:
    for item in items:
        picture = read_description(item.description)
        rgb = develop(read(item.raw), picture.sensor)
        yield Observer(picture.things).record(picture.K, picture.size, picture.cam_from_world, rgb)
