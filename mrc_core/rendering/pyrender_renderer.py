"""The reference renderer: pyrender, OpenGL through EGL. Slow and independent of ours, to compare with."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mrc_core.geometry.mesh import Mesh
from mrc_core.rendering.checks import SceneInput, check_scene
from mrc_core.rendering.interface import NEAR_M, Lights, Materials, Rendering
from mrc_core.rendering.texture_fill import prepare_texture

_GL_FROM_CV = np.diag([1.0, -1.0, -1.0, 1.0])  # OpenGL's camera looks along -z, y up
_GAMMA = 2.2  # pyrender lights in linear space, our lights are defined in the image's
_PLAIN_GREY = 178 / 255

# All renderers share one OpenGL context, one thread at a time: deleting a context would end EGL for all others too.
_gl_lock = threading.Lock()
_offscreen: Any = None


class PyrenderRenderer:
    """See `Renderer`. Use `create_renderer`.

    Geometry is exact, colours are alike: pyrender's shading model is another one, and only lights without direction
    give the same picture. The intrinsics may have no skew.
    """

    def __init__(
        self,
        meshes: Sequence[Mesh],
        device: str | torch.device = "cpu",
        supersample: int = 1,
        max_texture_px: int = 2048,
    ) -> None:
        """
        Args:
            meshes: the objects, in the order of their indices.
            device: where the results lie.
            supersample: samples a pixel side for rgb and coverage, 1 to 8.
            max_texture_px: textures with a longer side are made smaller.

        Raises:
            RuntimeError: pyrender or EGL is missing.
        """
        if not meshes:
            raise ValueError("a renderer needs at least one mesh")
        if not 1 <= supersample <= 8:
            raise ValueError(f"supersample is 1 to 8, not {supersample}")
        self.device = torch.device(device)
        self.num_objects = len(meshes)
        self.supersample = supersample
        self._pyrender = _import_pyrender()
        self._meshes = list(meshes)
        self._radius = [float(np.linalg.norm(mesh.vertices, axis=1).max()) for mesh in meshes]
        self._materials = [self._material(mesh, max_texture_px) for mesh in meshes]
        self._nodes: list[list[Any]] = [[] for _ in meshes]  # of each object, as many as an image ever needed
        self._lights: list[Any] = []
        self._scene = self._pyrender.Scene(bg_color=np.zeros(4))
        self._camera = self._pyrender.IntrinsicsCamera(1, 1, 0, 0)
        self._scene.add(self._camera, pose=np.eye(4))
        with _gl_lock:
            self._offscreen = _shared_offscreen(self._pyrender)

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
        if materials is not None:
            raise ValueError("the pyrender backend has no materials of instances: use the warp backend")
        return self._render(image_index, object_index, cam_from_obj, K, size, lights)

    def _render(
        self,
        image_index: torch.Tensor | None,
        object_index: torch.Tensor,
        cam_from_obj: torch.Tensor,
        K: torch.Tensor,
        size: tuple[int, int],
        lights: Lights | None,
    ) -> Rendering:
        cpu = torch.device("cpu")
        scene = check_scene(image_index, object_index, cam_from_obj, K, size, lights, self.num_objects, cpu)
        if scene.K[:, 0, 1].any() or scene.K[:, 1, 0].any():
            raise ValueError(
                "the pyrender backend cannot draw skewed or rotated intrinsics: use the warp backend"
            )
        with _gl_lock:
            images = [self._image(scene, b) for b in range(len(scene.K))]
        rgb, depth, instance, coverage = (torch.from_numpy(np.stack(part)) for part in zip(*images))
        return Rendering(
            rgb=rgb.permute(0, 3, 1, 2).contiguous().to(self.device),
            depth_m=depth.to(self.device),
            mask=(depth > 0).to(self.device),
            instance=instance.to(self.device),
            coverage=coverage.to(self.device),
        )

    def _image(self, scene: SceneInput, image: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """rgb (H, W, 3), depth (H, W), instance (H, W) and coverage (H, W) of one image."""
        rows = torch.nonzero(scene.image_index == image)[:, 0].tolist()
        colors = self._place(scene, rows)
        self._light(scene.lights, min(image, len(scene.lights.ambient) - 1))
        flags = self._pyrender.RenderFlags
        K, height, width = scene.K[image].double().numpy(), scene.height, scene.width
        rgb, depth = self._draw(K, height, width, 1, flags.NONE)
        instance = np.where(depth > 0, rows[0] if rows else -1, -1).astype(np.int32)
        if len(rows) > 1:
            segments, depth = self._draw(K, height, width, 1, flags.SEG, colors)
            order = segments.astype(np.int64) @ [1, 256, 65536] - 1
            instance = np.where(depth > 0, np.array(rows)[order], -1).astype(np.int32)
        if self.supersample == 1:
            return rgb / np.float32(255), depth, instance, (depth > 0).astype(np.float32)
        s = self.supersample
        fine, fine_depth = self._draw(K, height, width, s, flags.NONE)
        rgb = fine.reshape(height, s, width, s, 3).mean(axis=(1, 3), dtype=np.float32) / np.float32(255)
        coverage = (fine_depth > 0).reshape(height, s, width, s).mean(axis=(1, 3), dtype=np.float32)
        return rgb, depth, instance, coverage

    def _draw(
        self,
        K: np.ndarray,
        height: int,
        width: int,
        scale: int,
        flags: int,
        colors: dict[Any, Any] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        # pyrender counts from the pixel's edge, we from its centre.
        self._camera.fx, self._camera.fy = K[0, 0] * scale, K[1, 1] * scale
        self._camera.cx, self._camera.cy = (K[0, 2] + 0.5) * scale, (K[1, 2] + 0.5) * scale
        self._offscreen.viewport_width, self._offscreen.viewport_height = width * scale, height * scale
        rgb, depth = self._offscreen.render(self._scene, flags, colors)
        return np.array(rgb[..., :3]), np.array(depth)

    def _place(self, scene: SceneInput, rows: list[int]) -> dict[Any, tuple[int, int, int]]:
        """Put the instances of an image in the scene; gives each node the colour that stands for its row."""
        used = [0] * self.num_objects
        colors = {}
        nearest, farthest = np.inf, NEAR_M
        for order, row in enumerate(rows):
            obj = int(scene.object_index[row])
            if used[obj] == len(self._nodes[obj]):
                self._nodes[obj].append(self._scene.add(self._mesh(obj)))
            node = self._nodes[obj][used[obj]]
            used[obj] += 1
            pose = scene.cam_from_obj[row].double().numpy()
            self._scene.set_pose(node, _GL_FROM_CV @ pose)
            number = order + 1
            colors[node] = (number % 256, number // 256 % 256, number // 65536)
            nearest = min(nearest, pose[2, 3] - self._radius[obj])
            farthest = max(farthest, pose[2, 3] + self._radius[obj])
        for nodes, count in zip(self._nodes, used):
            for i, node in enumerate(nodes):
                node.mesh.is_visible = i < count
        # The depth buffer has 24 bits: with the near plane just before the objects they go further than from 1 mm on.
        self._camera.znear = max(NEAR_M, 0.9 * min(nearest, 10.0))
        self._camera.zfar = max(2 * self._camera.znear, 1.1 * farthest)
        return colors

    def _light(self, lights: Lights, index: int) -> None:
        for node in self._lights:
            self._scene.remove_node(node)
        self._scene.ambient_light = lights.ambient[index].clamp(min=0).numpy() ** _GAMMA
        self._lights = []
        for direction, color in zip(lights.directions[index].numpy(), lights.colors[index].numpy()):
            light = self._pyrender.DirectionalLight(color=np.clip(color, 0, None) ** _GAMMA, intensity=np.pi)
            self._lights.append(self._scene.add(light, pose=_light_pose(_GL_FROM_CV[:3, :3] @ direction)))

    def _material(self, mesh: Mesh, max_texture_px: int) -> Any:
        texture = None
        if mesh.texture is not None and mesh.uv is not None:
            source = np.ascontiguousarray(prepare_texture(mesh.texture, mesh.uv, mesh.faces, max_texture_px))
            texture = self._pyrender.Texture(source=source, source_channels="RGB")
        return self._pyrender.MetallicRoughnessMaterial(
            baseColorTexture=texture,
            baseColorFactor=[1.0, 1.0, 1.0, 1.0],
            metallicFactor=0.0,
            roughnessFactor=1.0,
        )

    def _mesh(self, obj: int) -> Any:
        mesh = self._meshes[obj]
        colors = None
        if mesh.texture is None:
            plain = np.full((len(mesh.vertices), 3), _PLAIN_GREY)
            rgb = plain if mesh.vertex_colors is None else mesh.vertex_colors / 255.0
            colors = np.concatenate([rgb**_GAMMA, np.ones((len(rgb), 1))], axis=1, dtype=np.float32)
        primitive = self._pyrender.Primitive(
            positions=mesh.vertices,
            normals=mesh.normals,
            texcoord_0=mesh.uv if mesh.texture is not None else None,
            color_0=colors,
            # Every face in both directions: pyrender culls back faces where it draws instances, whatever the material.
            indices=np.concatenate([mesh.faces, mesh.faces[:, ::-1]]),
            material=self._materials[obj],
            mode=self._pyrender.constants.GLTF.TRIANGLES,
        )
        return self._pyrender.Mesh(primitives=[primitive])


def _light_pose(to_light: np.ndarray) -> np.ndarray:
    """A pose whose z axis points towards the light: pyrender's lights shine along -z."""
    z = to_light / max(float(np.linalg.norm(to_light)), 1e-12)
    x = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0], z)
    x /= np.linalg.norm(x)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
    return pose


