"""Local correlation of rendered with real features: how well does each place match its neighbourhood?"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Higher strips compute more that is thrown away, lower ones make products too small to be fast. In bf16 on CPUs 4 is
# best or near it for maps of 16 to 64 positions a side; in fp32 strips of 1 or 2 were up to 40 % faster there.
STRIP_ROWS = 4


def correlate(rendered: Tensor, real: Tensor, radius: int) -> Tensor:
    """Dot products of each rendered feature with the real features around its place.

    out[b, (dy + radius) * (2 radius + 1) + dx + radius, y, x] =
        sum_c rendered[b, c, y, x] * real[b, c, y + dy, x + dx] / sqrt(C), dy and dx in -radius..radius,
    with zeros outside the map. Differentiable once in both arguments.

    Args:
        rendered: (B, C, H, W).
        real: (B, C, H, W), of the same dtype and device.
        radius: largest shift, in positions.

    Returns:
        (B, (2 radius + 1)^2, H, W) in channels-last memory, of the inputs' dtype; products are summed in float32.
    """
    if rendered.shape != real.shape or rendered.dim() != 4:
        raise ValueError(
            f"rendered and real must be (B, C, H, W) and alike, not {tuple(rendered.shape)} and {tuple(real.shape)}"
        )
    if rendered.dtype != real.dtype:
        raise ValueError(f"rendered is {rendered.dtype} but real is {real.dtype}; convert one of them")
    scale = 1 / math.sqrt(rendered.shape[1])
    return _LocalCorrelation.apply(rendered * scale, real, radius)


class Correlation(nn.Module):
    """One 1x1 convolution for both branches, then `correlate`: two (B, in, H, W) -> (B, (2 radius + 1)^2, H, W)."""

    def __init__(self, in_channels: int, channels: int, radius: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(in_channels, channels, 1)
        self.radius = radius

    def forward(self, rendered: Tensor, real: Tensor) -> Tensor:
        return correlate(self.project(rendered), self.project(real), self.radius)


class _LocalCorrelation(torch.autograd.Function):
    """Matrix products of strips of rows, of which only the diagonal band is kept.

    A strip of `rows` rendered rows (rows * W positions) meets the rows + 2 radius padded real rows that it can
    reach in one product. The wanted shifts lie in it at constant strides, so they are read through a strided view
    without an index. Only one strip's product is alive at a time, and only the inputs are kept for the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, rendered: Tensor, real: Tensor, radius: int) -> Tensor:
        queries = rendered.permute(0, 2, 3, 1).contiguous()  # (B, H, W, C)
        border = (0, 0, radius, radius, radius, radius)
        keys = F.pad(real.permute(0, 2, 3, 1), border)  # (B, H + 2r, W + 2r, C)
        batch, height, width, _ = queries.shape
        window = 2 * radius + 1
        out = queries.new_empty(batch, height, width, window, window)
        for top, bottom in _strips(height):
            product = torch.bmm(
                queries[:, top:bottom].flatten(1, 2), keys[:, top : bottom + 2 * radius].flatten(1, 2).mT
            )
            out[:, top:bottom] = _band(product, bottom - top, width, radius)
        ctx.save_for_backward(queries, keys)
        ctx.radius = radius
        return out.flatten(3).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        queries, keys = ctx.saved_tensors
        radius = ctx.radius
        batch, height, width, _ = queries.shape
        window = 2 * radius + 1
        grad = grad.permute(0, 2, 3, 1).contiguous().unflatten(3, (window, window))
        grad_queries = torch.empty_like(queries)
        grad_keys = torch.zeros_like(keys)
        product = grad.new_empty(0)
        for top, bottom in _strips(height):
            rows, reach = bottom - top, slice(top, bottom + 2 * radius)
            if product.shape[0] == 0 or product.shape[1] != rows * width:
                # Strips of one height have one band: outside of it the zeros of the last strip are still there.
                product = grad.new_zeros(batch, rows * width, (rows + 2 * radius) * (width + 2 * radius))
            _band(product, rows, width, radius).copy_(grad[:, top:bottom])
            grad_queries[:, top:bottom] = torch.bmm(product, keys[:, reach].flatten(1, 2)).unflatten(
                1, (rows, width)
            )
            grad_keys[:, reach] += torch.bmm(product.mT, queries[:, top:bottom].flatten(1, 2)).unflatten(
                1, (rows + 2 * radius, width + 2 * radius)
            )
        inside = grad_keys[:, radius : radius + height, radius : radius + width]
        return grad_queries.permute(0, 3, 1, 2), inside.permute(0, 3, 1, 2), None


def _strips(height: int) -> list[tuple[int, int]]:
    """Row ranges [top, bottom) that cover the map."""
    return [(top, min(top + STRIP_ROWS, height)) for top in range(0, height, STRIP_ROWS)]


def _band(product: Tensor, rows: int, width: int, radius: int) -> Tensor:
    """View of a strip's product (B, rows * W, (rows + 2r)(W + 2r)) as (B, rows, W, 2r + 1, 2r + 1) shifts."""
    window, reach = 2 * radius + 1, width + 2 * radius
    across = product.shape[2]
    # One step right or down in the rendered map is one step right or down in the padded real map too.
    strides = (product.stride(0), width * across + reach, across + 1, reach, 1)
    return product.as_strided((product.shape[0], rows, width, window, window), strides)
