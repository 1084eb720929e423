"""Rasterisation kernels: transform the vertices, then keep for every pixel the nearest triangle.

A pixel's key is 64 bits: 1/z as a float (positive floats order like integers) above, the triangle's number below. The
greatest key wins by one atomic maximum, so the picture does not depend on the order of the threads.

Vertices are snapped to 1/256 pixel. Edge functions of snapped vertices are integers, exact in float64; with the
top-left rule every pixel on a shared edge belongs to exactly one triangle: no cracks, no double hits.
"""

# mypy: ignore-errors
# ruff: noqa: UP018, RUF046
# Warp compiles these functions: float(0.0) declares a variable that may change, and its array types are calls.

import warp as wp

wp.set_module_options({"enable_backward": False})

SUBPIXELS = wp.constant(256.0)
NEAR = wp.constant(0.001)
TILE = wp.constant(16)  # pixels, side of the square in which one thread draws a part of a large triangle


@wp.struct
class Meshes:
    """All meshes behind each other; faces count vertices from their own mesh's start."""

    vertices: wp.array(dtype=wp.vec3)
    normals: wp.array(dtype=wp.vec3)
    uv: wp.array(dtype=wp.vec2)
    colors: wp.array(dtype=wp.vec3)
    faces: wp.array(dtype=wp.vec3i)
    vertex_start: wp.array(dtype=wp.int32)
    vertex_count: wp.array(dtype=wp.int32)
    face_start: wp.array(dtype=wp.int32)
    face_count: wp.array(dtype=wp.int32)
    texels: wp.array(dtype=wp.uint32)
    levels: wp.array2d(dtype=wp.vec3i)
    level_count: wp.array(dtype=wp.int32)


@wp.struct
class Frame:
    """Sizes of one pass. `scale` samples a pixel side are drawn: width and height count samples. `max_vertices` is
    the room that each instance has in the vertex buffers, and 2 ** face_bits that in the numbering of triangles."""

    width: int
    height: int
    scale: int
    max_vertices: int
    face_bits: int


@wp.func
def instance_of(face_id: wp.uint32, face_bits: int) -> int:
    """The instance of a numbered triangle: its high bits."""
    return int(face_id >> wp.uint32(face_bits))


@wp.func
def face_of(face_id: wp.uint32, face_bits: int) -> int:
    """The face, within its mesh, of a numbered triangle: its low bits."""
    return int(face_id & ((wp.uint32(1) << wp.uint32(face_bits)) - wp.uint32(1)))


@wp.func
def project(p: wp.vec3, K: wp.mat33, scale: float) -> wp.vec3:
    """A camera point to (u, v) in 1/256 samples, snapped, and 1/z; 1/z is -1 before the near plane."""
    if p[2] < NEAR:
        return wp.vec3(0.0, 0.0, -1.0)
    u = (K[0, 0] * p[0] + K[0, 1] * p[1]) / p[2] + K[0, 2]
    v = (K[1, 0] * p[0] + K[1, 1] * p[1]) / p[2] + K[1, 2]
    # The samples of a pixel lie evenly around its centre.
    u = scale * u + 0.5 * (scale - 1.0)
    v = scale * v + 0.5 * (scale - 1.0)
    return wp.vec3(wp.floor(u * SUBPIXELS + 0.5), wp.floor(v * SUBPIXELS + 0.5), 1.0 / p[2])


@wp.kernel
def transform_vertices(
    meshes: Meshes,
    frame: Frame,
    object_index: wp.array(dtype=wp.int32),
    image_index: wp.array(dtype=wp.int32),
    cam_from_obj: wp.array(dtype=wp.mat44),
    K: wp.array(dtype=wp.mat33),
    step: int,
    in_camera: wp.array(dtype=wp.vec3),
    on_screen: wp.array(dtype=wp.vec3),
):
    """Threads (N, chunks of `step` vertices)."""
    n, chunk = wp.tid()
    obj = object_index[n]
    end = wp.min((chunk + 1) * step, meshes.vertex_count[obj])
    start = meshes.vertex_start[obj]
    pose = cam_from_obj[n]
    camera = K[image_index[n]]
    for i in range(chunk * step, end):
        p = wp.transform_point(pose, meshes.vertices[start + i])
        in_camera[n * frame.max_vertices + i] = p
        on_screen[n * frame.max_vertices + i] = project(p, camera, float(frame.scale))


