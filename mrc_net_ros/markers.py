"""The meshes at their poses, for RViz."""

from __future__ import annotations

from collections.abc import Mapping

from builtin_interfaces.msg import Duration
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from mrc_net_ros.loaded_bundle import KnownObject
from mrc_net_ros.prepared_frame import FrameResult, Instance

LIFETIME = Duration(sec=2)
"""A marker that is not renewed vanishes by itself: the node may have ended, or the camera."""


class MarkerBoard:
    """Remembers which markers are on display, so that those whose object has gone are taken off at once.

    A marker is named by its class (``ns``) and its instance's number (``id``), so that an instance replaces its own.
    """

    def __init__(self) -> None:
        self._shown: set[tuple[str, int]] = set()

    def message(self, result: FrameResult, objects: Mapping[str, KnownObject]) -> MarkerArray:
        """One marker for each instance of the frame, and a deletion for each that is not there any more."""
        present = {(one.estimate.class_id, one.number) for one in result.instances}
        gone = self._shown - present
        self._shown = present
        message = MarkerArray(markers=self._deletions(result.header, gone))
        for instance in result.instances:
            message.markers.append(_marker(result.header, instance, objects[instance.estimate.class_id]))
        return message

    def cleared(self) -> MarkerArray | None:
        """Deletions of all that is on display, or None where nothing is."""
        gone, self._shown = self._shown, set()
        return MarkerArray(markers=self._deletions(Header(), gone)) if gone else None

    @staticmethod
    def _deletions(header: Header, gone: set[tuple[str, int]]) -> list[Marker]:
        return [Marker(header=header, ns=ns, id=number, action=Marker.DELETE) for ns, number in sorted(gone)]


def _marker(header: Header, instance: Instance, item: KnownObject) -> Marker:
    estimate = instance.estimate
    marker = Marker(header=header, ns=estimate.class_id, id=instance.number, action=Marker.ADD)
    marker.type = Marker.MESH_RESOURCE
    marker.mesh_resource = item.mesh_url
    marker.mesh_use_embedded_materials = True
    marker.pose = instance.pose
    marker.scale.x = marker.scale.y = marker.scale.z = 1.0
    # Where a mesh has no materials RViz takes this colour; all zeros would be invisible
    marker.color.r, marker.color.g, marker.color.b, marker.color.a = 0.2, 0.9, 0.4, 0.8
    marker.lifetime = LIFETIME
    return marker
