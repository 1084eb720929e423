"""Published figures to stand beside ours, as printed: percent with one decimal.

Source: Li et al., "MRC-Net: 6-DoF Pose Estimation with MultiScale Residual Correlation", CVPR 2024, and its
supplementary material: the variants on T-LESS (trained on synthetic images), and the two tables by object on YCB-V. The
rows of other methods are as that paper prints them.

The rows on YCB-V do not all use the same list of symmetric objects: MRC-Net's two AUCs agree for 002_master_chef_can,
025_mug and 040_large_marker, which other rows treat as asymmetric. The mean rows are means over the objects, to
rounding, but for PoseCNN's ADD-S: 75.9 is printed, the objects' mean is 75.3.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SOURCE = "Li et al., MRC-Net, CVPR 2024, and its supplementary material"
MEAN = "Mean"  # what a table's row over all objects is called


@dataclass(frozen=True)
class Published:
    """One published figure.

    Attributes:
        object_name: as `BopObject.name`, or MEAN.
        detector: whose boxes the poses start from; empty where the table does not say.
        metric: ar, ar_vsd, ar_mssd, ar_mspd, auc_add_s, auc_add(-s) or recall_add(-s).
        percent: as printed.
    """

    object_name: str
    method: str
    detector: str
    metric: str
    percent: float


@cache
def published(dataset_name: str) -> tuple[Published, ...]:
    """The rows for a data set ("tless", "ycbv"), in the order of the tables; none for others."""
    if dataset_name not in ("tless", "ycbv"):
        return ()
    with Path(__file__).with_name(f"published_{dataset_name}.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            Published(row["object"], row["method"], row["detector"], row["metric"], float(row["percent"]))
            for row in csv.DictReader(file)
        )


def published_means(dataset_name: str) -> dict[str, dict[str, float]]:
    """Percent by method and metric over all objects, methods in the order of the tables (which do not hold the same
    ones: those that stand first in one come first)."""
    out: dict[str, dict[str, float]] = {}
    for row in published(dataset_name):
        if row.object_name == MEAN:
            out.setdefault(row.method, {})[row.metric] = row.percent
    place: dict[str, int] = {}
    for metric in {row.metric for row in published(dataset_name)}:
        for i, method in enumerate(published_by_object(dataset_name, metric)):
            place[method] = min(i, place.get(method, i))
    return {method: out[method] for method in sorted(out, key=lambda method: place[method])}


def published_by_object(dataset_name: str, metric: str) -> dict[str, dict[str, float]]:
    """Percent of one metric by method and object name, MEAN among them; methods in the order of the tables."""
    out: dict[str, dict[str, float]] = {}
    for row in published(dataset_name):
        if row.metric == metric:
            out.setdefault(row.method, {})[row.object_name] = row.percent
    return out
