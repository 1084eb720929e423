"""Shading kernels: from the nearest triangle of every pixel to depth and colour.

Nothing but the triangle's number survives rasterisation: barycentric weights are computed anew here, from the original
corners in the camera's frame, once per visible pixel.
"""

# mypy: ignore-errors
# Warp compiles these functions: float(0.0) declares a variable that may change, and its array types are calls.

import warp as wp

from mrc_core.rendering.warp_kernels import Frame, Meshes, face_of, instance_of

wp.set_module_options({"enable_backward": False})

NEAR = wp.constant(0.001)

# Chebyshev fits: log2 over 1..2 (to 1e-4), 2 ** x over 0..1 (to 1e-5).
LOG_0 = wp.constant(-2.5056147)
LOG_1 = wp.constant(4.0496169)
LOG_2 = wp.constant(-2.0994023)
LOG_3 = wp.constant(0.6355111)
LOG_4 = wp.constant(-0.0800109)
EXP_0 = wp.constant(1.0000036)
EXP_1 = wp.constant(0.6929696)
EXP_2 = wp.constant(0.2416213)
EXP_3 = wp.constant(0.0517177)
EXP_4 = wp.constant(0.0136840)


@wp.struct
class LightArrays:
    """Lights of B images or of one; directions of length 1."""

    ambient: wp.array(dtype=wp.vec3)
    directions: wp.array2d(dtype=wp.vec3)
    colors: wp.array2d(dtype=wp.vec3)
    specular: wp.array(dtype=wp.float32)
    shininess: wp.array(dtype=wp.float32)


@wp.struct
class MaterialArrays:
    """Materials of the instances."""

    mix: wp.array(dtype=wp.mat33)
    shift: wp.array(dtype=wp.vec3)
    specular: wp.array(dtype=wp.float32)
    shininess: wp.array(dtype=wp.float32)


@wp.struct
class Hit:
    """A ray's meeting with a triangle. `weights` sum to 1; `scale` is their sum before, det[ray, edges]."""

    instance: int
    obj: int
    corners: wp.vec3i
    ray: wp.vec3
    weights: wp.vec3
    scale: float
    z: float
    facing: wp.vec3


@wp.func
def cross2(a: wp.vec3, b: wp.vec3) -> float:
    """z of the cross product of two vectors in the plane z = 0."""
    return a[0] * b[1] - a[1] * b[0]


@wp.func
def inverse(K: wp.mat33) -> wp.mat33:
    """Of intrinsics whose last row is (0, 0, 1)."""
    scale = 1.0 / (K[0, 0] * K[1, 1] - K[0, 1] * K[1, 0])
    a = K[1, 1] * scale
    b = -K[0, 1] * scale
    c = -K[1, 0] * scale
    d = K[0, 0] * scale
    return wp.mat33(
        a, b, -(a * K[0, 2] + b * K[1, 2]), c, d, -(c * K[0, 2] + d * K[1, 2]), 0.0, 0.0, 1.0
    )  # fmt: skip


@wp.func
def unit(v: wp.vec3) -> wp.vec3:
    """v with length 1."""
    return v * (1.0 / wp.sqrt(wp.max(wp.dot(v, v), 1.0e-30)))  # wp.normalize divides three times


@wp.func
def power(base: float, exponent: float) -> float:
    """base ** exponent for a base from 0 to 1, to about 0.2 percent: an exact power takes as long as all the rest."""
    bits = wp.cast(wp.max(base, 1.0e-6), wp.uint32)
    m = wp.cast((bits & wp.uint32(0x007FFFFF)) | wp.uint32(0x3F800000), wp.float32)  # 1..2
    log2_m = LOG_0 + m * (LOG_1 + m * (LOG_2 + m * (LOG_3 + m * LOG_4)))
    y = wp.max(exponent * (float(int(bits >> wp.uint32(23)) - 127) + log2_m), -100.0)
    whole = wp.floor(y)
    f = y - whole
    power_f = EXP_0 + f * (EXP_1 + f * (EXP_2 + f * (EXP_3 + f * EXP_4)))
    return power_f * wp.cast(wp.uint32(int(whole) + 127) << wp.uint32(23), wp.float32)


