"""From trials to the two channels of a calibration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mrc_core.calibration.linear_fits import fit_log_spread, fit_logistic
from mrc_core.calibration.trials import Trials
from mrc_core.evaluation.pose_deviation import region_limit, squared_distances
from mrc_core.geometry.objects import ObjectModel
from mrc_core.inference.calibration import Channel, LinearModel, spread_units
from mrc_core.inference.pose_covariance import SPREADS, degrees_of_freedom, free_axes, pose_covariance

Array = NDArray[np.float64]

REGION = 0.9  # the share of true poses that the region of this share is made to hold
FEW = 30  # trials of one object, below which the widening is that of all objects
FOLDS = 2


def fit_channel(trials: Trials, objects: Sequence[ObjectModel], evidence: tuple[str, ...]) -> Channel:
    """Fits score and error model; `evidence` names the columns of the trials' evidence.

    The spreads follow the bulk of the errors; what flipped poses add is put back by the widening, which is the quantile
    that makes the 90 % region hold 90 % (split conformal, with each half judged by a fit to the other).

    Raises:
        ValueError: too few trials, or an error that is not finite.
    """
    if len(trials) < 2 * FEW:
        raise ValueError(f"{len(trials)} samples are too few to calibrate: take {2 * FEW} or more")
    if not (np.isfinite(trials.evidence).all() and np.isfinite(trials.deviation).all()):
        raise ValueError("the network's output is not finite: this bundle cannot be calibrated")
    narrow = _fit_narrow(trials, objects, evidence)
    ratio = np.empty(len(trials))
    for rows in _folds(len(trials)):
        other = _fit_narrow(trials.take(~rows), objects, evidence)
        ratio[rows] = region_ratio(other, trials.take(rows), objects, REGION)
    everything = _upper_quantile(ratio, REGION)
    widening = []
    for i in range(len(objects)):
        mine = ratio[trials.object_index == i]
        widening.append(float(np.sqrt(_upper_quantile(mine, REGION) if len(mine) >= FEW else everything)))
    return narrow.model_copy(update={"widening": tuple(widening)})


def fit_across(
    trials: Trials, objects: Sequence[ObjectModel], evidence: tuple[str, ...]
) -> list[tuple[Trials, Channel]]:
    """Each half of the trials with the channel that was fitted on the other: what figures are measured on."""
    halves = [(trials.take(rows), trials.take(~rows)) for rows in _folds(len(trials))]
    return [(judged, fit_channel(fitted, objects, evidence)) for judged, fitted in halves]


def region_ratio(channel: Channel, trials: Trials, objects: Sequence[ObjectModel], share: float) -> Array:
    """Squared Mahalanobis distances (N,) of the true poses over the limit of the region of `share`: inside below 1."""
    freedom = np.array([degrees_of_freedom(item.symmetries) for item in objects])[trials.object_index]
    covariance = _covariances(channel, trials, objects)
    return squared_distances(trials.deviation, covariance) / region_limit(share, freedom)


def _covariances(channel: Channel, trials: Trials, objects: Sequence[ObjectModel]) -> Array:
    """Of the centred objects: no lever arm, which changes no Mahalanobis distance to first order."""
    free = np.stack([free_axes(item.symmetries) for item in objects])[trials.object_index]
    deviations = channel.deviations(trials.evidence, trials.object_index, _units(trials, objects))
    return pose_covariance(trials.cam_from_obj, np.zeros((len(trials), 3)), free, deviations)


def _fit_narrow(trials: Trials, objects: Sequence[ObjectModel], evidence: tuple[str, ...]) -> Channel:
    """A channel whose widening is 1."""
    mean, scale = trials.evidence.mean(axis=0), trials.evidence.std(axis=0) + 1e-6
    unwritten = LinearModel(weights=(0.0,) * len(evidence), offsets=(0.0,) * len(objects))
    blank = Channel(
        evidence=evidence,
        mean=tuple(map(float, mean)),
        scale=tuple(map(float, scale)),
        score=unwritten,
        spreads=dict.fromkeys(SPREADS, unwritten),
        widening=(1.0,) * len(objects),
    )
    values, index, count = blank.standardised(trials.evidence), trials.object_index, len(objects)
    errors = _split_errors(trials) / _units(trials, objects)
    dimensions = {"along": 1, "across": 2, "roll": 1, "tilt": 2}
    spreads = {
        name: fit_log_spread(values, index, errors[:, i], dimensions[name], count) for i, name in enumerate(SPREADS)
    }
    score = fit_logistic(values, index, trials.is_right, count)
    return blank.model_copy(update={"score": score, "spreads": spreads})


def _units(trials: Trials, objects: Sequence[ObjectModel]) -> Array:
    diameters = np.array([item.diameter for item in objects])
    return spread_units(np.linalg.norm(trials.cam_from_obj[:, :3, 3], axis=1), diameters[trials.object_index])


def _split_errors(trials: Trials) -> Array:
    """Sizes (N, 4) of the errors in the order of SPREADS, m and rad."""
    position = trials.cam_from_obj[:, :3, 3]
    ray = position / np.linalg.norm(position, axis=1, keepdims=True)
    parts = []
    for vector in (trials.deviation[:, :3], trials.deviation[:, 3:]):
        along = np.einsum("bi,bi->b", vector, ray)
        parts += [np.abs(along), np.linalg.norm(vector - along[:, None] * ray, axis=1)]
    return np.stack(parts, axis=1)


def _folds(count: int) -> list[NDArray[np.bool_]]:
    return [np.arange(count) % FOLDS == fold for fold in range(FOLDS)]


def _upper_quantile(values: Array, share: float) -> float:
    """The quantile that a new value stays below with at least this chance (split conformal prediction)."""
    rank = min(len(values), int(np.ceil((len(values) + 1) * share)))
    return float(max(np.sort(values)[rank - 1], 1e-6))
