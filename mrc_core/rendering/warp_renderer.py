"""The default renderer: batched rasterisation with Warp, on the CPU and on CUDA from the same kernels."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
import warp as wp

from mrc_core.geometry.mesh import Mesh
from mrc_core.rendering import warp_kernels, warp_resolve, warp_shading
from mrc_core.rendering.checks import SceneInput, check_scene
from mrc_core.rendering.interface import Lights, Materials, Rendering
from mrc_core.rendering.texture import pack_textures
from mrc_core.rendering.texture_fill import prepare_texture

PLAIN_GREY = 178
_MAX_SAMPLES = 2**25  # of one pass, 8 bytes each
_MAX_VERTICES = 2**24  # of one pass, 24 bytes each
_MAX_FACES = 2**32  # of one pass: triangles are numbered in 32 bits
_SAMPLES_WORTH_A_THREAD = 2**16  # of a batch: with fewer, handing over takes longer than drawing
_QUEUE_LENGTH = 2**20
_QUEUE_THREADS = 2**16
_LARGE_SAMPLES = 1024.0  # more than this in a triangle's box, and several threads share it

# Two threads must not compile the same kernels at once.
_load_lock = threading.Lock()


class WarpRenderer:
    """See `Renderer`. Use `create_renderer`.

    The vertices, textures and scratch buffers stay on the device between calls. Calls from several threads wait for
    each other; for rendering at the same time, use a renderer for each thread.
    """

    def __init__(
        self,
        meshes: Sequence[Mesh],
        device: str | torch.device = "cpu",
        supersample: int = 1,
        max_texture_px: int = 2048,
        approximate: bool = False,
    ) -> None:
        """
        Args:
            meshes: the objects, in the order of their indices.
            device: "cpu" or a CUDA device.
            supersample: samples a pixel side for rgb and coverage, 1 to 8.
            max_texture_px: textures with a longer side are made smaller.
            approximate: see `create_renderer`.
        """
        if not meshes:
            raise ValueError("a renderer needs at least one mesh")
        if not 1 <= supersample <= 8:
            raise ValueError(f"supersample is 1 to 8, not {supersample}")
        self.device = torch.device(device)
        if self.device.type == "cuda" and self.device.index is None:
            self.device = torch.device("cuda", torch.cuda.current_device())
        self.num_objects = len(meshes)
        self.supersample, self.approximate = supersample, approximate and supersample > 1
        # A GPU wants many small threads; on the CPU, where Warp runs them one by one, few that each do much.
        self._many_threads = self.device.type == "cuda"
        self._lock = threading.Lock()
        self._scratch = threading.local()
        self._pool: ThreadPoolExecutor | None = None
        wp.config.log_level = max(
            wp.config.log_level, wp.LOG_WARNING
        )  # no banner, no word at each module load
        wp.init()
        self._wp_device = wp.device_from_torch(self.device)
        self._max_vertices = max(len(mesh.vertices) for mesh in meshes)
        self._max_faces = max(len(mesh.faces) for mesh in meshes)
        self._face_bits = (self._max_faces - 1).bit_length()
        self._tensors: list[torch.Tensor] = []  # what Warp only points to
        self._meshes = self._pack(meshes, max_texture_px)
        self._head_light = Lights.head_light(1, self.device)
        # Stand for what a call leaves out: an empty array has no address.
        self._nothing = torch.zeros(1, device=self.device)
        self._plain = Materials.plain(1).to(self.device)
        self._plain_arrays = _material_arrays(self._plain)
        with (
            _load_lock
        ):  # one pixel, so that compiling (seconds, once on a machine) is over before the first real call
            one = torch.eye(4, device=self.device)[None]
            self.render(torch.zeros(1, dtype=torch.int64), one, one[:, :3, :3].contiguous(), (1, 1))

    def render(
        self,
        object_index: torch.Tensor,
        cam_from_obj: torch.Tensor,
        K: torch.Tensor,
        size: tuple[int, int],
        lights: Lights | None = None,
    ) -> Rendering:
        """See `Renderer.render`."""
        return self._render(None, object_index, cam_from_obj, K, size, lights)

    def render_scenes(
        self,
        image_index: torch.Tensor,
        object_index: torch.Tensor,
        cam_from_obj: torch.Tensor,
        K: torch.Tensor,
        size: tuple[int, int],
        lights: Lights | None = None,
        materials: Materials | None = None,
    ) -> Rendering:
        """See `Renderer.render_scenes`."""
        return self._render(image_index, object_index, cam_from_obj, K, size, lights, materials)

    def _render(
        self,
        image_index: torch.Tensor | None,
        object_index: torch.Tensor,
        cam_from_obj: torch.Tensor,
        K: torch.Tensor,
        size: tuple[int, int],
        lights: Lights | None,
        materials: Materials | None = None,
    ) -> Rendering:
        lights = self._head_light if lights is None else lights
        scene = check_scene(
            image_index, object_index, cam_from_obj, K, size, lights, self.num_objects, self.device, materials
        )
        shape = (len(scene.K), scene.height, scene.width)
        result = Rendering(
            rgb=torch.empty((shape[0], 3, *shape[1:]), device=self.device),
            depth_m=torch.empty(shape, device=self.device),
            mask=torch.empty(shape, dtype=torch.bool, device=self.device),
            instance=torch.empty(shape, dtype=torch.int32, device=self.device),
            coverage=torch.empty(shape, device=self.device),
            first_light=None
            if materials is None
            else torch.empty((shape[0], 3, *shape[1:]), device=self.device),
        )
        stream: Any = contextlib.nullcontext()
        if self.device.type == "cuda":
            stream = wp.ScopedStream(wp.stream_from_torch(torch.cuda.current_stream(self.device)))
        with self._lock, stream:
            if self._fits(len(scene.object_index), shape) and self._sharers(shape) == 1:
                self._draw(scene, result, 0, shape[0], 0)
            else:
                self._draw_in_parts(scene, result)
        return result

    def _sharers(self, shape: tuple[int, int, int]) -> int:
        """Threads that share a batch of this shape: Warp runs a CPU kernel in one, but several kernels at once."""
        enough = shape[0] * shape[1] * shape[2] * self.supersample**2 // _SAMPLES_WORTH_A_THREAD
        return 1 if self._many_threads else max(1, min(torch.get_num_threads(), shape[0], enough))

    def _fits(self, instances: int, shape: tuple[int, int, int]) -> bool:
        return (
            shape[0] * shape[1] * shape[2] * self.supersample**2 <= _MAX_SAMPLES
            and instances * self._max_vertices <= _MAX_VERTICES
            and instances << self._face_bits <= _MAX_FACES
        )

    def _draw_in_parts(self, scene: SceneInput, result: Rendering) -> None:
        """Some images at a time: scratch memory stays bounded whatever the batch; on the CPU in several threads."""
        order = torch.argsort(scene.image_index, stable=True)
        counts = torch.bincount(scene.image_index, minlength=len(scene.K)).tolist()
        original_row = torch.cat([order.to(torch.int32), order.new_full((1,), -1, dtype=torch.int32)])
        threads = self._sharers((len(scene.K), scene.height, scene.width))
        share = -(-len(scene.K) // threads)
        parts: list[tuple[SceneInput, Rendering, int, int, int]] = []
        begin = first = 0
        while begin < len(scene.K):
            end, last = begin + 1, first + counts[begin]
            while (
                end < len(scene.K)
                and end - begin < share
                and self._fits(last + counts[end] - first, (end + 1 - begin, scene.height, scene.width))
            ):
                last += counts[end]
                end += 1
            rows = order[first:last]
            part = SceneInput(
                scene.image_index[rows] - begin,
                scene.object_index[rows],
                scene.cam_from_obj[rows],
                scene.K[begin:end],
                scene.lights,
                scene.height,
                scene.width,
                None if scene.materials is None else scene.materials.take(rows),
            )
            parts.append((part, result, begin, end, first))
            begin, first = end, last
        if threads > 1:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="warp")
            list(self._pool.map(lambda arguments: self._draw(*arguments), parts))
        else:
            for arguments in parts:
                self._draw(*arguments)
        # The parts numbered the instances in the order of their images; row -1 is the last one, which stays -1.
        result.instance.copy_(original_row[result.instance.long()])

    def _draw(self, scene: SceneInput, result: Rendering, begin: int, end: int, first_instance: int) -> None:
        """Draw images begin..end of the result; the scene holds those images alone."""
        instances = len(scene.object_index)
        room = instances * self._max_vertices
        in_camera = _as_vec3(self._buffer("in_camera", (room, 3), torch.float32), room)
        on_screen = _as_vec3(self._buffer("on_screen", (room, 3), torch.float32), room)
        object_index = _wp(scene.object_index)
        image_index = _wp(scene.image_index)
        poses = _wp(scene.cam_from_obj, wp.mat44)
        cameras = _wp(scene.K, wp.mat33)
        inputs = (object_index, image_index, poses, cameras, in_camera, on_screen)
        if self.approximate:
            centre_keys = sample_keys = self._rasterise("sample_keys", self.supersample, scene, inputs)
        else:
            centre_keys = sample_keys = self._rasterise("keys", 1, scene, inputs)
            if self.supersample > 1:
                sample_keys = self._rasterise("sample_keys", self.supersample, scene, inputs)
        frame = self._frame(scene, 1)
        frame.scale = self.supersample
        columns = scene.width if self._many_threads else 1
        outputs = (result.rgb, result.depth_m, result.mask, result.instance, result.coverage)
        split = self._nothing if result.first_light is None else result.first_light[begin:end].reshape(-1)
        wp.launch(
            warp_resolve.resolve,
            dim=((end - begin) * scene.height, columns),
            inputs=[
                self._meshes,
                frame,
                object_index,
                poses,
                cameras,
                _light_arrays(scene.lights),
                self._plain_arrays if scene.materials is None else _material_arrays(scene.materials),
                int(scene.materials is not None),
                int(self.approximate),
                in_camera,
                begin,
                first_instance,
                columns,
                centre_keys,
                sample_keys,
                *(_wp(output[begin:end].reshape(-1)) for output in outputs),
                _wp(split),
            ],
            device=self._wp_device,
        )

    def _rasterise(self, name: str, scale: int, scene: SceneInput, inputs: tuple[Any, ...]) -> Any:
        object_index, image_index, poses, cameras, in_camera, on_screen = inputs
        instances, images = len(scene.object_index), len(scene.K)
        samples = images * scene.height * scene.width * scale**2
        key_array = wp.from_torch(self._buffer(name, (samples,), torch.int64), dtype=wp.uint64)
        # By Warp, not by torch, which would have OpenMP keep helpers for this one of the pool's threads: with more
        # helpers than processors OpenMP lets them sleep in between, and the network's passes take far longer
        key_array.zero_()
        keys = key_array.__ctype__()
        if instances == 0:
            return keys
        frame = self._frame(scene, scale)
        step = 1 if self._many_threads else 64
        wp.launch(
            warp_kernels.transform_vertices,
            dim=(instances, -(-self._max_vertices // step)),
            inputs=[
                self._meshes,
                frame,
                object_index,
                image_index,
                poses,
                cameras,
                step,
                in_camera,
                on_screen,
            ],
            device=self._wp_device,
        )
        queue = self._buffer("queue", (_QUEUE_LENGTH if self._many_threads else 1,), torch.int32)
        queued = self._buffer("queued", (1,), torch.int32)
        queued.zero_()
        shared = (_wp(queue, wp.uint32), _wp(queued), keys)
        scene_arrays = [self._meshes, frame, object_index, image_index, cameras, in_camera, on_screen]
        wp.launch(
            warp_kernels.rasterise,
            dim=(instances, -(-self._max_faces // step)),
            inputs=[*scene_arrays, step, _LARGE_SAMPLES if self._many_threads else 0.0, *shared],
            device=self._wp_device,
        )
        if self._many_threads:
            wp.launch(
                warp_kernels.rasterise_large,
                dim=_QUEUE_THREADS,
                inputs=[*scene_arrays, _QUEUE_THREADS, *shared],
                device=self._wp_device,
            )
        return keys

    def _frame(self, scene: SceneInput, scale: int) -> Any:
        frame = warp_kernels.Frame()
        frame.width, frame.height, frame.scale = scene.width * scale, scene.height * scale, scale
        frame.max_vertices, frame.face_bits = self._max_vertices, self._face_bits
        return frame

    def _buffer(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Scratch memory of this thread that is kept from call to call and only grows."""
        count = max(1, int(np.prod(shape)))
        buffers: dict[str, torch.Tensor] = self._scratch.__dict__
        if name not in buffers or buffers[name].numel() < count:
            buffers[name] = torch.empty(count, dtype=dtype, device=self.device)
        return buffers[name][:count]

    def _pack(self, meshes: Sequence[Mesh], max_texture_px: int) -> Any:
        packed = warp_kernels.Meshes()
        textures = pack_textures([_prepared(mesh, max_texture_px) for mesh in meshes])
        vertex_count = [len(mesh.vertices) for mesh in meshes]
        face_count = [len(mesh.faces) for mesh in meshes]
        arrays: dict[str, tuple[np.ndarray, Any]] = {
            "vertices": (np.concatenate([mesh.vertices for mesh in meshes]), wp.vec3),
            "normals": (np.concatenate([mesh.normals for mesh in meshes]), wp.vec3),
            "uv": (np.concatenate([_uv_or_zero(mesh) for mesh in meshes]), wp.vec2),
            "colors": (np.concatenate([_colors(mesh) for mesh in meshes]), wp.vec3),
            "faces": (np.concatenate([mesh.faces for mesh in meshes]), wp.vec3i),
            "vertex_start": (np.cumsum([0, *vertex_count[:-1]], dtype=np.int32), wp.int32),
            "vertex_count": (np.array(vertex_count, np.int32), wp.int32),
            "face_start": (np.cumsum([0, *face_count[:-1]], dtype=np.int32), wp.int32),
            "face_count": (np.array(face_count, np.int32), wp.int32),
            "texels": (textures.texels.view(np.int32), wp.uint32),
            "levels": (textures.levels, wp.vec3i),
            "level_count": (textures.count, wp.int32),
        }
        for key, (array, dtype) in arrays.items():
            tensor = torch.tensor(array, device=self.device)
            self._tensors.append(tensor)
            setattr(packed, key, wp.from_torch(tensor, dtype=dtype))
        return packed