@wp.func
def hit_of(key: wp.uint64, ray: wp.vec3, meshes: Meshes, frame: Frame, object_index: wp.array(dtype=wp.int32),
           in_camera: wp.array(dtype=wp.vec3)) -> Hit:  # fmt: skip
    """Where a ray meets the triangle of a key: weights, depth and side, from the corners in the camera's frame."""
    face_id = wp.uint32(key & wp.uint64(0xFFFFFFFF))
    hit = Hit()
    hit.instance = instance_of(face_id, frame.face_bits)
    hit.obj = object_index[hit.instance]
    hit.corners = meshes.faces[meshes.face_start[hit.obj] + face_of(face_id, frame.face_bits)]
    base = hit.instance * frame.max_vertices
    a = in_camera[base + hit.corners[0]]
    b = in_camera[base + hit.corners[1]]
    c = in_camera[base + hit.corners[2]]
    # Slid along the ray to z = 0, the corners are small numbers, so that the products below keep their digits. It holds
    # for corners behind the camera too: there is nothing to clip.
    a0 = a - a[2] * ray
    b0 = b - b[2] * ray
    c0 = c - c[2] * ray
    w = wp.vec3(cross2(b0, c0), cross2(c0, a0), cross2(a0, b0))
    if w[0] + w[1] + w[2] < 0.0:
        w = -w
    # Rasterised from snapped corners, a pixel may lie a hair outside of the triangle.
    w = wp.vec3(wp.max(w[0], 0.0), wp.max(w[1], 0.0), wp.max(w[2], 0.0))
    hit.scale = w[0] + w[1] + w[2]
    if hit.scale > 0.0:
        w = w * (1.0 / hit.scale)
    else:
        w = wp.vec3(1.0, 0.0, 0.0)
    hit.ray = ray
    hit.weights = w
    hit.z = wp.max(w[0] * a[2] + w[1] * b[2] + w[2] * c[2], NEAR)
    facing = wp.cross(b - a, c - a)
    hit.facing = wp.where(wp.dot(facing, ray) > 0.0, -facing, facing)
    return hit


@wp.func
def texel(packed: wp.uint32) -> wp.vec3:
    """The channels 0..255 of a packed texel."""
    return wp.vec3(
        float(packed & wp.uint32(255)),
        float((packed >> wp.uint32(8)) & wp.uint32(255)),
        float((packed >> wp.uint32(16)) & wp.uint32(255)),
    )


@wp.func
def bilinear(texels: wp.array(dtype=wp.uint32), level: wp.vec3i, u: float, v: float) -> wp.vec3:
    """A texture's colour, 0..1, repeated beyond 0..1; v points up."""
    width = level[1]
    height = level[2]
    x = (u - wp.floor(u)) * float(width) - 0.5
    y = (1.0 - (v - wp.floor(v))) * float(height) - 0.5
    x0 = int(wp.floor(x))
    y0 = int(wp.floor(y))
    fx = x - float(x0)
    fy = y - float(y0)
    x1 = x0 + 1
    y1 = y0 + 1
    x0 = wp.where(x0 < 0, width - 1, x0)
    y0 = wp.where(y0 < 0, height - 1, y0)
    x1 = wp.where(x1 >= width, 0, x1)
    y1 = wp.where(y1 >= height, 0, y1)
    row0 = level[0] + y0 * width
    row1 = level[0] + y1 * width
    upper = texel(texels[row0 + x0]) * (1.0 - fx) + texel(texels[row0 + x1]) * fx
    lower = texel(texels[row1 + x0]) * (1.0 - fx) + texel(texels[row1 + x1]) * fx
    return (upper * (1.0 - fy) + lower * fy) * (1.0 / 255.0)


