"""The errors of all estimates of one object in one image against all its ground truths: what scores are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

VSD_TAUS = tuple(i / 20 for i in range(1, 11))  # 0.05..0.5, of the diameter
VSD_THETAS = VSD_TAUS
MSSD_THRESHOLDS = VSD_TAUS  # of the diameter
MSPD_THRESHOLDS_PX = tuple(float(5 * i) for i in range(1, 11))  # at an image width of 640 px
ADD_THRESHOLD = 0.1  # of the diameter


@dataclass(frozen=True, eq=False)
class TargetErrors:
    """E estimates against G ground truths of an object in an image.

    Estimates stand in the order of falling score (of the file, where equal), ground truths in the order of falling
    visibility. For the localisation scores the first `count` of each count; detection looks at all.

    Attributes:
        count: how many instances are to be found; 0 for what is no target (detection alone sees it).
        diameter: metres.
        score, time_s: (E,).
        est, gt: (E, 4, 4) and (G, 4, 4), cam_from_obj, metres.
        visible: (G,) visib_fract.
        gt_id: (G,) places in the image's list of ground truths.
        detected: (E,) whether it is among the 100 best estimates of its image, which detection looks at.
        mssd: (E, G), metres; this and all other errors are inf where the estimate is not finite.
        mspd: (E, G), px at an image width of 640.
        add, add_s: (min(E, count), min(G, count)), metres; add_s is inf too where it is certainly more than 0.1 m and
            0.1 diameters: no score asks how much more.
        vsd: (min(E, count), min(G, count), 10), one for each of VSD_TAUS, or None where it was not computed.
        model_gap: (min(G, count),) how far the depth picture lies from the model's visible surface at the true pose, in
            metres: a mean over pixels, each at most twice the tolerance of VSD. It tells how exact model and
            ground truth are. NaN where it was not computed, for want of an estimate near by, say.
    """

    scene_id: int
    image_id: int
    obj_id: int
    count: int
    diameter: float
    score: Array
    time_s: Array
    est: Array
    gt: Array
    visible: Array
    gt_id: NDArray[np.int64]
    detected: NDArray[np.bool_]
    mssd: Array
    mspd: Array
    add: Array
    add_s: Array
    vsd: Array | None = None
    model_gap: Array | None = None

    @property
    def counted_estimates(self) -> int:
        """How many estimates the localisation scores look at."""
        return min(self.count, len(self.score))

    @property
    def counted_truths(self) -> int:
        """How many ground truths the localisation scores look at."""
        return min(self.count, len(self.gt_id))
