"""Two or more methods on the same targets: differences of their scores, with intervals by bootstrap over images.

Images are drawn with replacement, because the instances of one image share its light, clutter and camera, and do not
fail independently. All methods see the same draws (paired): what is hard for all of them does not widen an interval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrc_core.evaluation.scores import TargetHits
from mrc_core.evaluation.summary import Summary

Array = NDArray[np.float64]

METRICS = ("ar", "ar_vsd", "ar_mssd", "ar_mspd", "recall_add(-s)")
SAMPLES = 2000
CONFIDENCE = 0.95
_KINDS = ("vsd", "mssd", "mspd", "add")  # what is summed of each image and object


@dataclass(frozen=True)
class Difference:
    """One score of a method and of the baseline, 0..1; None where it was not computed.

    Attributes:
        obj_id: None for all objects together.
        metric: one of METRICS.
        difference: value - baseline_value.
        low, high: 95 % interval of the difference. None where fewer than two images show the object: there is nothing
            to draw from.
        images: how many images show the object as a target.
    """

    obj_id: int | None
    metric: str
    method: str
    baseline: str
    value: float | None
    baseline_value: float | None
    difference: float | None
    low: float | None
    high: float | None
    images: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Comparison:
    """Methods side by side; the first is the baseline that the others are held against.

    Attributes:
        names: of the methods, made different where two have the same.
        differences: of each method but the first, in all and by object, in the order of METRICS.
    """

    names: tuple[str, ...]
    differences: list[Difference]
    images: int
    instances: int
    samples: int
    seed: int

    def of(self, method: str, obj_id: int | None = None) -> dict[str, Difference]:
        """A method's differences by metric, of one object or of all."""
        return {one.metric: one for one in self.differences if one.method == method and one.obj_id == obj_id}

    def to_json(self) -> dict[str, Any]:
        """JSON-able values."""
        return {
            "names": list(self.names),
            "baseline": self.names[0],
            "images": self.images,
            "instances": self.instances,
            "bootstrap": {
                "over": "images",
                "samples": self.samples,
                "seed": self.seed,
                "confidence": CONFIDENCE,
            },
            "differences": [asdict(one) for one in self.differences],
        }


def compare(summaries: Sequence[Summary], samples: int = SAMPLES, seed: int = 0) -> Comparison:
    """Differences to the first method. The same input gives the same intervals.

    Args:
        summaries: of the same data set and targets.
        samples: how many times images are drawn.
        seed: of the draws.

    Raises:
        ValueError: there are fewer than two, or they are not of the same targets.
    """
    if len(summaries) < 2:
        raise ValueError(f"{len(summaries)} result to compare: name at least two")
    names = distinct_names([one.evaluation.method for one in summaries])
    for name, other in zip(names[1:], summaries[1:]):
        _check_alike(summaries[0], other, names[0], name)
    images = sorted({(one.target.scene_id, one.target.image_id) for one in summaries[0].hits})
    objects = sorted(summaries[0].objects)
    sums = [_sums_by_image(one, images, objects) for one in summaries]
    weights = resampling_weights(len(images), samples, seed)
    seen_in = (sums[0][1][..., 1] > 0).sum(axis=0)  # (O,) images
    scopes: list[int | None] = [None, *objects]
    points = [_rates(hits.sum(axis=0), counts.sum(axis=0)) for hits, counts in sums]  # each (1 + O, M)
    drawn = [
        _rates(np.tensordot(weights, hits, axes=1), np.tensordot(weights, counts, axes=1))
        for hits, counts in sums
    ]  # each (S, 1 + O, M)
    out: list[Difference] = []
    for i, name in enumerate(names[1:], start=1):
        low, high = interval(drawn[i] - drawn[0])  # each (1 + O, M)
        for scope, obj_id in enumerate(scopes):
            count = len(images) if obj_id is None else int(seen_in[scope - 1])
            for m, metric in enumerate(METRICS):
                value, base = _known(points[i][scope, m]), _known(points[0][scope, m])
                out.append(
                    Difference(
                        obj_id,
                        metric,
                        name,
                        names[0],
                        value,
                        base,
                        None if value is None or base is None else value - base,
                        _known(low[scope, m]) if count > 1 else None,
                        _known(high[scope, m]) if count > 1 else None,
                        count,
                    )
                )
    return Comparison(tuple(names), out, len(images), summaries[0].total.instances, samples, seed)


