"""Why nothing comes out: says which input is missing, from what came in during the last seconds."""

from __future__ import annotations

from collections.abc import Sequence

from mrc_net_ros.synchroniser import FrameSynchroniser

PATIENCE_S = 5.0
NO_FRAME_IS_USED = (
    "images arrive with all that belongs to them, but none can be used ({count} refused or failed): the log says why"
)
NO_DETECTION_IS_USED = (
    "detections arrive, but none has become a pose yet ({count} left out lately): see 'dropped detections' and "
    "'unknown classes' here, and the log"
)


class StarvationWatch:
    """Compares the synchroniser's counters with those of some seconds ago."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._since_s: float | None = None
        self._counts = (0, 0, 0)
        self._trouble = ""

    def trouble(self, synchroniser: FrameSynchroniser, topics: Sequence[str], now_s: float) -> str:
        """What keeps frames from being complete, or an empty text.

        Args:
            topics: names of the camera info's, the image's and the detections' topic.
            now_s: seconds, monotonic.
        """
        counts = (synchroniser.images, synchroniser.detections, synchroniser.pairs)
        if self._since_s is None or counts[2] != self._counts[2]:
            self._since_s, self._counts = now_s, counts
            self._trouble = ""
        elif now_s - self._since_s >= self._patience_s:
            images, detections = counts[0] - self._counts[0], counts[1] - self._counts[1]
            self._since_s, self._counts = now_s, counts
            self._trouble = _reason(images, detections, topics)
        if synchroniser.waits_for_camera_info:
            return _no_camera_info(synchroniser, topics)
        return self._trouble


class RefusalWatch:
    """Compares counts of what was used with counts of what could not be.

    Args:
        text: what to say, with the place ``{count}`` for how many could not be used.
    """

    def __init__(self, text: str = NO_FRAME_IS_USED, patience_s: float = PATIENCE_S) -> None:
        self._text, self._patience_s = text, patience_s
        self._since_s: float | None = None
        self._counts = (0, 0)
        self._trouble = ""

    def trouble(self, answered: int, unusable: int, now_s: float) -> str:
        """Says that all of the last seconds could not be used, or nothing.

        Args:
            answered: so far, of what came to something.
            unusable: so far, of what was refused or failed.
            now_s: seconds, monotonic.
        """
        more = unusable - self._counts[1]
        if self._since_s is None or answered != self._counts[0] or more < 0:
            self._since_s, self._counts, self._trouble = now_s, (answered, unusable), ""
        elif now_s - self._since_s >= self._patience_s:
            self._since_s, self._counts = now_s, (answered, unusable)
            self._trouble = self._text.format(count=more) if more else ""
        return self._trouble


def _reason(images: int, detections: int, topics: Sequence[str]) -> str:
    _, image_topic, detections_topic = topics
    if images and detections:
        return (
            f"images on {image_topic} and detections on {detections_topic} arrive, but their stamps never "
            "match: the "
            "detector must copy the image's header, or set 'sync_slop_s'; for a slow detector raise "
            "'sync_queue_size'"
        )
    if images:
        return f"images arrive, but nothing on {detections_topic}: start the detector or remap 'detections'"
    if detections:
        return (
            f"detections arrive, but no images on {image_topic}: remap the topic or set 'image_transport'; "
            "large best-effort images get lost in DDS, which 'image_qos: reliable' avoids"
        )
    return (
        f"neither images on {image_topic} nor detections on {detections_topic} arrive: start the camera and "
        "the detector, or remap the topics"
    )


def _no_camera_info(synchroniser: FrameSynchroniser, topics: Sequence[str]) -> str:
    others = synchroniser.camera_infos.frame_ids
    if others:
        return (
            f"camera infos on {topics[0]} come from the frame '{', '.join(others)}', but none from the "
            "image's frame: use the camera_info of this very stream"
        )
    return (
        f"images and detections wait, but no camera info came on {topics[0]}: remap 'camera_info', or check "
        "its QoS"
    )
