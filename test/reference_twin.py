"""A small, slow re-implementation of the authors' network, for the adapter's tests alone.

Written from the facts of their public implementation, in their units and conventions (mm, BGR, the crop's centre at
half its size), with plain functions and loops and nothing of mrc_core, so that it can disagree.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from reference_layout import BLOCKS, DILATIONS, REACH, Sizes
from scipy.spatial.transform import Rotation
from torch import Tensor


class Twin:
    """Their forward pass. Shapes: crops (B, 4, S, S) blue, green, red, box map; lengths in mm."""

    def __init__(self, sizes: Sizes, state: dict[str, Tensor], limits_mm: tuple[float, float]) -> None:
        self.sizes, self.w, self.limits_mm = sizes, state, limits_mm

    # ---- layers ------------------------------------------------------------------------------------------------------
    def conv(self, x: Tensor, name: str, stride: int = 1, dilation: int = 1) -> Tensor:
        weight = self.w[f"{name}.weight"]
        pad = dilation * (weight.shape[-1] // 2)
        return F.conv2d(x, weight, self.w.get(f"{name}.bias"), stride, pad, dilation)

    def batch_norm(self, x: Tensor, name: str) -> Tensor:
        mean = x.mean(dim=(0, 2, 3), keepdim=True)
        variance = ((x - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
        unit = (x - mean) / torch.sqrt(variance + 1e-5)
        return unit * self.w[f"{name}.weight"][:, None, None] + self.w[f"{name}.bias"][:, None, None]

    def group_norm(self, x: Tensor, name: str) -> Tensor:
        return F.group_norm(x, self.sizes.groups, self.w[f"{name}.weight"], self.w[f"{name}.bias"])

    def conv_norm(self, x: Tensor, name: str, stride: int = 1, dilation: int = 1) -> Tensor:
        return F.silu(self.group_norm(self.conv(x, f"{name}.conv", stride, dilation), f"{name}.norm"))

    def aspp(self, x: Tensor, name: str) -> Tensor:
        mean = x.mean(dim=(2, 3))[:, :, None, None].repeat(1, 1, *x.shape[2:])
        branches = [self.conv_norm(x, f"{name}.convs.{k}", dilation=d) for k, d in enumerate(DILATIONS)]
        return torch.cat([x, mean, *branches], dim=1)

    def block(self, x: Tensor, name: str, stride: int) -> Tensor:
        y = F.relu(self.batch_norm(self.conv(x, f"{name}.conv1", stride), f"{name}.bn1"))
        y = self.batch_norm(self.conv(y, f"{name}.conv2"), f"{name}.bn2")
        if f"{name}.downsample.0.weight" in self.w:
            x = self.batch_norm(self.conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
        return F.relu(x + y)

    def of_object(self, x: Tensor, name: str, objects: list[int]) -> Tensor:
        weights, bias = self.w[f"backbone.decoder.{name}.weights"], self.w[f"backbone.decoder.{name}.bias"]
        pad = weights.shape[-1] // 2
        rows = [
            F.conv2d(x[i : i + 1], weights[k], bias[k].view(-1), padding=pad) for i, k in enumerate(objects)
        ]
        return torch.cat(rows)

    def correlation(self, rendered: Tensor, real: Tensor, name: str) -> Tensor:
        a, b = self.conv(rendered, f"{name}.proj_in"), self.conv(real, f"{name}.proj_in")
        height, width = a.shape[2:]
        b = F.pad(b, (REACH,) * 4)
        rows = []
        for dy in range(2 * REACH + 1):
            for dx in range(2 * REACH + 1):
                rows.append((a * b[:, :, dy : dy + height, dx : dx + width]).sum(dim=1))
        return torch.stack(rows, dim=1) / math.sqrt(a.shape[1])

    def head(self, x: Tensor, scalars: Tensor, name: str) -> Tensor:
        flat = self.conv_norm(x, f"{name}.conv_in", stride=2).flatten(1)
        flat = torch.cat([flat, scalars], dim=1)
        y = F.silu(flat @ self.w[f"{name}.linear1.weight"].T + self.w[f"{name}.linear1.bias"])
        return y @ self.w[f"{name}.linear2.weight"].T + self.w[f"{name}.linear2.bias"]

    # ---- the network -------------------------------------------------------------------------------------------------
    def features(self, crops: Tensor, objects: list[int]) -> tuple[Tensor, Tensor]:
        """Features with the mask's probability as the last channel, and the mask's logit."""
        x = F.silu(self.batch_norm(self.conv(crops, "backbone.layer0.0", 2), "backbone.layer0.1"))
        maps = []
        for layer, count in enumerate(BLOCKS, start=1):
            for k in range(count):
                x = self.block(x, f"backbone.layer{layer}.0.{k}", 2 if layer > 1 and k == 0 else 1)
            maps.append(x)
        _, layer2, layer3, layer4 = maps
        x = self.conv(self.aspp(layer4, "backbone.pool.0"), "backbone.pool.1")
        x = F.silu(self.group_norm(x, "backbone.pool.2"))
        x = twice(F.silu(self.of_object(x, "layer4_1x1", objects)))
        x = torch.cat([x, F.silu(self.of_object(layer3, "layer3_1x1", objects))], dim=1)
        x = twice(F.silu(self.of_object(x, "conv_up3", objects)))
        x = torch.cat([x, F.silu(self.of_object(layer2, "layer2_1x1", objects))], dim=1)
        x = F.silu(self.of_object(x, "conv_up2", objects))
        out = self.of_object(x, "conv_last", objects)
        return torch.cat([out[:, :-1], out[:, -1:].sigmoid()], dim=1), out[:, -1:]

    def pyramid(self, x4: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x8 = self.conv_norm(x4, "decoder.conv_down_x8", 2)
        return x4, x8, self.conv_norm(x8, "decoder.conv_down_x16", 2)

    def fused(self, real: tuple[Tensor, ...], rendered: tuple[Tensor, ...]) -> Tensor:
        x = torch.cat([real[0], self.correlation(rendered[0], real[0], "decoder.corr_x4")], dim=1)
        x = self.conv_norm(x, "decoder.reg_conv_x8", 2)
        x = torch.cat([real[1], self.correlation(rendered[1], real[1], "decoder.corr_x8"), x], dim=1)
        x = self.conv_norm(x, "decoder.reg_conv_x16", 2)
        x = torch.cat([real[2], self.correlation(rendered[2], real[2], "decoder.corr_x16"), x], dim=1)
        return self.conv_norm(x, "decoder.reg_conv_add")

    @torch.no_grad()
    def __call__(
        self,
        crops: Tensor,
        objects: list[int],
        K: Tensor,
        fov: Tensor,
        render: Callable[[Tensor, Tensor], Tensor],
    ) -> dict[str, Tensor]:
        """K (B, 3, 3) of the crops in their pixels; fov (B, 3); render(R, t_mm) gives the rendered branch's crops."""
        size = self.sizes
        x4, mask_logit = self.features(crops, objects)
        real = self.pyramid(x4)
        pooled = self.aspp(real[2], "decoder.clf_pool")
        rotation, depth, cell = (
            self.head(pooled, fov, f"classifier.{name}") for name in ("pose_clf", "depth_clf", "trans_clf")
        )
        buckets, cells = bucket_rotations(size.n_side), cell_positions(size.cells)
        low, high = self.limits_mm
        depths = low + (torch.arange(size.depths) + 0.5) * (high - low) / size.depths  # mm per pixel
        R, xy, z = buckets[rotation.argmax(1)], cells[cell.argmax(1)], depths[depth.argmax(1)]
        t = translation_mm(xy, z, K, size.image)
        rendered = self.pyramid(self.features(render(R, t), objects)[0])
        pooled = self.aspp(self.fused(real, rendered), "decoder.reg_pool")
        fov = torch.cat([t[:, :2] / t[:, 2:], fov[:, 2:]], dim=1)
        dR, dz, dxy = (
            self.head(pooled, fov, f"regressor.{n}") for n in ("pose_reg", "depth_reg", "trans_reg")
        )
        return {
            "mask": mask_logit,
            "bucket logits": rotation,
            "bucket rotations": buckets,
            "cell logits": cell,
            "cell pixels": (cells * size.image + size.image / 2).expand(len(K), -1, 2),
            "depth logits": depth,
            "depths": depths * K[:, :1, 0],  # mm
            "coarse rotation": R,
            "coarse translation": t,
            "rotation": six_to_rotation(dR) @ R,
            "translation": translation_mm(xy + dxy, z + dz[:, 0], K, size.image),
        }


def twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def translation_mm(xy: Tensor, z: Tensor, K: Tensor, size: int) -> Tensor:
    """Depth counts in fx; positions from the middle of the crop, which is at half its size."""
    tz = z * K[:, 0, 0]
    tx = tz / K[:, 0, 0] * (size * xy[:, 0] + size / 2 - K[:, 0, 2])
    ty = tz / K[:, 1, 1] * (size * xy[:, 1] + size / 2 - K[:, 1, 2])
    return torch.stack([tx, ty, tz], dim=1)


def six_to_rotation(six: Tensor) -> Tensor:
    x = six[:, :3] / six[:, :3].norm(dim=1, keepdim=True)
    z = torch.linalg.cross(x, six[:, 3:])
    z = z / z.norm(dim=1, keepdim=True)
    return torch.stack([x, torch.linalg.cross(z, x), z], dim=2)


def cell_positions(cells: int) -> Tensor:
    rows = [((i % cells + 0.5) / cells - 0.5, (i // cells + 0.5) / cells - 0.5) for i in range(cells**2)]
    return torch.tensor(rows)


def bucket_rotations(n: int) -> Tensor:
    """Turn by turn; in each, the HEALPix pixels: cap, mirrored cap, belt, mirrored belt, equator."""
    cap, belt, equator = [], [], []
    for i in range(1, n):
        cap += [
            (math.acos(1 - i**2 / (3 * n**2)), math.pi / (2 * i) * (j - 0.5)) for j in range(1, 4 * i + 1)
        ]
    for i in range(n, 2 * n + 1):
        s = (i - n + 1) % 2
        ring = [
            (math.acos(4 / 3 - 2 * i / (3 * n)), math.pi / (2 * n) * (j - s / 2)) for j in range(1, 4 * n + 1)
        ]
        (equator if i == 2 * n else belt).extend(ring)
    south = [[(math.pi - theta, phi) for theta, phi in part] for part in (cap, belt)]
    theta, phi = np.array(cap + south[0] + belt + south[1] + equator).T
    turns = math.floor(math.sqrt(math.pi * 12 * n**2))
    out = []
    for k in range(turns):
        half, psi = theta / 2, 2 * math.pi * k / turns
        w, z = np.cos(half) * math.cos(psi / 2), np.cos(half) * math.sin(psi / 2)
        x, y = np.sin(half) * np.sin(phi - psi / 2), np.sin(half) * np.cos(phi - psi / 2)
        out.append(Rotation.from_quat(np.stack([x, y, z, w], axis=1)).as_matrix())
    return torch.from_numpy(np.concatenate(out)).float()


def box_map(box: tuple[float, float, float, float], size: int) -> Tensor:
    """Of x0, y0, x1, y1 in parts of the crop: grown by an eighth on every side, rounded, the far edge left out."""
    x0, y0, x1, y1 = box
    dx, dy = 0.125 * (x1 - x0), 0.125 * (y1 - y0)
    left, top = max(round((x0 - dx) * size), 0), max(round((y0 - dy) * size), 0)
    right, bottom = min(round((x1 + dx) * size), size), min(round((y1 + dy) * size), size)
    out = torch.zeros(size, size)
    out[top:bottom, left:right] = 1
    return out


def mask_box_map(mask: Tensor) -> Tensor:
    """Of the pixels of a render's mask (S, S), first and last index taken as edges."""
    size = len(mask)
    if not mask.any():
        return torch.zeros(size, size)
    y, x = torch.where(mask)
    edges = [float(v) / size for v in (x.min(), y.min(), x.max(), y.max())]
    return box_map((edges[0], edges[1], edges[2], edges[3]), size)


def cut(
    image_rgb: np.ndarray, K: np.ndarray, box: tuple[int, int, int, int], size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """A crop (4, S, S), its intrinsics (3, 3) and the three numbers of where it looks, of an (H, W, 3) uint8 picture.

    One sample for each pixel: pixel (u, v) shows the image at corner + (u, v) / r, so the box's centre is at S / 2.
    """
    x0, y0, x1, y1 = box
    side = 1.5 * max(x1 - x0, y1 - y0)
    centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    corner, r = centre - side / 2, size / side
    x, y = (corner[i] + np.arange(size) / r for i in (0, 1))
    bgr = np.pad(image_rgb[..., ::-1].astype(np.float64) / 255, ((1, 1), (1, 1), (0, 0)))  # black around
    height, width = image_rgb.shape[:2]
    xs, ys = np.meshgrid(np.clip(x, -1, width - 1e-9) + 1, np.clip(y, -1, height - 1e-9) + 1)
    i, j = np.floor(ys).astype(int), np.floor(xs).astype(int)
    a, b = (ys - i)[..., None], (xs - j)[..., None]
    above, below = ((1 - b) * bgr[k, j] + b * bgr[k, j + 1] for k in (i, i + 1))
    picture = (1 - a) * above + a * below
    half = ((x1 - x0) / side / 2, (y1 - y0) / side / 2)
    boxes = box_map((0.5 - half[0], 0.5 - half[1], 0.5 + half[0], 0.5 + half[1]), size)
    crop = torch.cat([torch.from_numpy(picture).float().permute(2, 0, 1), boxes[None]])
    K_crop = np.array([[r, 0, -r * corner[0]], [0, r, -r * corner[1]], [0, 0, 1]]) @ K
    fov = [(centre[0] - K[0, 2]) / K[0, 0], (centre[1] - K[1, 2]) / K[1, 1], side / K[0, 0]]
    return crop, torch.from_numpy(K_crop).float(), torch.tensor(fov, dtype=torch.float32)