def _prepared(mesh: Mesh, max_texture_px: int) -> np.ndarray | None:
    if mesh.texture is None or mesh.uv is None:
        return None
    return prepare_texture(mesh.texture, mesh.uv, mesh.faces, max_texture_px)


def _uv_or_zero(mesh: Mesh) -> np.ndarray:
    return np.zeros((len(mesh.vertices), 2), np.float32) if mesh.uv is None else mesh.uv


def _colors(mesh: Mesh) -> np.ndarray:
    colors = mesh.vertex_colors
    if colors is None:
        colors = np.full((len(mesh.vertices), 3), PLAIN_GREY, np.uint8)
    return colors.astype(np.float32) / 255.0


def _wp(tensor: torch.Tensor, dtype: Any = None) -> Any:
    return wp.from_torch(tensor, dtype=dtype, return_ctype=True)


def _as_vec3(tensor: torch.Tensor, count: int) -> Any:
    return wp.from_torch(
        tensor.view(-1, 3) if count else tensor.new_zeros((1, 3)), dtype=wp.vec3, return_ctype=True
    )


def _material_arrays(materials: Materials) -> Any:
    arrays = warp_shading.MaterialArrays()
    arrays.mix = wp.from_torch(materials.mix, dtype=wp.mat33)
    arrays.shift = wp.from_torch(materials.shift, dtype=wp.vec3)
    arrays.specular = wp.from_torch(materials.specular)
    arrays.shininess = wp.from_torch(materials.shininess)
    return arrays


def _light_arrays(lights: Lights) -> Any:
    arrays = warp_shading.LightArrays()
    arrays.ambient = wp.from_torch(lights.ambient, dtype=wp.vec3)
    arrays.directions = wp.from_torch(torch.nn.functional.normalize(lights.directions, dim=-1), dtype=wp.vec3)
    arrays.colors = wp.from_torch(lights.colors, dtype=wp.vec3)
    arrays.specular = wp.from_torch(lights.specular)
    arrays.shininess = wp.from_torch(lights.shininess)
    return arrays
