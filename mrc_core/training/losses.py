"""Loss terms as pure functions (MRC-Net, supplementary material).

Distances count in hundredths of the object's diameter: a bolt and a pitcher train alike, and for an object of 100 mm
the numbers are the reference's millimetres, so that its weights keep their meaning.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

PERCENT = 100.0  # of the diameter


def focal_sigmoid(
    logits: Tensor, labels: Tensor, gamma: float = 2.0, positive: float = 10.0, negative: float = 0.1
) -> Tensor:
    """Focal loss on sigmoids for soft labels: summed over buckets, mean over the batch.

    -(positive y (1 - p)^gamma log p + negative (1 - y) p^gamma log(1 - p)).

    Args:
        logits, labels: (B, K), labels in 0..1.
    """
    log_p, log_not = F.logsigmoid(logits), F.logsigmoid(-logits)
    p = logits.sigmoid()
    loss = -(positive * labels * (1 - p) ** gamma * log_p + negative * (1 - labels) * p**gamma * log_not)
    return loss.sum(dim=1).mean()


def focal_softmax(logits: Tensor, labels: Tensor, gamma: float = 2.0) -> Tensor:
    """Focal loss on the softmax cross-entropy: -sum y (1 - p)^gamma log p, mean over the batch.

    Args:
        logits, labels: (B, N); each row of labels sums to one.
    """
    log_p = F.log_softmax(logits, dim=1)
    return -(labels * (1 - log_p.exp()) ** gamma * log_p).sum(dim=1).mean()


def smooth_l1(distance: Tensor, beta: float) -> Tensor:
    """Huber's function of non-negative distances, divided by beta: d^2 / (2 beta) below beta, d - beta / 2 above."""
    return torch.where(distance < beta, distance.square() / (2 * beta), distance - beta / 2)


def safe_norm(vector: Tensor) -> Tensor:
    """Length (...) of vectors (..., 3) with a finite gradient at zero."""
    return (vector.square().sum(dim=-1) + 1e-12).sqrt()


def rotation_regression(
    predicted: Tensor, target: Tensor, points: Tensor, diameter: Tensor, beta: float
) -> Tensor:
    """Mean over points of rho(|(R_pred - R_gt) v|), in hundredths of the diameter, (B,).

    Args:
        predicted, target: rotations (B, 3, 3); target is the symmetric equivalent nearest to the prediction.
        points: (B, N, 3) in metres.
        diameter: (B,) in metres.
        beta: where the function turns from square to linear, in hundredths of the diameter.
    """
    gap = safe_norm(points @ (predicted - target).transpose(-1, -2))  # (B, N)
    return smooth_l1(gap / diameter[:, None] * PERCENT, beta).mean(dim=1)


def translation_regression(predicted: Tensor, target: Tensor, diameter: Tensor, beta: float) -> Tensor:
    """rho(|t_pred - t_gt|) in hundredths of the diameter, (B,), of translations (B, 3) in metres."""
    return smooth_l1(safe_norm(predicted - target) / diameter * PERCENT, beta)
