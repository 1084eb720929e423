"""Fits of `LinearModel`: a logistic regression, and the logarithm of a spread under heavy tails."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from mrc_core.inference.calibration import LinearModel

Array = NDArray[np.float64]
Index = NDArray[np.int64]

PENALTY = 1.0  # on squared weights and squared differences of the objects' offsets: a sample's worth of doubt
TAIL = 10.0  # degrees of freedom of Student's t: flipped poses count, but do not rule
SMALLEST_LOG, LARGEST_LOG = -12.0, 3.0


def fit_logistic(evidence: Array, object_index: Index, is_right: NDArray[np.bool_], objects: int) -> LinearModel:
    """The logit of the probability to be right, of standardised evidence (N, E)."""
    truth = is_right.astype(np.float64)

    def loss(logit: Array) -> tuple[float, Array]:
        probability = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
        return float((np.logaddexp(0, logit) - truth * logit).sum()), probability - truth

    share = np.clip(truth.mean(), 0.01, 0.99)
    return _fit(evidence, object_index, objects, loss, float(np.log(share / (1 - share))))


def fit_log_spread(
    evidence: Array, object_index: Index, error: Array, dimensions: int, objects: int
) -> LinearModel:
    """The logarithm of the standard deviation of each of `dimensions` components of errors of size `error` (N,).

    The likelihood is Student's t, whose scale is nearly the deviation of the greater part of the errors.
    """
    squared = np.square(np.maximum(error, 1e-5))

    def loss(log_spread: Array) -> tuple[float, Array]:
        limited = np.clip(log_spread, SMALLEST_LOG, LARGEST_LOG)
        ratio = squared * np.exp(-2 * limited)
        value = dimensions * limited + (TAIL + dimensions) / 2 * np.log1p(ratio / TAIL)
        slope = dimensions - (TAIL + dimensions) * ratio / (TAIL + ratio)
        return float(value.sum()), np.where(limited == log_spread, slope, 0.0)

    return _fit(evidence, object_index, objects, loss, float(np.log(np.median(np.sqrt(squared)))))


def _fit(
    evidence: Array,
    object_index: Index,
    objects: int,
    loss: Callable[[Array], tuple[float, Array]],
    start: float,
) -> LinearModel:
    """Minimises loss(values) + PENALTY / 2 (weights^2 + offsets^2), with one more offset that all objects share."""
    design = np.concatenate([evidence, np.eye(objects)[object_index], np.ones((len(evidence), 1))], axis=1)
    penalty = np.full(design.shape[1], PENALTY)
    penalty[-1] = 0.0

    def objective(parameters: Array) -> tuple[float, Array]:
        value, slope = loss(design @ parameters)
        whole = value + 0.5 * float((penalty * parameters**2).sum())
        return whole, design.T @ slope + penalty * parameters

    first = np.zeros(design.shape[1])
    first[-1] = start
    found = minimize(objective, first, jac=True, method="L-BFGS-B").x
    weights, offsets = found[: evidence.shape[1]], found[evidence.shape[1] : -1] + found[-1]
    return LinearModel(weights=tuple(map(float, weights)), offsets=tuple(map(float, offsets)))