@wp.func
def fill(a: wp.vec3, b_in: wp.vec3, c_in: wp.vec3, bounds: wp.vec4i, row_length: int, offset: int, face_id: wp.uint32,
         keys: wp.array(dtype=wp.uint64)):  # fmt: skip
    """Draw a triangle of projected corners within bounds (x0, y0, x1, y1), the last ones included."""
    x_lo = wp.ceil(wp.min(wp.min(a[0], b_in[0]), c_in[0]) / SUBPIXELS)
    x_hi = wp.floor(wp.max(wp.max(a[0], b_in[0]), c_in[0]) / SUBPIXELS)
    y_lo = wp.ceil(wp.min(wp.min(a[1], b_in[1]), c_in[1]) / SUBPIXELS)
    y_hi = wp.floor(wp.max(wp.max(a[1], b_in[1]), c_in[1]) / SUBPIXELS)
    # Clamped as floats: a corner on the near plane may lie beyond the range of int.
    x0 = int(wp.clamp(x_lo, float(bounds[0]), float(bounds[2] + 1)))
    y0 = int(wp.clamp(y_lo, float(bounds[1]), float(bounds[3] + 1)))
    x1 = int(wp.clamp(x_hi, float(bounds[0] - 1), float(bounds[2])))
    y1 = int(wp.clamp(y_hi, float(bounds[1] - 1), float(bounds[3])))
    if x0 > x1 or y0 > y1:
        return

    ax = wp.float64(a[0])
    ay = wp.float64(a[1])
    area = (wp.float64(b_in[0]) - ax) * (wp.float64(c_in[1]) - ay) - (wp.float64(b_in[1]) - ay) * (
        wp.float64(c_in[0]) - ax
    )
    if area == wp.float64(0.0):
        return
    b = wp.where(area > wp.float64(0.0), b_in, c_in)
    c = wp.where(area > wp.float64(0.0), c_in, b_in)
    bx = wp.float64(b[0])
    by = wp.float64(b[1])
    cx = wp.float64(c[0])
    cy = wp.float64(c[1])
    unit = wp.float64(256.0)  # not the constant: it would become float64 everywhere in this function
    px = wp.float64(x0) * unit
    py = wp.float64(y0) * unit

    # Edge functions are positive inside; the one of edge bc is the weight of corner a, and so on.
    right_a = by - cy
    right_b = cy - ay
    right_c = ay - by
    down_a = cx - bx
    down_b = ax - cx
    down_c = bx - ax
    row_a = down_a * (py - by) + right_a * (px - bx)
    row_b = down_b * (py - cy) + right_b * (px - cx)
    row_c = down_c * (py - ay) + right_c * (px - ax)
    least_a = least_inside(right_a, down_a)
    least_b = least_inside(right_b, down_b)
    least_c = least_inside(right_c, down_c)
    inverse = wp.float64(1.0) / wp.abs(area)
    inverse_z_a = wp.float64(a[2]) * inverse
    inverse_z_b = wp.float64(b[2]) * inverse
    inverse_z_c = wp.float64(c[2]) * inverse
    right_a = right_a * unit
    right_b = right_b * unit
    right_c = right_c * unit
    down_a = down_a * unit
    down_b = down_b * unit
    down_c = down_c * unit
    for y in range(y0, y1 + 1):
        e_a = row_a
        e_b = row_b
        e_c = row_c
        for x in range(x0, x1 + 1):
            if e_a >= least_a and e_b >= least_b and e_c >= least_c:
                inverse_z = wp.float32(e_a * inverse_z_a + e_b * inverse_z_b + e_c * inverse_z_c)
                key = (wp.uint64(wp.cast(inverse_z, wp.uint32)) << wp.uint64(32)) | wp.uint64(face_id)
                wp.atomic_max(keys, offset + y * row_length + x, key)
            e_a = e_a + right_a
            e_b = e_b + right_b
            e_c = e_c + right_c
        row_a = row_a + down_a
        row_b = row_b + down_b
        row_c = row_c + down_c


