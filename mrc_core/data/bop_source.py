"""Training samples out of BOP data sets on disk: train_pbr, train_real, train_synt, train_primesense and the like."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from mrc_core.data.augmentation import photometric
from mrc_core.data.bop_crops import BopCrop, cut_crop, quarter_turns
from mrc_core.data.bop_dataset import BopDataset
from mrc_core.data.bop_files import BopDataError, find_depth, read_depth_m
from mrc_core.data.bop_index import BopIndex, open_index
from mrc_core.data.bop_matching import match_objects
from mrc_core.data.scenes import SceneBatch
from mrc_core.geometry.cameras import crop_from_image
from mrc_core.geometry.objects import ObjectModel
from mrc_core.geometry.site import site_from_translation

MAX_DRAWS = 50  # of one sample, before the data set is called unreadable
HELD_OUT_BLOCK = 25  # images in a row that are held out together: neighbours often show the same scene

Part = Literal["training", "validation"]


class BopSourceConfig(BaseModel):
    """Pictures of a BOP data set as training samples."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["bop"]
    weight: float = Field(default=1.0, gt=0, description="share of the samples, over the sum of all sources' weights")
    dataset: str = Field(description="the data set's folder, with its models; ~ is the home folder")
    splits: tuple[str, ...] = Field(default=("train_pbr",), min_length=1, description="folders of scenes in it")
    classes: dict[str, int] = Field(
        default_factory=dict, description="number in the data set of a class that is not named there as here"
    )
    min_visible: float = Field(default=0.1, gt=0, le=1, description="smallest visible share of the silhouette")
    box_shift: float = Field(
        default=0.25, ge=0, le=0.5, description="the crop's centre is off by up to this part of the box"
    )
    box_scale: tuple[float, float] = Field(default=(0.75, 1.25), description="the crop's side is scaled by (low, high)")
    turns: bool = Field(default=True, description="in-plane turns of the crop by multiples of 90 degrees")
    held_out: float = Field(default=0.02, gt=0, le=0.5, description="share of the images that only validation sees")

    @model_validator(mode="after")
    def _scale_is_in_order(self) -> BopSourceConfig:
        low, high = self.box_scale
        if not 0 < low <= high:
            raise ValueError(f"box_scale is ({low}, {high}): it needs 0 < low <= high")
        return self


@dataclass(frozen=True, eq=False)
class _Draw:
    """What is decided about a sample before its files are read."""

    object_index: int
    split: int
    row: int  # of the split's index
    box_xyxy_px: Tensor  # (4,), disturbed
    turns: int


