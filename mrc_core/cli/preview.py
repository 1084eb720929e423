"""`mrc-net preview-scenes`: a sheet of training samples, to look at before a day is spent on training."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mrc_core.cli.scene_setup import make_generator
from mrc_core.data.object_set import load_objects
from mrc_core.data.scene_renderer import SceneRenderer
from mrc_core.data.scenes import SceneBatch
from mrc_core.training.config import TrainConfig
from mrc_core.visualisation.overlay import object_colours

COLUMNS = 4
TILE_PX = 192  # side of a shown crop; next to each stands the same with its truth
CAPTION_PX = 18
GAP_PX = 6
BATCH = 32
BOX_COLOUR = (255, 255, 255)

DESCRIPTION = """\
Writes a sheet of training samples as `mrc-net train` makes them: each crop, and beside it the same with the detection
box's map (white), the target's true outline (colour; hidden parts too), its class, how much of it is visible, and its
distance. Look whether you would know the objects, and whether anything but the object tells its pose.

example:
  mrc-net preview-scenes --objects demo/objects --output out/scenes.png
  mrc-net preview-scenes --objects demo/objects --config config/train/small.yaml --backgrounds photos --output out/s.png
"""


def add_parser(commands: Any) -> None:
    """Adds the sub-command to argparse's sub-parsers."""
    parser = commands.add_parser(
        "preview-scenes",
        help="look at training samples of your objects",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--objects", required=True, metavar="PATH", help="an objects.yaml, or a folder that holds one"
    )
    parser.add_argument("--output", required=True, metavar="FILE", help="the sheet, .png or .jpg")
    parser.add_argument("--config", metavar="YAML", help="a training configuration; default: its defaults")
    parser.add_argument(
        "--backgrounds", metavar="DIR", help="pictures for backgrounds, instead of the configuration's"
    )
    parser.add_argument("--count", type=int, default=32, metavar="N", help="samples, default 32")
    parser.add_argument("--seed", type=int, metavar="N", help="of the scenes; default: the configuration's")
    parser.add_argument(
        "--device", default="cpu", choices=("cpu", "cuda"), help="where scenes are made, default cpu"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Writes the sheet; returns the exit status."""
    if arguments.count < 1:
        raise ValueError(f"--count must be 1 or more, not {arguments.count}")
    config = TrainConfig.load(arguments.config) if arguments.config else TrainConfig()
    scenes = config.scenes
    if arguments.backgrounds:
        scenes = scenes.model_copy(update={"backgrounds": arguments.backgrounds})
    seed = config.seed if arguments.seed is None else arguments.seed
    objects = load_objects(arguments.objects)
    crop_size = config.network_config(len(objects)).crop_size
    generator = make_generator(objects, config.distractors, crop_size, scenes, seed, arguments.device)
    names = [item.class_id for item in objects]
    tiles: list[NDArray[np.uint8]] = []
    for index in range(-(-arguments.count // BATCH)):
        batch = generator.batch(index, min(BATCH, arguments.count - BATCH * index))
        tiles += _tiles(batch, generator.probe, names)
    output = Path(arguments.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    _write(output, _sheet(tiles))
    print(f"{output}: {arguments.count} samples")
    photos = generator.backdrops.photos
    if photos is not None:
        print(f"backgrounds: {len(photos)} pictures, {len(photos.unreadable)} of those asked for could not be read")
    return 0


def _tiles(batch: SceneBatch, renderer: SceneRenderer, names: list[str]) -> list[NDArray[np.uint8]]:
    """For every sample the crop, the crop with its truth, and a caption below: (H, W, 3), RGB."""
    size = batch.image.shape[-1]
    rows = torch.arange(len(batch.K))
    silhouettes = renderer.render_scenes(
        rows, batch.object_index, batch.cam_from_obj, batch.K, (size, size)
    ).mask.cpu()
    pictures = (batch.image * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    colours = object_colours(len(names))
    tiles = []
    for i, index in enumerate(batch.object_index.tolist()):
        plain = _enlarged(pictures[i, ..., :3])
        marked = plain.copy()
        _outline(marked, pictures[i, ..., 3], BOX_COLOUR)
        _outline(marked, silhouettes[i].numpy(), colours[index])
        caption = np.zeros((CAPTION_PX, 2 * TILE_PX, 3), np.uint8)
        text = f"{names[index]}  {100 * batch.visible_fraction[i]:.0f} % visible  {batch.cam_from_obj[i, 2, 3]:.2f} m"
        cv2.putText(caption, text, (3, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colours[index], 1, cv2.LINE_AA)
        tiles.append(np.concatenate([np.concatenate([plain, marked], axis=1), caption]))
    return tiles


def _enlarged(image: NDArray[Any]) -> NDArray[np.uint8]:
    larger = cv2.resize(image, (TILE_PX, TILE_PX), interpolation=cv2.INTER_LINEAR)
    return np.asarray(larger, dtype=np.uint8)


def _outline(canvas: NDArray[np.uint8], mask: NDArray[Any], colour: tuple[int, int, int]) -> None:
    larger = (_enlarged((mask > 0).astype(np.uint8) * 255) > 127).astype(np.uint8)
    contours, _ = cv2.findContours(larger, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, colour, 1, cv2.LINE_AA)


def _sheet(tiles: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The tiles in rows of COLUMNS, with gaps between them."""
    framed = [np.pad(tile, ((0, 0), (0, GAP_PX), (0, 0))) for tile in tiles]
    framed += [np.zeros_like(framed[0])] * (-len(framed) % min(COLUMNS, len(framed)))
    columns = min(COLUMNS, len(framed))
    rows = [np.concatenate(framed[i : i + columns], axis=1) for i in range(0, len(framed), columns)]
    return np.concatenate(rows)


def _write(path: Path, sheet: NDArray[np.uint8]) -> None:
    temporary = path.with_name(f"{path.stem}.partial{path.suffix}")
    try:
        written = cv2.imwrite(str(temporary), sheet[..., ::-1])
    except cv2.error as error:
        raise ValueError(f"{path}: name a .png or .jpg file") from error
    if not written:
        raise OSError(f"{path} cannot be written: is the disk full?")
    os.replace(temporary, path)