@wp.func
def least_inside(right: wp.float64, down: wp.float64) -> wp.float64:
    """The top-left rule: a pixel exactly on an edge is inside if the edge is a left or a top one."""
    if right > wp.float64(0.0) or (right == wp.float64(0.0) and down > wp.float64(0.0)):
        return wp.float64(0.0)
    return wp.float64(1.0)


@wp.func
def clipped(inside: wp.vec3, outside: wp.vec3) -> wp.vec3:
    """Where an edge meets the near plane; counted from the inner end, so that both triangles of an edge agree."""
    t = (NEAR - inside[2]) / (outside[2] - inside[2])
    return wp.vec3(inside[0] + t * (outside[0] - inside[0]), inside[1] + t * (outside[1] - inside[1]), NEAR)


@wp.func
def draw_face(frame: Frame, n: int, face: wp.vec3i, K: wp.mat33, bounds: wp.vec4i, offset: int,
              face_id: wp.uint32, in_camera: wp.array(dtype=wp.vec3), on_screen: wp.array(dtype=wp.vec3),
              keys: wp.array(dtype=wp.uint64)):  # fmt: skip
    """Writes one triangle's key, 1/z and number, into every sample that it covers and where it is nearest."""
    base = n * frame.max_vertices
    a = on_screen[base + face[0]]
    b = on_screen[base + face[1]]
    c = on_screen[base + face[2]]
    behind = int(a[2] < 0.0) + int(b[2] < 0.0) + int(c[2] < 0.0)
    if behind == 0:
        fill(a, b, c, bounds, frame.width, offset, face_id, keys)
    if behind == 1 or behind == 2:
        # Turn the triangle until the corner that is alone on its side of the near plane comes first.
        i = face[0]
        j = face[1]
        k = face[2]
        if (b[2] < 0.0) != (a[2] < 0.0) and (b[2] < 0.0) != (c[2] < 0.0):
            i = face[1]
            j = face[2]
            k = face[0]
        if (c[2] < 0.0) != (a[2] < 0.0) and (c[2] < 0.0) != (b[2] < 0.0):
            i = face[2]
            j = face[0]
            k = face[1]
        p = in_camera[base + i]
        q = in_camera[base + j]
        r = in_camera[base + k]
        scale = float(frame.scale)
        if behind == 2:
            pq = project(clipped(p, q), K, scale)
            pr = project(clipped(p, r), K, scale)
            fill(on_screen[base + i], pq, pr, bounds, frame.width, offset, face_id, keys)
        else:
            qp = project(clipped(q, p), K, scale)
            rp = project(clipped(r, p), K, scale)
            fill(on_screen[base + j], on_screen[base + k], rp, bounds, frame.width, offset, face_id, keys)
            fill(on_screen[base + j], rp, qp, bounds, frame.width, offset, face_id, keys)


@wp.func
def sample_extent(a: wp.vec3, b: wp.vec3, c: wp.vec3, width: int, height: int) -> float:
    """Samples in the bounding box on the image; the whole image for a triangle that crosses the near plane."""
    if a[2] < 0.0 or b[2] < 0.0 or c[2] < 0.0:
        return float(width) * float(height)
    x0 = wp.max(wp.min(wp.min(a[0], b[0]), c[0]) / SUBPIXELS, 0.0)
    x1 = wp.min(wp.max(wp.max(a[0], b[0]), c[0]) / SUBPIXELS, float(width))
    y0 = wp.max(wp.min(wp.min(a[1], b[1]), c[1]) / SUBPIXELS, 0.0)
    y1 = wp.min(wp.max(wp.max(a[1], b[1]), c[1]) / SUBPIXELS, float(height))
    return wp.max(x1 - x0, 0.0) * wp.max(y1 - y0, 0.0)


