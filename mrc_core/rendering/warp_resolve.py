"""The kernel that makes pictures of what was rasterised: it shades every pixel's samples and averages them."""

# mypy: ignore-errors
# ruff: noqa: UP018, RUF046
# Warp compiles these functions: float(0.0) declares a variable that may change, and its array types are calls.

import warp as wp

from mrc_core.rendering.warp_kernels import Frame, Meshes, instance_of
from mrc_core.rendering.warp_shading import LightArrays, MaterialArrays, hit_of, inverse, shade

wp.set_module_options({"enable_backward": False})


@wp.func
def middle_key(corner: int, row_length: int, scale: int, sample_keys: wp.array(dtype=wp.uint64)) -> wp.uint64:
    """The key of the pixel's sample that is in the middle by depth, the nearer one of two: what half of the pixel is
    covered by counts as what its centre shows. `corner` is the pixel's first sample."""
    count = scale * scale
    wanted = (count - 1) // 2
    for a in range(count):
        key = sample_keys[corner + (a // scale) * row_length + a % scale]
        nearer = int(0)
        for b in range(count):
            other = sample_keys[corner + (b // scale) * row_length + b % scale]
            if other > key or (other == key and b < a):
                nearer = nearer + 1
        if nearer == wanted:
            return key
    return wp.uint64(0)


@wp.func
def samples_needed(key: wp.uint64, corner: int, row_length: int, scale: int, focal_px: float, frame: Frame,
                   sample_keys: wp.array(dtype=wp.uint64)) -> int:  # fmt: skip
    """How often a pixel must be shaded: once where all samples hit the triangle of `key`, twice where they hit one
    surface without a step in depth, else as often as it has samples. `corner` is the pixel's first sample."""
    if key == wp.uint64(0):
        return scale * scale
    centre = wp.uint32(key & wp.uint64(0xFFFFFFFF))
    instance = instance_of(centre, frame.face_bits)
    inverse_z = wp.cast(wp.uint32(key >> wp.uint64(32)), wp.float32)
    needed = int(1)
    for j in range(scale):
        for i in range(scale):
            sample = sample_keys[corner + j * row_length + i]
            face = wp.uint32(sample & wp.uint64(0xFFFFFFFF))
            step = wp.abs(wp.cast(wp.uint32(sample >> wp.uint64(32)), wp.float32) - inverse_z)
            # neighbouring rays part by z / focal: a larger step in depth is an edge, or a surface seen from its side
            if sample == wp.uint64(0) or instance_of(face, frame.face_bits) != instance or (
                step * focal_px > 2.0 * inverse_z
            ):  # fmt: skip
                return scale * scale
            if face != centre:
                needed = 2
    return needed


@wp.kernel
def resolve(
    meshes: Meshes,
    frame: Frame,
    object_index: wp.array(dtype=wp.int32),
    cam_from_obj: wp.array(dtype=wp.mat44),
    K: wp.array(dtype=wp.mat33),
    lights: LightArrays,
    materials: MaterialArrays,
    has_materials: int,
    approximate: int,
    in_camera: wp.array(dtype=wp.vec3),
    first_image: int,
    first_instance: int,
    columns: int,
    keys: wp.array(dtype=wp.uint64),
    sample_keys: wp.array(dtype=wp.uint64),
    rgb: wp.array(dtype=wp.float32),
    depth: wp.array(dtype=wp.float32),
    mask: wp.array(dtype=wp.bool),
    instance: wp.array(dtype=wp.int32),
    coverage: wp.array(dtype=wp.float32),
    first_light: wp.array(dtype=wp.float32),
):
    """Threads (B * H, columns), each of which does every `columns`th pixel of a row. `frame` counts pixels, `keys` are
    those of the pixels' centres (not read where approximate), `sample_keys` those of the scale x scale samples of each
    pixel."""
    row, column = wp.tid()
    image = row // frame.height
    y = row % frame.height
    camera = K[image]
    inverse_camera = inverse(camera)
    scale = frame.scale
    inverse_scale = 1.0 / float(scale)
    samples = float(scale * scale)
    samples_per_unit = wp.abs(camera[0, 0] * camera[1, 1] - camera[0, 1] * camera[1, 0]) * samples
    plane = frame.width * frame.height
    first = wp.where(scale > 1, -1, 0)
    x = column
    while x < frame.width:
        pixel = row * frame.width + x
        color = wp.vec3(0.0, 0.0, 0.0)
        of_first = wp.vec3(0.0, 0.0, 0.0)
        covered = float(0.0)
        depth[pixel] = 0.0
        mask[pixel] = False
        instance[pixel] = -1
        # Sample -1 is the pixel's centre, for depth, mask and instance; without supersampling, sample 0 is the centre.
        # One loop for both, because functions that are called in one place only are inlined: it halves the time.
        i = int(0)
        j = int(0)
        needed = scale * scale
        centre_key = wp.uint64(0)
        if scale > 1:
            if approximate != 0:
                length = frame.width * scale
                corner = row * scale * length + x * scale
                centre_key = middle_key(corner, length, scale, sample_keys)
                needed = samples_needed(centre_key, corner, length, scale, camera[0, 0], frame, sample_keys)
            else:
                centre_key = keys[pixel]
        last = scale * scale - 1
        weight = samples / float(needed)
        for k in range(first, scale * scale):
            u = float(x) + (float(i) + 0.5) * inverse_scale - 0.5
            v = float(y) + (float(j) + 0.5) * inverse_scale - 0.5
            key = wp.uint64(0)
            if k < 0:
                u = float(x)
                v = float(y)
                key = centre_key
            else:
                key = sample_keys[(row * scale + j) * (frame.width * scale) + x * scale + i]
            # one is the centre, two are opposite corners
            shaded = (needed == 1 and k == first) or (needed == 2 and (k == 0 or k == last)) or (
                needed > 2 and k >= 0
            )  # fmt: skip
            if key != wp.uint64(0) and (shaded or k == first):
                hit = hit_of(key, inverse_camera * wp.vec3(u, v, 1.0), meshes, frame, object_index, in_camera)
                if k == first:
                    depth[pixel] = hit.z
                    mask[pixel] = True
                    instance[pixel] = hit.instance + first_instance
                if shaded:
                    sample, of_light = shade(
                        hit, first_image + image, samples_per_unit / weight, meshes, lights, materials, has_materials,
                        cam_from_obj,
                    )  # fmt: skip
                    color = color + weight * sample
                    of_first = of_first + weight * of_light
                    covered = covered + weight
            if k >= 0:
                i = i + 1
                if i == scale:
                    i = 0
                    j = j + 1
        color = color / samples
        covered = covered / samples
        coverage[pixel] = covered
        target = 3 * image * plane + y * frame.width + x
        rgb[target] = wp.min(color[0], 1.0)
        rgb[target + plane] = wp.min(color[1], 1.0)
        rgb[target + 2 * plane] = wp.min(color[2], 1.0)
        if has_materials != 0:
            # so that rgb - first_light is what a picture without this light would show, cut off at 1 like any other
            without = color - of_first / samples
            first_light[target] = wp.min(color[0], 1.0) - wp.min(without[0], 1.0)
            first_light[target + plane] = wp.min(color[1], 1.0) - wp.min(without[1], 1.0)
            first_light[target + 2 * plane] = wp.min(color[2], 1.0) - wp.min(without[2], 1.0)
        x = x + columns