@wp.func
def albedo(hit: Hit, samples_per_unit: float, meshes: Meshes) -> wp.vec3:
    """Base colour; `samples_per_unit` is |det| of the intrinsics' upper left 2x2, times the samples of a pixel."""
    start = meshes.vertex_start[hit.obj]
    i = start + hit.corners[0]
    j = start + hit.corners[1]
    k = start + hit.corners[2]
    w = hit.weights
    count = meshes.level_count[hit.obj]
    if count == 0:
        return w[0] * meshes.colors[i] + w[1] * meshes.colors[j] + w[2] * meshes.colors[k]
    a = meshes.uv[i]
    b = meshes.uv[j]
    c = meshes.uv[k]
    uv = w[0] * a + w[1] * b + w[2] * c
    # Texels under a sample: the texture's area of the triangle over its area on the screen, both at this point.
    # On the screen it is samples_per_unit * det[corners] / z^3, and det[corners] = scale * z.
    full = meshes.levels[hit.obj, 0]
    ab = b - a
    ac = c - a
    texels = wp.abs(ab[0] * ac[1] - ab[1] * ac[0]) * float(full[1]) * float(full[2])
    ratio = texels * hit.z * hit.z / wp.max(samples_per_unit * hit.scale, 1.0e-30)
    # round(log2(ratio) / 2), read off the float's exponent: each level has a quarter of the texels.
    exponent = int((wp.cast(2.0 * ratio, wp.uint32) >> wp.uint32(23)) & wp.uint32(255)) - 127
    level = wp.clamp(exponent // 2, 0, count - 1)
    return bilinear(meshes.texels, meshes.levels[hit.obj, level], uv[0], uv[1])


@wp.func
def shade(hit: Hit, image: int, samples_per_unit: float, meshes: Meshes, lights: LightArrays,
          materials: MaterialArrays, has_materials: int, cam_from_obj: wp.array(dtype=wp.mat44)):  # fmt: skip
    """Colour of a hit: albedo times ambient and diffuse light, plus highlights; see `Lights` for the formula.
    The second colour is the first light's part of it."""
    base = albedo(hit, samples_per_unit, meshes)
    light = wp.min(image, lights.ambient.shape[0] - 1)
    strength = lights.specular[light]
    shininess = lights.shininess[light]
    if has_materials != 0:
        base = materials.mix[hit.instance] * base + materials.shift[hit.instance]
        base = wp.min(wp.max(base, wp.vec3(0.0, 0.0, 0.0)), wp.vec3(1.0, 1.0, 1.0))
        strength = materials.specular[hit.instance]
        shininess = materials.shininess[hit.instance]
    diffuse = lights.ambient[light]
    first = wp.vec3(0.0, 0.0, 0.0)
    count = lights.directions.shape[1]
    if count == 0:
        return wp.cw_mul(base, diffuse), first
    start = meshes.vertex_start[hit.obj]
    w = hit.weights
    normal = (
        w[0] * meshes.normals[start + hit.corners[0]]
        + w[1] * meshes.normals[start + hit.corners[1]]
        + w[2] * meshes.normals[start + hit.corners[2]]
    )
    normal = unit(wp.transform_vector(cam_from_obj[hit.instance], normal))
    # The triangle, not the smooth normal, says which side is seen: at a silhouette the smooth one may point away.
    if wp.dot(normal, hit.facing) < 0.0:
        normal = -normal
    to_camera = wp.vec3(0.0, 0.0, -1.0)
    shine = wp.vec3(0.0, 0.0, 0.0)
    if strength > 0.0:
        to_camera = -unit(hit.ray)
    for i in range(count):
        to_light = lights.directions[light, i]
        color = lights.colors[light, i]
        cosine = wp.dot(normal, to_light)
        if cosine > 0.0:
            diffuse = diffuse + cosine * color
            if strength > 0.0:
                half_way = unit(to_light + to_camera)
                sharpness = power(wp.dot(normal, half_way), shininess)
                shine = shine + (strength * sharpness) * color
            if i == 0:
                first = cosine * wp.cw_mul(base, color) + shine
    return wp.cw_mul(base, diffuse) + shine, first
