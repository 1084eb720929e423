"""Pictures of a validation: what the network saw, what it rendered, and where it put the object."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mrc_core.data.scenes import SceneBatch
from mrc_core.model.two_stage import Crops, TwoStage
from mrc_core.training.sources import join_batches
from mrc_core.training.validation import PoseErrors

CASES = 8
TRUTH, ESTIMATE, RIGHT, WRONG = (1.0, 0.25, 0.2), (0.2, 1.0, 0.3), (0.2, 0.8, 0.3), (0.9, 0.2, 0.15)
RIGHT_BELOW = 0.1  # ADD(-S) over the diameter
FRAME = 3  # px


def choose_cases(batches: list[SceneBatch], errors: PoseErrors) -> tuple[SceneBatch, Tensor]:
    """Half of the cases are the first samples, the same at each validation, half those with the largest final error.

    Returns:
        The cases as a batch (n <= CASES) and their ADD(-S) over the diameter (n,).
    """
    everything = join_batches(batches)
    first = list(range(min(CASES // 2, len(errors.refined))))
    worst = [i for i in errors.refined[:, 0].argsort(descending=True).tolist() if i not in first]
    rows = torch.tensor(first + worst[: CASES - len(first)])
    return SceneBatch(**{name: value[rows] for name, value in vars(everything).items()}), errors.refined[rows, 0]


@torch.no_grad()
def picture_cases(two_stage: TwoStage, cases: SceneBatch, error: Tensor) -> Tensor:
    """One row a case, (3, n S, 3 S) uint8: the crop, the render in the coarse pose, the final overlay.

    The overlay has the outline of the truth in red and over it that of the estimate in green. Its frame is green where
    ADD(-S), `error` (n,) over the diameter, is below 0.1, else red. A crop's detection box is a little brighter.
    """
    crops = Crops(cases.image, cases.K, cases.object_index)
    output = two_stage(crops)
    coarse = two_stage.render(output.coarse, crops)[0][:, :3]
    estimate, truth = (two_stage.render(pose, crops)[1] for pose in (output.pose, cases.cam_from_obj))
    rgb, box = cases.image[:, :3].float(), cases.image[:, 3:].float()
    overlay = _paint(_paint(rgb, _outline(truth), TRUTH), _outline(estimate), ESTIMATE)
    for i, wrong in enumerate((error >= RIGHT_BELOW).tolist()):
        _frame(overlay[i], WRONG if wrong else RIGHT)
    seen = rgb * 0.85 + 0.15 * box
    rows = torch.cat([seen, coarse.float(), overlay], dim=3)  # (n, 3, S, 3 S)
    return (rows.permute(1, 0, 2, 3).flatten(1, 2).clamp(0, 1) * 255).round().byte().cpu()


def _outline(mask: Tensor) -> Tensor:
    """Pixels (n, S, S) of masks whose neighbourhood is not all inside of them."""
    inside = -F.max_pool2d(-mask.float()[:, None], 3, stride=1, padding=1).squeeze(1)
    return mask.bool() & (inside < 0.5)


def _paint(image: Tensor, where: Tensor, colour: tuple[float, float, float]) -> Tensor:
    return torch.where(where[:, None], image.new_tensor(colour)[:, None, None], image)


def _frame(image: Tensor, colour: tuple[float, float, float]) -> None:
    edge = torch.ones(image.shape[-2:], dtype=torch.bool, device=image.device)
    edge[FRAME:-FRAME, FRAME:-FRAME] = False
    image[:, edge] = image.new_tensor(colour)[:, None]