class BopSource:
    """Makes batches of crops; the same seed and index give the same batch. Only the pictures of a batch are in memory.

    A picture that is missing or damaged is passed over for another, which depends on seed and index alone; `skipped`
    counts them, and the log tells. Calls may come from several threads.

    Args:
        config: which data set, and how crops are disturbed.
        objects: what is trained, in the order of object_index; objects that the data set lacks are never drawn.
        crop_size: side of the crops, px.
        seed: of everything drawn.
        part: the images that are held out, or all others.
        cache: folder of the indices (see bop_index).
        log: prints one line.

    Raises:
        BopDataError: the data set, a split or its models are missing or damaged, or show none of the objects.
        ValueError: a class does not fit the data set; see `match_objects`.
    """

    def __init__(
        self,
        config: BopSourceConfig,
        objects: Sequence[ObjectModel],
        crop_size: int,
        seed: int,
        part: Part,
        cache: Path,
        log: Callable[[str], None],
    ) -> None:
        self.config, self.crop_size, self.seed, self.log = config, crop_size, seed, log
        self.centres = torch.stack([item.centre for item in objects]).float()
        self.skipped = 0
        self._lock = threading.Lock()
        self._datasets: list[BopDataset] = []
        self._indices: list[BopIndex] = []
        found: list[list[NDArray[np.int64]]] = [[np.zeros((0, 2), dtype=np.int64)] for _ in objects]
        for number, name in enumerate(config.splits):
            dataset = BopDataset(Path(config.dataset).expanduser(), name)
            index = open_index(dataset, cache / f"{dataset.name}-{name}.npz", log)
            wanted = _held_out(index, config.held_out) == (part == "validation")
            wanted = wanted[index.image] & (index.visib_fract >= config.min_visible)
            for obj_id, object_index in match_objects(dataset, objects, config.classes).items():
                rows = np.flatnonzero(wanted & (index.obj_id == obj_id))
                found[object_index].append(np.stack([np.full_like(rows, number), rows], axis=1))
            self._datasets.append(dataset)
            self._indices.append(index)
        self._candidates = [np.concatenate(parts) for parts in found]  # (n, 2) of each object: split, row of its index
        self._present = torch.tensor([float(len(rows) > 0) for rows in self._candidates])
        if not len(self):
            raise BopDataError(
                f"{config.dataset}: the {part} images of {', '.join(config.splits)} show none of "
                f"{', '.join(item.class_id for item in objects)}: name their numbers under `classes`, or change "
                "held_out or min_visible"
            )

    def __len__(self) -> int:
        """How many instances can be drawn."""
        return sum(len(rows) for rows in self._candidates)

    def batch(self, index: int, size: int, weights: Tensor | None = None) -> SceneBatch:
        """The batch number `index` with `size` samples; `weights` (N,): how often each object is drawn, else alike.

        Raises:
            BopDataError: many pictures one after the other cannot be read.
        """
        drawn = [self._sample(np.random.default_rng([self.seed, index, i]), weights) for i in range(size)]
        draws, crops = [draw for draw, _ in drawn], [crop for _, crop in drawn]
        image = torch.stack([crop.image for crop in crops])
        inside = torch.stack([crop.inside for crop in crops])
        seen = torch.stack([crop.seen for crop in crops])
        rng = torch.Generator().manual_seed((self.seed * 1_000_003 + index) % (2**63))
        rgb = photometric(image[:, :3], rng) * inside[:, None]  # beyond the picture's border a crop is black
        fraction = [self._indices[draw.split].visib_fract[draw.row] for draw in draws]
        return SceneBatch(
            image=torch.cat([rgb, image[:, 3:]], dim=1),
            K=torch.stack([crop.K for crop in crops]),
            object_index=torch.tensor([draw.object_index for draw in draws]),
            cam_from_obj=torch.stack([crop.cam_from_obj for crop in crops]),
            visible=F.avg_pool2d(seen.float()[:, None], 4).squeeze(1),
            depth_m=torch.stack([crop.depth_m for crop in crops]),
            visible_fraction=torch.tensor(np.array(fraction)),
        )

    def depths(self, index: int, size: int) -> tuple[Tensor, Tensor]:
        """Objects (size,) and tau_z (size,) of the crops of a batch as it would be if every picture could be read."""
        draws = [self._draw(np.random.default_rng([self.seed, index, i]), None) for i in range(size)]
        K = torch.stack([self._camera(draw) for draw in draws])
        K_crop = crop_from_image(torch.stack([draw.box_xyxy_px for draw in draws]), self.crop_size) @ K
        translation = torch.stack([self._pose(draw)[:3, 3] for draw in draws])
        tau_z = site_from_translation(translation, K_crop, self.crop_size)[1]
        return torch.tensor([draw.object_index for draw in draws]), tau_z

    # ---- one sample --------------------------------------------------------------------------------------------------
    def _sample(self, rng: np.random.Generator, weights: Tensor | None) -> tuple[_Draw, BopCrop]:
        for _ in range(MAX_DRAWS):
            draw = self._draw(rng, weights)
            try:
                return draw, self._read(draw)
            except BopDataError as error:
                fault = error
                self._note_skipped(error)
        raise BopDataError(f"{MAX_DRAWS} pictures one after the other cannot be read, the last because: {fault}")

    def _draw(self, rng: np.random.Generator, weights: Tensor | None) -> _Draw:
        shares = (self._present if weights is None else self._present * weights.cpu()).double().numpy()
        object_index = int(rng.choice(len(shares), p=shares / shares.sum()))
        rows = self._candidates[object_index]
        split, row = rows[rng.integers(len(rows))].tolist()
        # the index has boxes from pixel centre to pixel centre: half a pixel more on each side is the pixels' edge
        box = self._indices[split].box_xyxy_px[row] + np.array([-0.5, -0.5, 0.5, 0.5])
        size = box[2:] - box[:2]
        centre = (box[2:] + box[:2]) / 2 + rng.uniform(-1, 1, 2) * self.config.box_shift * size
        half = size / 2 * rng.uniform(*self.config.box_scale)
        disturbed = torch.from_numpy(np.concatenate([centre - half, centre + half])).float()
        return _Draw(object_index, split, row, disturbed, int(rng.integers(4)) if self.config.turns else 0)

    def _read(self, draw: _Draw) -> BopCrop:
        dataset, index = self._datasets[draw.split], self._indices[draw.split]
        image_row = index.image[draw.row]
        scene_id, image_id = int(index.scene_id[image_row]), int(index.image_id[image_row])
        folder = dataset.scene_folder(scene_id)
        rgb = dataset.rgb(scene_id, image_id)
        visible = dataset.mask(scene_id, image_id, int(index.gt_id[draw.row]))
        depth_m = None
        if (folder / "depth").is_dir():
            depth_m = read_depth_m(find_depth(folder, image_id), float(index.depth_scale[image_row]))
        sizes = {rgb.shape[:2], visible.shape, rgb.shape[:2] if depth_m is None else depth_m.shape}
        if len(sizes) > 1 or not visible.any():
            raise BopDataError(f"{folder}: sizes of picture, mask, depth of image {image_id} are {sizes}, or no target")
        crop = cut_crop(
            torch.tensor(rgb).permute(2, 0, 1).float().div_(255),  # copied: the reader hands out memory of its own
            torch.from_numpy(visible),
            None if depth_m is None else torch.from_numpy(depth_m),
            self._camera(draw),
            self._pose(draw),
            draw.box_xyxy_px,
            self.crop_size,
        )
        return quarter_turns(crop, draw.turns)

    def _camera(self, draw: _Draw) -> Tensor:
        index = self._indices[draw.split]
        return torch.from_numpy(index.K[index.image[draw.row]])

    def _pose(self, draw: _Draw) -> Tensor:
        """The pose (4, 4) of the centred mesh."""
        pose = torch.eye(4)
        pose[:3] = torch.from_numpy(self._indices[draw.split].cam_from_obj[draw.row])
        pose[:3, 3] += pose[:3, :3] @ self.centres[draw.object_index]
        return pose

    def _note_skipped(self, error: BopDataError) -> None:
        with self._lock:
            self.skipped += 1
            count = self.skipped
        if str(count).strip("0") == "1":  # 1, 10, 100 ...: a broken disk must not fill the log
            self.log(f"{self.config.dataset}: {count} samples passed over so far, this one because: {error}")


def _held_out(index: BopIndex, share: float) -> NDArray[np.bool_]:
    """Which images (M,) validation keeps: every n-th block of neighbours, through all scenes."""
    blocks = np.stack([index.scene_id, index.image_id // HELD_OUT_BLOCK], axis=1)
    number = np.unique(blocks, axis=0, return_inverse=True)[1].reshape(-1)
    every = round(1 / share)
    return number % every == every - 1
