"""A bundle that is ready to work: its network, its classes' ROS names, and what is known of its objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mrc_core.geometry import ObjectModel
from mrc_core.inference import Detection, Followed, PoseEstimator, PoseFollower
from mrc_net_ros.naming import topic_tokens
from mrc_net_ros.openmp_helpers import send_helpers_home
from mrc_net_ros.parameters import NodeSettings, ParameterError, check_class_map

WARM_UP_PASSES = 2


@dataclass(frozen=True)
class KnownObject:
    """One class: its model, and the file of its mesh (None where unknown)."""

    model: ObjectModel
    mesh_file: Path | None

    @property
    def mesh_url(self) -> str:
        """URL of the mesh on this host, or an empty text."""
        return "" if self.mesh_file is None else self.mesh_file.as_uri()

    @cached_property
    def box_m(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Centre (3,) and size (3,) of the upright box around the mesh, in the mesh's frame, metres."""
        vertices = np.asarray(self.model.mesh.vertices, dtype=np.float64)
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        return (low + high) / 2, high - low


@dataclass(frozen=True)
class LoadedBundle:
    """A bundle in use. ``tokens`` maps class ids to topic and frame names, ``objects`` class ids to objects."""

    path: str
    estimator: PoseEstimator
    tokens: Mapping[str, str]
    objects: Mapping[str, KnownObject]

    @cached_property
    def follower(self) -> PoseFollower:
        """Stage 2 of the estimator, from image to image."""
        return PoseFollower(self.estimator)

    @property
    def class_ids(self) -> list[str]:
        """In the order of the network's object_index."""
        return self.estimator.class_ids

    @property
    def in_words(self) -> str:
        """What was loaded, for messages."""
        return f"{len(self.tokens)} classes ({', '.join(self.tokens)}) from '{self.path}'"


def load_bundle(path: str, settings: NodeSettings) -> LoadedBundle:
    """Loads a bundle and checks that the node can publish it. OpenMP's helpers of the calling thread are sent home.

    Raises:
        ParameterError: no path, no such device, or a class map that leads to a class that the bundle has not.
        NamingError: two classes would get one name.
        BundleError: the bundle cannot be used.
    """
    if not path:
        raise ParameterError(
            "the parameter 'bundle' is empty: give the folder of a trained bundle, for example "
            "'--ros-args -p bundle:=demo/bundle'"
        )
    try:
        estimator = PoseEstimator.from_bundle(path, device=resolve_device(settings.device))
    finally:
        send_helpers_home()
    check_class_map(settings.class_map, estimator.class_ids)
    bundle = estimator.bundle
    files: Sequence[Path | None] = bundle.mesh_files or [None] * len(bundle.objects)
    objects = {model.class_id: KnownObject(model, file) for model, file in zip(bundle.objects, files)}
    return LoadedBundle(str(path), estimator, topic_tokens(estimator.class_ids), objects)


def warm_up(bundle: LoadedBundle, max_detections: int, with_tracking: bool = False) -> None:
    """Runs the network on noise and makes what is made once, so that the first frame is as fast as the last."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (480, 640, 3), dtype=np.uint8)
    matrix = np.array([[600.0, 0.0, 319.5], [0.0, 600.0, 239.5], [0.0, 0.0, 1.0]])
    detections = [Detection(class_id, (260.0, 180.0, 380.0, 300.0), 1.0) for class_id in bundle.class_ids]
    for item in bundle.objects.values():
        _ = item.box_m, item.model.moment
    for _ in range(WARM_UP_PASSES):
        found = bundle.estimator.estimate(picture, matrix, detections[:max_detections])
        if with_tracking:
            bundle.follower.follow(picture, matrix, [Followed(estimate) for estimate in found])


def resolve_device(device: str) -> str:
    """``cpu`` or ``cuda``. Raises ParameterError where CUDA is asked for and not there."""
    import torch

    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise ParameterError(
            "'device' is 'cuda', but torch sees no CUDA device: check the driver, or use 'auto' or 'cpu'"
        )
    return ("cuda" if has_cuda else "cpu") if device == "auto" else device


def free_gpu_memory() -> None:
    """Gives back what torch keeps of memory that nothing uses."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