def distinct_names(methods: Sequence[str]) -> list[str]:
    """The names, with a number behind those that were there before: `ours`, `ours (2)`."""
    seen: Counter[str] = Counter()
    out = []
    for method in methods:
        seen[method] += 1
        out.append(method if seen[method] == 1 else f"{method} ({seen[method]})")
    return out


def resampling_weights(images: int, samples: int, seed: int) -> Array:
    """How often each image is drawn, (samples, images): as many draws with replacement as there are images."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(images, np.full(images, 1 / images), size=samples).astype(np.float64)


def interval(values: Array) -> tuple[Array, Array]:
    """Ends of the 95 % interval over the first axis, by percentiles; draws that are NaN (they hold no instance of an
    object) are left out, and NaN comes out where all are."""
    tail = (1 - CONFIDENCE) / 2
    ranked = np.sort(values, axis=0)  # NaN go to the end
    known = (~np.isnan(values)).sum(axis=0)

    def quantile(share: float) -> Array:
        place = share * np.maximum(known - 1, 0)
        below = np.floor(place).astype(int)
        above = np.minimum(below + 1, np.maximum(known - 1, 0))
        first, second = (np.take_along_axis(ranked, at[None], axis=0)[0] for at in (below, above))
        return first + (place - below) * (second - first)

    return quantile(tail), quantile(1 - tail)


def _sums_by_image(
    summary: Summary, images: Sequence[tuple[int, int]], objects: Sequence[int]
) -> tuple[Array, Array]:
    """Hits (I, O, K) of each image and object, averaged over thresholds, and the counts (I, O, K) they are of."""
    row = {key: i for i, key in enumerate(images)}
    column = {obj_id: i for i, obj_id in enumerate(objects)}
    hits = np.zeros((len(images), len(objects), len(_KINDS)))
    counts = np.zeros_like(hits)
    symmetric = next(iter(summary.symmetric.values()))
    for one in summary.hits:
        at = row[one.target.scene_id, one.target.image_id], column[one.target.obj_id]
        hits[at] += _hits(one, one.target.obj_id in symmetric)
        counts[at] += [0 if one.vsd is None else one.target.count, *[one.target.count] * 3]
    return hits, counts


def _hits(one: TargetHits, is_symmetric: bool) -> list[float]:
    """In the order of _KINDS."""
    vsd = 0.0 if one.vsd is None else float(one.vsd.mean())
    return [
        vsd,
        float(one.mssd.mean()),
        float(one.mspd.mean()),
        float(one.add_s if is_symmetric else one.add),
    ]


def _rates(hits: NDArray[Any], counts: NDArray[Any]) -> Array:
    """Scores (..., 1 + O, M) of all and of each object, of hits and counts (..., O, K); NaN where nothing was there."""
    hits, counts = (np.concatenate([v.sum(axis=-2, keepdims=True), v], axis=-2) for v in (hits, counts))
    rates = np.divide(hits, counts, out=np.full(hits.shape, np.nan), where=counts > 0)
    return np.concatenate([rates[..., :3].mean(axis=-1, keepdims=True), rates], axis=-1)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _check_alike(first: Summary, other: Summary, first_name: str, name: str) -> None:
    def stop(what: str) -> ValueError:
        return ValueError(f"{first_name} and {name} cannot be compared: {what}")

    a, b = first.evaluation, other.evaluation
    for what, one, two in (
        ("data sets", a.dataset_name, b.dataset_name),
        ("splits", a.split, b.split),
        ("tolerances of VSD", f"{1e3 * a.delta_m:g} mm", f"{1e3 * b.delta_m:g} mm"),
    ):
        if one != two:
            raise stop(f"their {what} differ ({one} and {two})")
    mine, its = _targets(first), _targets(other)
    differing = sorted(key for key in mine.keys() | its.keys() if mine.get(key) != its.get(key))
    if differing:
        scene_id, image_id, obj_id = differing[0]
        counts = [one.get(differing[0], (0, False))[0] for one in (mine, its)]
        raise stop(
            f"{len(differing)} of their targets differ, first scene {scene_id}, image {image_id}, object {obj_id} "
            f"({counts[0]} and {counts[1]} instances scored). Evaluate both with the same data, targets and options"
        )


def _targets(summary: Summary) -> dict[tuple[int, int, int], tuple[int, bool]]:
    """Count of each target, and whether it has VSD."""
    return {
        (one.target.scene_id, one.target.image_id, one.target.obj_id): (one.target.count, one.vsd is not None)
        for one in summary.hits
    }
