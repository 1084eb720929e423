"""Draws and renders the images of a synthetic data set: piles of objects on a floor, with their whole truth."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from mrc_core.data.bop_writer import ImageRecord, InstanceRecord, clip_to_image
from mrc_core.data.draws import uniform
from mrc_core.data.one_thread import one_thread
from mrc_core.data.piles import drop_pile, surface_cloud
from mrc_core.data.room_pictures import blur, noise, room_lights
from mrc_core.data.rooms import camera_towards, render_room
from mrc_core.data.scene_sampling import SceneConfig, sample_cameras, sides_down
from mrc_core.data.scenes import SceneRenderer
from mrc_core.geometry.cameras import project
from mrc_core.geometry.mesh import Mesh
from mrc_core.geometry.rotations import make_transform, random_rotations, rotation_about, transform_points

Range = tuple[float, float]
NEAREST = 0.25  # nothing comes nearer to the camera than this part of the distance to the pile's middle
FINE_DEPTH_SCALE, COARSE_DEPTH_SCALE = 0.1, 1.0  # mm; 16 bits reach 6.5 m and 65 m


class DatasetSceneConfig(BaseModel):
    """What the images look like. Ranges are (low, high), drawn uniformly unless said otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_width: int = Field(default=640, ge=64, le=4096)
    image_height: int = Field(default=480, ge=64, le=4096)
    objects_per_image: tuple[int, int] = (3, 8)
    max_instances: int = Field(default=1, ge=1)  # of one class in an image
    max_distractors: int = Field(default=4, ge=0)  # unknown solids among the objects
    focal_range: Range = (0.9, 1.5)  # over the image's width; log-uniform, one camera for each scene
    distance_range: Range = (
        3.0,
        6.5,
    )  # camera to the pile's middle, over the objects' mean diameter; log-uniform
    elevation_deg: Range = (12.0, 75.0)  # of the camera above the floor; low ones hide more
    camera_roll_deg: float = Field(default=15.0, ge=0, le=45)
    standing_fraction: float = Field(default=0.4, ge=0, le=1)  # objects that stand on their -z side
    resting_fraction: float = Field(
        default=0.2, ge=0, le=1
    )  # that lie on any of six sides; the others: uniform on SO(3)
    spread: Range = (0.45, 0.95)  # the pile's radius over what the objects would need side by side
    off_centre_fraction: float = Field(default=0.3, ge=0, le=1)  # images whose pile is partly outside
    max_holes: int = Field(default=8, ge=0)  # patches without depth, as sensors leave them

    @model_validator(mode="after")
    def _ranges_are_in_order(self) -> DatasetSceneConfig:
        for key in ("objects_per_image", "focal_range", "distance_range", "elevation_deg", "spread"):
            low, high = getattr(self, key)
            if not 0 < low <= high:
                raise ValueError(f"{key} is ({low}, {high}): it needs 0 < low <= high")
        if self.elevation_deg[1] > 80:
            raise ValueError(
                "elevation_deg goes beyond 80: the wall behind the objects would come into question"
            )
        return self


