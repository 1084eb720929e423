"""Crops in four in-plane turns, of which the most confident one counts: an option at test time.

The paper's text does not mention it; the authors' code does it. A camera that is turned about its optical axis by a
quarter sees the same picture, turned: no pixel is interpolated, and intrinsics and pose follow exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mrc_core.geometry.rotations import make_transform
from mrc_core.model.two_stage import Crops, TwoStage

TURNS = 4


class TurnedOutput(NamedTuple):
    """What the most confident turn of each crop says.

    pose: (B, 4, 4), in the frame of the camera as it really stands.
    score: (B,), how sure stage 1 is of its rotation bucket.
    turn: (B,), quarter turns 0..3 of the chosen crop.
    """

    pose: Tensor
    score: Tensor
    turn: Tensor


def best_of_turns(two_stage: TwoStage, crops: Crops) -> TurnedOutput:
    """Stage 1 on all turns of all crops in one batch, stage 2 on the most confident turn of each.

    Stage 2 has no say in the choice, so it runs once a crop. Of turns that score alike the first one counts.
    """
    shift_px = two_stage.codec.conventions.crop_shift_px
    turned = all_turns(crops, shift_px)
    real = two_stage.encode(turned)
    logits = two_stage.classify(real, turned)
    scores = logits.rotation.sigmoid().amax(dim=1).unflatten(0, (TURNS, len(crops)))
    turn = scores.argmax(dim=0)
    rows = turn * len(crops) + torch.arange(len(crops), device=turn.device)
    coarse = two_stage.codec.coarse_pose(two_stage.codec.most_likely(logits), turned.K, turned.object_index)
    refined = two_stage.refine_in_rounds(turned.take(rows), real.take(rows), coarse[rows])
    return TurnedOutput(turned_back(refined.pose, turn), scores.amax(dim=0), turn)


def all_turns(crops: Crops, shift_px: float = 0.0) -> Crops:
    """The crops (B) in 0, 1, 2 and 3 quarter turns against the clock: (4 B), turn by turn.

    Args:
        shift_px: how far the picture in a crop lies to the right of, and below, where K puts it.
    """
    images = [torch.rot90(crops.image, turn, dims=(-2, -1)) for turn in range(TURNS)]
    matrices = [turned_intrinsics(crops.K, turn, crops.image.shape[-1], shift_px) for turn in range(TURNS)]
    return Crops(torch.cat(images), torch.cat(matrices), crops.object_index.repeat(TURNS))


def turned_intrinsics(K: Tensor, turn: int, crop_size: int, shift_px: float = 0.0) -> Tensor:
    """Intrinsics (B, 3, 3) of crops that were turned by so many quarters with `torch.rot90`.

    With A what the turn does to pixels and R what it does to the camera's frame, both about the optical axis, the pixel
    of a point X is A K X = (A K R^T) (R X).
    """
    half = (crop_size - 1) / 2 - shift_px  # the crop's middle, where K puts it
    to_middle = torch.eye(3, dtype=K.dtype, device=K.device)
    to_middle[:2, 2] = -half
    # A picture that lies off its intrinsics does so to the right and below in a turned crop, too: that is what the
    # network has learnt. The turn is therefore about where K has the middle.
    back = 2 * torch.eye(3, dtype=K.dtype, device=K.device) - to_middle
    rotation = quarter_turns(torch.tensor(turn), K)
    return back @ rotation @ to_middle @ K @ rotation.T


def turned_back(pose: Tensor, turn: Tensor) -> Tensor:
    """Poses (B, 4, 4) of crops in so many quarter turns (B,), as the camera that was not turned sees them."""
    back = quarter_turns(-turn, pose)
    return make_transform(back @ pose[:, :3, :3], (back @ pose[:, :3, 3:]).squeeze(-1))


def quarter_turns(turn: Tensor, like: Tensor) -> Tensor:
    """Rotations (..., 3, 3) by so many quarters against the clock about the axis into the picture, without rounding.

    One quarter takes (x, y), y down, to (y, -x): what `torch.rot90` does to the picture.
    """
    one = torch.tensor([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    powers = torch.stack([torch.linalg.matrix_power(one, n) for n in range(TURNS)]).to(like)
    return powers[turn.to(like.device) % TURNS]