@wp.kernel
def rasterise(
    meshes: Meshes,
    frame: Frame,
    object_index: wp.array(dtype=wp.int32),
    image_index: wp.array(dtype=wp.int32),
    K: wp.array(dtype=wp.mat33),
    in_camera: wp.array(dtype=wp.vec3),
    on_screen: wp.array(dtype=wp.vec3),
    step: int,
    large: float,
    queue: wp.array(dtype=wp.uint32),
    queued: wp.array(dtype=wp.int32),
    keys: wp.array(dtype=wp.uint64),
):
    """Threads (N, chunks of `step` faces). Faces with more than `large` samples wait in the queue for
    `rasterise_large`, so that no thread draws half an image alone; where the queue is full they are drawn at once."""
    n, chunk = wp.tid()
    obj = object_index[n]
    end = wp.min((chunk + 1) * step, meshes.face_count[obj])
    image = image_index[n]
    bounds = wp.vec4i(0, 0, frame.width - 1, frame.height - 1)
    offset = image * frame.width * frame.height
    camera = K[image]
    base = n * frame.max_vertices
    for i in range(chunk * step, end):
        face = meshes.faces[meshes.face_start[obj] + i]
        face_id = (wp.uint32(n) << wp.uint32(frame.face_bits)) | wp.uint32(i)
        waits = int(0)
        if large > 0.0:
            extent = sample_extent(
                on_screen[base + face[0]], on_screen[base + face[1]], on_screen[base + face[2]],
                frame.width, frame.height,
            )  # fmt: skip
            if extent > large:
                slot = wp.atomic_add(queued, 0, 1)
                if slot < queue.shape[0]:
                    queue[slot] = face_id
                    waits = 1
        if waits == 0:
            draw_face(frame, n, face, camera, bounds, offset, face_id, in_camera, on_screen, keys)


@wp.kernel
def rasterise_large(
    meshes: Meshes,
    frame: Frame,
    object_index: wp.array(dtype=wp.int32),
    image_index: wp.array(dtype=wp.int32),
    K: wp.array(dtype=wp.mat33),
    in_camera: wp.array(dtype=wp.vec3),
    on_screen: wp.array(dtype=wp.vec3),
    threads: int,
    queue: wp.array(dtype=wp.uint32),
    queued: wp.array(dtype=wp.int32),
    keys: wp.array(dtype=wp.uint64),
):
    """A fixed number of threads shares the queue, tile by tile: the host need not know how long the queue is."""
    across = (frame.width + TILE - 1) // TILE
    tiles = across * ((frame.height + TILE - 1) // TILE)
    work = wp.int64(wp.min(queued[0], queue.shape[0])) * wp.int64(tiles)
    item = wp.int64(wp.tid())
    while item < work:
        face_id = queue[int(item // wp.int64(tiles))]
        tile = int(item % wp.int64(tiles))
        x = (tile % across) * TILE
        y = (tile // across) * TILE
        bounds = wp.vec4i(x, y, wp.min(x + TILE, frame.width) - 1, wp.min(y + TILE, frame.height) - 1)
        n = instance_of(face_id, frame.face_bits)
        face = meshes.faces[meshes.face_start[object_index[n]] + face_of(face_id, frame.face_bits)]
        image = image_index[n]
        draw_face(
            frame, n, face, K[image], bounds, image * frame.width * frame.height, face_id, in_camera, on_screen,
            keys,
        )  # fmt: skip
        item = item + wp.int64(threads)
