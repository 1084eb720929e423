"""The training objective: all loss terms of one batch, symmetry-aware."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mrc_core.data.scenes import SceneBatch
from mrc_core.geometry.objects import ObjectModel
from mrc_core.geometry.site import site_from_translation, translation_from_site
from mrc_core.model.pose_codec import PoseCodec
from mrc_core.model.two_stage import TwoStageOutput
from mrc_core.training.config import TrainConfig
from mrc_core.training.losses import focal_sigmoid, focal_softmax, rotation_regression, translation_regression
from mrc_core.training.surface_coordinates import SurfaceHead, surface_loss, surface_points
from mrc_core.training.targets import bucket_distances, cell_labels, depth_labels, rotation_labels

POINTS = 256  # of each object's surface, for the rotation's regression loss


class Objective:
    """Turns outputs and truth into named loss terms.

    Args:
        objects: the trained objects, in the order of object_index.
        codec: the network's pose codec.
        config: loss weights and label widths.
        surface_head: the auxiliary head, or None where its weight is zero.
        device: where batches live.
    """

    def __init__(
        self,
        objects: Sequence[ObjectModel],
        codec: PoseCodec,
        config: TrainConfig,
        surface_head: SurfaceHead | None,
        device: torch.device,
    ) -> None:
        self.objects, self.codec, self.config, self.surface_head = list(objects), codec, config, surface_head
        self.siamese = config.network_config(len(objects)).siamese
        self.diameter = torch.tensor([o.diameter for o in objects], device=device)
        sampled = [torch.as_tensor(o.centred_mesh.sample_points(POINTS, seed=1)).float() for o in objects]
        self.points = torch.stack(sampled).to(device)  # (N, POINTS, 3)

    def __call__(self, output: TwoStageOutput, batch: SceneBatch) -> dict[str, Tensor]:
        """Every weighted term and their sum, `total`."""
        terms = {
            **self._stage_one(output, batch),
            **self._stage_two(output, batch),
            **self._dense(output, batch),
        }
        weights = self.config.losses.model_dump()
        weighted = {name: weights[name] * value for name, value in terms.items()}
        weighted["total"] = torch.stack(list(weighted.values())).sum()
        return weighted

    def _stage_one(self, output: TwoStageOutput, batch: SceneBatch) -> dict[str, Tensor]:
        codec, logits = self.codec, output.logits
        tau_xy, tau_z = site_from_translation(batch.cam_from_obj[:, :3, 3], batch.K, codec.crop_size)
        labels = torch.empty_like(logits.rotation)
        for index, rows in self._groups(batch.object_index):
            item = self.objects[index]
            distance = bucket_distances(
                batch.cam_from_obj[rows, :3, :3], codec.grid, item.moment[:3, :3], item.centred_symmetries
            )
            labels[rows] = rotation_labels(distance, item.diameter, self.config.rotation_label_scale)
        limits = codec.depth_limits[batch.object_index]
        return {
            "rotation_class": focal_sigmoid(logits.rotation, labels),
            "cell_class": focal_softmax(logits.xy, cell_labels(tau_xy, codec.xy_cells)),
            "depth_class": focal_softmax(logits.depth, depth_labels(tau_z, limits, codec.depth_bins)),
        }

    def _stage_two(self, output: TwoStageOutput, batch: SceneBatch) -> dict[str, Tensor]:
        codec, beta = self.codec, self.config.smooth_l1_beta
        truth = self.nearest_truth(output.pose.detach(), batch)
        diameter = self.diameter[batch.object_index]
        size = codec.crop_size
        true_t = truth[:, :3, 3]
        true_xy, true_z = site_from_translation(true_t, batch.K, size)
        xy, z = site_from_translation(output.pose[:, :3, 3], batch.K, size)
        t_of_xy = translation_from_site(xy, true_z, batch.K, size)
        t_of_z = translation_from_site(true_xy, z, batch.K, size)
        points = self.points[batch.object_index]
        return {
            "rotation": rotation_regression(
                output.pose[:, :3, :3], truth[:, :3, :3], points, diameter, beta
            ).mean(),
            "xy": translation_regression(t_of_xy, true_t, diameter, beta).mean(),
            "z": translation_regression(t_of_z, true_t, diameter, beta).mean(),
        }

    def _dense(self, output: TwoStageOutput, batch: SceneBatch) -> dict[str, Tensor]:
        mask = output.real.mask_logit.float().squeeze(1)
        terms = {"mask": F.binary_cross_entropy_with_logits(mask, batch.visible)}
        if not self.siamese:
            # A branch of renders reads its mask from no one: without a loss that channel would stay as random as it
            # began, which is not what weights of its own are to be measured by.
            rendered = output.rendered.mask_logit.float().squeeze(1)
            shown = F.avg_pool2d(output.rendered_mask.float()[:, None], 4).squeeze(1)
            terms["mask"] = terms["mask"] + F.binary_cross_entropy_with_logits(rendered, shown)
        if self.surface_head is None:
            return terms
        predicted = self.surface_head(output.real.features.float())
        points, valid = surface_points(batch.depth_m, batch.K, batch.cam_from_obj, predicted.shape[-1])
        losses = torch.zeros_like(batch.visible_fraction)
        for index, rows in self._groups(batch.object_index):
            item = self.objects[index]
            losses[rows] = surface_loss(
                predicted[rows], points[rows], valid[rows], item.diameter, item.centred_symmetries
            )
        terms["surface"] = losses.mean()
        return terms

    def nearest_truth(self, pose: Tensor, batch: SceneBatch) -> Tensor:
        """Of the true pose's symmetric equivalents the one nearest to `pose` (B, 4, 4)."""
        truth = batch.cam_from_obj.clone()
        for index, rows in self._groups(batch.object_index):
            item = self.objects[index]
            if not item.symmetries.is_trivial:
                truth[rows] = item.centred_symmetries.nearest_pose(truth[rows], pose[rows], item.moment)
        return truth

    def _groups(self, object_index: Tensor) -> list[tuple[int, Tensor]]:
        present = object_index.unique().tolist()
        return [(index, (object_index == index).nonzero().squeeze(1)) for index in present]
