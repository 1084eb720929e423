"""True poses from the bag's TF: frames that are called after the classes, in the camera's optical frame."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from mrc_net_ros.bag_frames import BagError
from mrc_net_ros.bags.recording import Recording
from mrc_net_ros.bags.replay import ReplayedFrame
from mrc_net_ros.bags.transform_tree import NotKnown, TransformTree
from mrc_net_ros.bags.truth import TrueObject
from mrc_net_ros.naming import topic_tokens

TF_TOPICS = ("/tf_static", "/tf")
TF_MESSAGE = "tf2_msgs/msg/TFMessage"


class TfTruth:
    """Frames ``<prefix><class>`` or ``<prefix><class>_<instance>``, looked up at the image's stamp.

    A class id may be written as it is or as the node writes it (other characters as ``_``).

    Raises:
        BagError: the bag has no TF, or no frame of these names.
    """

    def __init__(self, recording: Recording, prefix: str, class_ids: Sequence[str]) -> None:
        there = [
            t for t in TF_TOPICS if t in recording.topics and recording.topics[t].type_name == TF_MESSAGE
        ]
        if not there:
            raise BagError(
                "--gt tf needs /tf or /tf_static, and the bag has neither: choose another ground truth"
            )
        self.missing: Counter[str] = Counter()
        self._tree = TransformTree()
        for raw in recording.messages(there):
            self._tree.add(raw.read(), is_static=raw.topic == "/tf_static")
        self._class_of = frames_of_classes(self._tree.child_frames, prefix, class_ids)
        if not self._class_of:
            raise BagError(
                f"no TF frame in the bag is called '{prefix}<class>' or '{prefix}<class>_<instance>' for a class of "
                f"the bundle ({', '.join(class_ids)}); there is: {', '.join(self._tree.child_frames)}. The prefix goes "
                "behind a colon: --gt tf:PREFIX"
            )
        self.description = f"TF ({', '.join(self._class_of)}), interpolated at the image's stamp"

    def objects(self, frame: ReplayedFrame) -> list[TrueObject] | None:
        """The objects whose frames are connected to the image's at its stamp; None where none is.

        Raises:
            BagError: the image's frame is not in the tree at all.
        """
        camera = frame.frame.image.header.frame_id
        if not self._tree.is_known(camera):
            raise BagError(
                f"the image's frame '{camera}' is not part of the bag's TF, so the true poses cannot be told in it: "
                f"record the camera's transforms too; there is: {', '.join(self._tree.child_frames)}"
            )
        found = []
        for name, class_id in self._class_of.items():
            try:
                found.append(TrueObject(class_id, name, self._tree.lookup(camera, name, frame.stamp_ns)))
            except NotKnown as error:
                self.missing[re.sub(r", not at .*", ", not at an image's stamp", str(error))] += 1
        return found or None

    def follows_detections(self, frame: ReplayedFrame) -> bool:
        """TF knows nothing of detections."""
        return False


def frames_of_classes(frames: Sequence[str], prefix: str, class_ids: Sequence[str]) -> dict[str, str]:
    """The class of every TF frame that is called after one; the longest class id that fits wins."""
    tokens = topic_tokens(class_ids)
    names = {**{token: class_id for class_id, token in tokens.items()}, **{c: c for c in class_ids}}
    found: dict[str, str] = {}
    for frame in sorted(frames):
        if not frame.startswith(prefix.lstrip("/")):
            continue
        rest = frame[len(prefix.lstrip("/")) :]
        fitting = [n for n in names if rest == n or re.fullmatch(re.escape(n) + r"_[A-Za-z0-9]+", rest)]
        if fitting:
            found[frame] = names[max(fitting, key=len)]
    return found