def _import_pyrender() -> Any:
    os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
    try:
        import pyrender
    except ImportError as error:
        if "pyrender" in str(error):
            raise RuntimeError(
                "the pyrender backend needs pyrender: pip install pyrender-maintained"
            ) from error
        raise _egl_error(error) from error
    except Exception as error:
        raise _egl_error(error) from error
    return pyrender


def _shared_offscreen(pyrender: Any) -> Any:
    global _offscreen
    if _offscreen is not None:
        return _offscreen
    from OpenGL import GL

    try:
        offscreen = pyrender.OffscreenRenderer(64, 64)
    except Exception as error:
        raise _egl_error(error) from error
    # pyrender draws into a buffer of four samples a pixel and takes the depth of one of them, off the pixel's centre.
    # With multisampling off all four are the centre's. The list of nodes is the last that it asks for before drawing.
    inner = offscreen._renderer
    nodes_of = inner._sorted_mesh_nodes

    def nodes_without_multisampling(scene: Any) -> Any:
        GL.glDisable(GL.GL_MULTISAMPLE)
        return nodes_of(scene)

    inner._sorted_mesh_nodes = nodes_without_multisampling
    atexit.register(offscreen.delete)  # while OpenGL's modules are still whole
    _offscreen = offscreen
    return offscreen


def _egl_error(error: Exception) -> RuntimeError:
    return RuntimeError(
        f"the pyrender backend found no usable EGL ({type(error).__name__}: {error}); on Debian and Ubuntu: "
        "apt install libegl1 libegl-mesa0 libgl1-mesa-dri, or use the warp backend"
    )
