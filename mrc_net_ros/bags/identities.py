"""Whether a true object keeps the instance id that is published with its poses."""

from __future__ import annotations

from collections.abc import Sequence

from mrc_net_ros.bags.judging import JudgedObject


def id_switches(rows: Sequence[JudgedObject]) -> int:
    """How often the published id of one true object differs from the one before it, over frames with a pose.

    Args:
        rows: of one object, in time order.
    """
    ids = [row.instance_id for row in rows if row.instance_id is not None]
    return sum(before != after for before, after in zip(ids, ids[1:]))