def seeded(*parts: object) -> torch.Generator:
    """A generator that depends on all of its arguments and on nothing else."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


class DatasetScenes:
    """Makes the images of a data set; an image depends on the seed and its numbers alone.

    Args:
        probe: a plain renderer of `meshes`.
        camera: the same with smooth edges (supersampling): makes the pictures.
        meshes: the data set's objects in their own frames, number n of the data set at n - 1, then the distractors.
        num_objects: how many of the meshes are objects.
        config: what the images look like.
        seed: of everything drawn; different splits need different ones ("0/test").

    Raises:
        ValueError: an image is to have more objects than there are.
    """

    def __init__(
        self,
        probe: SceneRenderer,
        camera: SceneRenderer,
        meshes: Sequence[Mesh],
        num_objects: int,
        config: DatasetSceneConfig,
        seed: int | str,
    ) -> None:
        most = num_objects * config.max_instances
        if config.objects_per_image[1] > most:
            raise ValueError(
                f"up to {config.objects_per_image[1]} objects an image are asked for, but {num_objects}, each at most "
                f"{config.max_instances} times, make {most}: ask for fewer, or allow more instances of one object"
            )
        self.probe, self.camera, self.num_objects = probe, camera, num_objects
        self.config, self.seed = config, seed
        self._clouds = [surface_cloud(mesh) for mesh in meshes]
        self._diameters = [mesh.diameter for mesh in meshes]
        farthest = 2 * config.distance_range[1] * max(self._diameters[:num_objects])
        self._depth_scale = FINE_DEPTH_SCALE if farthest < 6.5 else COARSE_DEPTH_SCALE

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the images."""
        return self.config.image_height, self.config.image_width

    def camera_matrix(self, scene_id: int) -> Tensor:
        """K (3, 3), float32, of all images of a scene."""
        like = SceneConfig(
            image_width=self.config.image_width,
            image_height=self.config.image_height,
            focal_range=self.config.focal_range,
            principal_point_shift=0.02,
        )
        return sample_cameras(1, like, seeded(self.seed, scene_id, "camera"))[0]

    def image(self, scene_id: int, image_id: int) -> ImageRecord:
        """One image with its truth."""
        with one_thread():
            return self._image(scene_id, image_id)

    def _image(self, scene_id: int, image_id: int) -> ImageRecord:
        rng = seeded(self.seed, scene_id, image_id)
        K = self.camera_matrix(scene_id)
        mesh_index = self._draw_objects(rng)
        world_from_obj = self._draw_pile(mesh_index, rng)
        cam_from_world, wall_y = self._draw_view(K, mesh_index, world_from_obj, rng)
        cam_from_obj = (cam_from_world @ world_from_obj).float()
        lights = room_lights(1, rng)
        image_index = torch.zeros(len(mesh_index), dtype=torch.int64)
        scene = self.camera.render_scenes(
            image_index, torch.tensor(mesh_index), cam_from_obj, K[None], self.size, lights
        )
        room, room_depth = render_room(K, self.size, cam_from_world, wall_y, lights, rng)
        instance = scene.instance[0].cpu().numpy()
        rgb = scene.rgb[0].cpu() + (1 - scene.coverage[0].cpu()) * room
        rgb = noise(blur(rgb[None], rng, largest_px=0.8), rng, largest=0.015)[0].clamp(0, 1)
        depth = np.where(instance >= 0, scene.depth_m[0].cpu().numpy().astype(np.float64), room_depth.numpy())
        records = tuple(
            self._record(K, index, pose, instance == row)
            for row, (index, pose) in enumerate(zip(mesh_index, cam_from_obj))
            if index < self.num_objects
        )
        return ImageRecord(
            rgb=(rgb * 255).round().to(torch.uint8).permute(1, 2, 0).numpy(),
            depth_m=self._with_holes(depth, [item.visible for item in records], rng),
            K=K.double().numpy(),
            instances=records,
            depth_scale=self._depth_scale,
        )

    # ---- where everything stands -------------------------------------------------------------------------------------
    def _draw_objects(self, rng: torch.Generator) -> list[int]:
        """Indices of the meshes in an image, in the order in which they are dropped."""
        low, high = self.config.objects_per_image
        count = _whole(low, high, rng)
        every = torch.arange(self.num_objects).repeat(self.config.max_instances)
        chosen = every[torch.randperm(len(every), generator=rng)[:count]]
        unknown = len(self._clouds) - self.num_objects
        extra = min(_whole(0, self.config.max_distractors, rng), unknown)
        others = self.num_objects + torch.randperm(unknown, generator=rng)[:extra]
        together = torch.cat([chosen, others])
        return together[torch.randperm(len(together), generator=rng)].tolist()

    def _draw_pile(self, mesh_index: list[int], rng: torch.Generator) -> Tensor:
        """Poses world_from_obj (N, 4, 4), float64."""
        count = len(mesh_index)
        z = torch.tensor([0.0, 0, 1]).expand(count, 3)
        upright = rotation_about(z, uniform((count,), 0, 2 * math.pi, rng))
        resting = upright @ sides_down()[torch.randint(6, (count,), generator=rng)]
        kind = torch.rand(count, generator=rng)[:, None, None]
        lying = self.config.standing_fraction + self.config.resting_fraction
        free = random_rotations(count, rng)
        rotation = torch.where(
            kind < self.config.standing_fraction, upright, torch.where(kind < lying, resting, free)
        )
        side_by_side = math.sqrt(sum((self._diameters[i] / 2) ** 2 for i in mesh_index))
        radius = (
            side_by_side * uniform((1,), *self.config.spread, rng) * torch.rand(count, generator=rng).sqrt()
        )
        angle = uniform((count,), 0, 2 * math.pi, rng)
        at = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)
        clouds = [self._clouds[i] for i in mesh_index]
        return torch.from_numpy(drop_pile(clouds, rotation.double().numpy(), at.double().numpy()))

    def _draw_view(
        self, K: Tensor, mesh_index: list[int], world_from_obj: Tensor, rng: torch.Generator
    ) -> tuple[Tensor, float]:
        """cam_from_world (4, 4), float64, and the wall's y in the world's frame."""
        clouds = [
            transform_points(pose, torch.from_numpy(self._clouds[i]))
            for i, pose in zip(mesh_index, world_from_obj)
        ]
        points = torch.cat(clouds)
        middle = (points.amin(dim=0) + points.amax(dim=0)) / 2
        roll = _number(-1, 1, rng) * math.radians(self.config.camera_roll_deg)
        low, high = (math.sin(math.radians(v)) for v in self.config.elevation_deg)
        rotation = camera_towards(math.asin(_number(low, high, rng)), roll)
        known = [self._diameters[i] for i in mesh_index if i < self.num_objects]
        low, high = (math.log(v) for v in self.config.distance_range)
        distance = math.exp(_number(low, high, rng)) * sum(known) / len(known)
        # drawn back where a large object in front would reach to the camera
        nearest = float(((points - middle) @ rotation[2]).min())
        distance = max(distance, -nearest / (1 - NEAREST))
        reach = 0.42 if float(torch.rand((), generator=rng)) < self.config.off_centre_fraction else 0.12
        image = torch.tensor([self.config.image_width, self.config.image_height], dtype=torch.float64)
        at = image * (0.5 + reach * uniform((2,), -1, 1, rng).double())
        ray = torch.linalg.inv(K.double()) @ torch.cat([at, torch.ones(1, dtype=torch.float64)])
        pose = make_transform(rotation, distance * ray - rotation @ middle)
        wall_y = float(points[:, 1].max()) + distance * _number(0.1, 0.8, rng)
        return pose, wall_y

    # ---- what is seen ------------------------------------------------------------------------------------------------
    def _record(
        self, K: Tensor, index: int, cam_from_obj: Tensor, visible: NDArray[np.bool_]
    ) -> InstanceRecord:
        """The truth of an instance; its silhouette is rendered alone, in a window that covers all of it."""
        corners = project(
            K.double(), transform_points(cam_from_obj.double(), torch.from_numpy(self._clouds[index]))
        )
        first = corners.amin(dim=0).floor().long() - 1
        columns, rows = (corners.amax(dim=0).ceil().long() + 2 - first).tolist()
        shifted = K.clone()
        shifted[:2, 2] -= first
        alone = self.probe.render_scenes(
            torch.zeros(1, dtype=torch.int64),
            torch.tensor([index]),
            cam_from_obj[None],
            shifted[None],
            (rows, columns),
        )
        silhouette, origin = alone.mask[0].cpu().numpy(), (int(first[0]), int(first[1]))
        # rounding may draw a pixel of the rim in one picture and not in the other; the visible is a part of the whole
        visible = visible & clip_to_image(silhouette, origin, self.size)
        return InstanceRecord(index + 1, cam_from_obj.double().numpy(), silhouette, origin, visible)

    def _with_holes(
        self, depth: NDArray[np.float64], visible: list[NDArray[np.bool_]], rng: torch.Generator
    ) -> NDArray[np.float64]:
        """Depth without some patches; none takes more than half of what is seen of an object."""
        height, width = depth.shape
        holes = np.zeros((height, width), np.uint8)
        for _ in range(_whole(0, self.config.max_holes, rng)):
            centre = (_whole(0, width - 1, rng), _whole(0, height - 1, rng))
            axes = (_whole(1, max(2, width // 25), rng), _whole(1, max(2, width // 50), rng))
            cv2.ellipse(holes, centre, axes, _number(0, 180, rng), 0, 360, 1, thickness=-1)
        for mask in visible:
            if 2 * int(holes[mask].sum()) > int(mask.sum()):
                holes[mask] = 0
        return np.where(holes > 0, 0.0, depth)


def _number(low: float, high: float, rng: torch.Generator) -> float:
    return float(uniform((), low, high, rng))


def _whole(low: int, high: int, rng: torch.Generator) -> int:
    return int(torch.randint(low, high + 1, (), generator=rng))
