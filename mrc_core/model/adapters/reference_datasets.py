"""What the authors' implementation sets by hand for each data set [R]."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReferenceDataset:
    """A data set of the published checkpoints.

    Attributes:
        object_ids: BOP's numbers of the objects, in the order of the network's decoders.
        tau_z_limits_mm: smallest and largest tau_z, mm per crop pixel, the same for all objects.
        spare_decoders: decoders behind those that training may have built and never used.
    """

    object_ids: tuple[int, ...]
    tau_z_limits_mm: tuple[float, float]
    spare_decoders: int = 0


REFERENCE_DATASETS = {
    "tless": ReferenceDataset(tuple(range(1, 31)), (0.05, 1.7)),
    "itodd": ReferenceDataset(tuple(range(1, 29)), (0.01, 1.85)),
    "ycbv": ReferenceDataset(tuple(range(1, 22)), (0.03, 2.0)),
    # Trained for LM's 15 objects, evaluated for LM-O's 8: a checkpoint has one number of decoders or the other.
    "lmo": ReferenceDataset((1, 5, 6, 8, 9, 10, 11, 12), (0.01, 2.15), spare_decoders=7),
}
