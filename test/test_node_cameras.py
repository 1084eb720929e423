"""Pictures and cameras: bit depths, Bayer patterns, and lens distortion taken out of images and boxes."""

from __future__ import annotations

import array

import cv2
import node_harness as harness  # first: it sets ROS's environment
import numpy as np
import pytest
import torch
from sensor_msgs.msg import CameraInfo, Image

from mrc_core.geometry.lens_map import LensMap
from mrc_core.inference.crops import extract_crops, image_to_tensor
from mrc_net_ros.images import BAYER_ENCODINGS, rgb_from_image
from mrc_net_ros.rectification import CameraModel, CameraModels, camera_model
from mrc_net_ros.unusable_input import UnusableInput

HEAD = harness.header(1.0)
LENSES = {
    "plumb_bob": (-0.31, 0.12, 0.0011, -0.0007, -0.02),
    "rational_polynomial": (0.6, -0.12, 0.0003, -0.0002, -0.01, 0.95, -0.06, -0.03),
    "equidistant": (-0.02, 0.006, -0.003, 0.0004),
    "fisheye": (0.04, -0.01, 0.002, 0.0),
}


def _info(model: str, roi: tuple[int, int, int, int] | None = None, binning: int = 1) -> CameraInfo:
    info = harness.camera_info(HEAD, distortion=LENSES[model])
    info.distortion_model = model
    if roi is not None:
        info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = roi
    info.binning_x = info.binning_y = binning
    return info


def _seen(info: CameraInfo, points: np.ndarray) -> np.ndarray:
    """Where a real lens shows points (N, 3) of the camera's frame, in full-resolution pixels, by OpenCV itself."""
    matrix, lens = np.asarray(info.k).reshape(3, 3), np.asarray(info.d)
    fisheye = info.distortion_model in ("equidistant", "fisheye")
    project = cv2.fisheye.projectPoints if fisheye else cv2.projectPoints
    return project(points.reshape(-1, 1, 3), np.zeros(3), np.zeros(3), matrix, lens)[0].reshape(-1, 2)


def _points(count: int = 40) -> np.ndarray:
    rng = np.random.default_rng(3)
    directions = rng.uniform((-0.42, -0.32), (0.42, 0.32), (count, 2))
    return np.concatenate([directions, np.ones((count, 1))], axis=1) * rng.uniform(0.4, 2.0, (count, 1))


def _pinhole(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    pixels = points @ matrix.T
    return pixels[:, :2] / pixels[:, 2:]


@pytest.mark.parametrize("model", LENSES)
@pytest.mark.parametrize(("roi", "binning"), [(None, 1), ((40, 20, 560, 440), 2)])
def test_known_3d_points_land_where_the_intrinsics_say(
    model: str, roi: tuple[int, int, int, int] | None, binning: int
) -> None:
    info, points = _info(model, roi, binning), _points()
    x, y, width, height = roi or (0, 0, harness.SIZE[1], harness.SIZE[0])
    raw = (_seen(info, points) - (x, y)) / binning
    camera = camera_model(info, (height // binning, width // binning), rectified=False)
    expected = _pinhole(camera.K, points)
    assert np.abs(raw - expected).max() > 1.0  # the lens does bend
    np.testing.assert_allclose(camera.undistorted_points(raw), expected, atol=0.01)
    np.testing.assert_allclose(camera.distorted_points(expected), raw, atol=1e-6)


@pytest.mark.parametrize("model", LENSES)
def test_a_dot_in_the_raw_image_is_where_its_3d_point_is_in_the_undistorted_one(model: str) -> None:
    info = _info(model)
    camera = camera_model(info, harness.SIZE, rectified=False)
    for point in _points(8):
        picture = np.zeros((*harness.SIZE, 3), np.uint8)
        at = _seen(info, point)[0]
        cv2.circle(
            picture, tuple(np.rint(at * 16).astype(int).tolist()), 80, (255, 255, 255), -1, cv2.LINE_AA, 4
        )
        weights = camera.undistorted(picture)[..., 0].astype(float)
        rows, columns = np.indices(weights.shape)
        centre = np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()
        assert np.abs(centre - _pinhole(camera.K, point[None])[0]).max() < 0.35


@pytest.mark.parametrize("model", LENSES)
def test_a_dot_in_the_raw_image_is_where_the_crops_intrinsics_say(model: str) -> None:
    """Of crops that are taken straight out of the distorted image, shrunk by the crop or not."""
    info = _info(model)
    camera = camera_model(info, harness.SIZE, rectified=False)
    rows, columns = np.indices(harness.SIZE)
    grid = np.arange(128.0)
    for point in _points(6):
        at, true = _seen(info, point)[0], _pinhole(camera.K, point[None])[0]
        dot = np.exp(-((columns - at[0]) ** 2 + (rows - at[1]) ** 2) / (2 * 4.0**2))
        image = torch.from_numpy(dot).float().expand(3, -1, -1)
        for side in (70.0, 200.0):
            left, top = true - side * np.array([0.6, 0.45])
            box = torch.tensor([[left, top, left + side, top + side]], dtype=torch.float32)
            lens = camera.picture(np.zeros((*harness.SIZE, 3), np.uint8)).lens  # type: ignore[union-attr]
            crop, matrix = extract_crops(image, torch.from_numpy(camera.K), box, 128, lens=lens)
            grey = crop[0, 0].double().numpy()
            centre = np.array([(grey * grid).sum(), (grey.T * grid).sum()]) / grey.sum()
            expected = _pinhole(matrix[0].double().numpy(), point[None])[0]
            # the lens presses the dot out of shape, and its middle moves a little: in image pixels
            assert np.abs(centre - expected).max() * (1.5 * side / 128) < 0.2


@pytest.mark.parametrize("model", LENSES)
def test_crops_are_those_of_the_undistorted_image(model: str) -> None:
    """But sharper: a smooth picture differs by little; beyond the undistorted image both are black."""
    camera = camera_model(_info(model), harness.SIZE, rectified=False)
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
    rgb = cv2.resize(coarse, (harness.SIZE[1], harness.SIZE[0]), interpolation=cv2.INTER_CUBIC)
    boxes = torch.tensor([[300.0, 200.0, 380.0, 260.0], [-30.0, 300.0, 120.0, 520.0], [420.0, 20.0, 660.0, 260.0]])
    matrix, cpu = torch.from_numpy(camera.K), torch.device("cpu")
    lens = camera.picture(rgb).lens  # type: ignore[union-attr]
    direct, _ = extract_crops(image_to_tensor(rgb, cpu), matrix, boxes, 128, lens=lens)
    undistorted = image_to_tensor(camera.undistorted(rgb), cpu)
    detour, _ = extract_crops(undistorted, matrix, boxes, 128)
    left_alone, _ = extract_crops(image_to_tensor(rgb, cpu), matrix, boxes, 128)
    assert float((direct - detour)[:, :3].abs().mean()) < 0.002
    assert float((direct - detour)[:, :3].abs().quantile(0.99)) < 0.02
    assert float((left_alone - detour)[:, :3].abs().mean()) > 0.01
    assert bool((direct[1, :3, :, :20] == 0).all())


def test_a_map_of_a_lens_is_the_lens() -> None:
    """Between its nodes as well, up to the image's rim."""
    rng = np.random.default_rng(11)
    for model in LENSES:
        camera = camera_model(_info(model), harness.SIZE, rectified=False)
        lens = LensMap.measured(camera.distorted_points, harness.SIZE)
        x, y = rng.uniform(0, 639, (1, 50)), rng.uniform(0, 479, (1, 40))
        moved = lens.displacement_at(torch.from_numpy(x).float(), torch.from_numpy(y).float())[0].double().numpy()
        columns, rows = np.meshgrid(x[0], y[0])
        points = np.stack([columns, rows], axis=-1)
        true = camera.distorted_points(points.reshape(-1, 2)).reshape(points.shape) - points
        assert np.abs(true).max() > 5.0
        assert np.abs(moved.transpose(1, 2, 0) - true).max() < 0.01, model


def test_where_a_lens_model_has_no_value_crops_are_black() -> None:
    def holed(points_px: np.ndarray) -> np.ndarray:
        return np.where(points_px[:, :1] > 320.0, [[np.nan, np.inf]], points_px)

    box = torch.tensor([[250.0, 180.0, 390.0, 320.0]])
    white, lens = torch.ones(3, *harness.SIZE), LensMap.measured(holed, harness.SIZE)
    crop, _ = extract_crops(white, torch.from_numpy(harness.K), box, 128, lens=lens)
    assert bool((crop[0, :3, :, :60] > 0.99).all())
    assert bool((crop[0, :3, :, 68:] == 0.0).all())


@pytest.mark.parametrize("model", LENSES)
def test_a_box_encloses_what_it_enclosed_before(model: str) -> None:
    info = _info(model)
    camera = camera_model(info, harness.SIZE, rectified=False)
    rng = np.random.default_rng(5)
    for _ in range(20):
        left, top = rng.uniform((20, 20), (400, 300))
        right, bottom = left + rng.uniform(30, 200), top + rng.uniform(30, 150)
        border = [(x, y) for x in np.linspace(left, right, 300) for y in (top, bottom)]
        border += [(x, y) for y in np.linspace(top, bottom, 300) for x in (left, right)]
        true = camera.undistorted_points(np.asarray(border))
        box = camera.undistorted_box((left, top, right, bottom))
        np.testing.assert_allclose(box, (*true.min(axis=0), *true.max(axis=0)), atol=0.5)


def test_boxes_beyond_the_image_are_cut_and_those_that_leave_it_refused() -> None:
    camera = camera_model(_info("plumb_bob"), harness.SIZE, rectified=False)
    cut = camera.undistorted_box((-0.5, -0.5, 120.0, 90.0))
    assert camera.undistorted_box((-900.0, -900.0, 120.0, 90.0)) == cut
    with pytest.raises(UnusableInput, match="once undistorted, a detection's box"):
        camera.undistorted_box((0.0, 0.0, 8.0, 8.0))
    wild = CameraModel(harness.K, harness.SIZE, np.array([-3.0, 0.0, 0.0, 0.0]))
    with pytest.raises(UnusableInput, match="no inverse"):
        wild.undistorted_box((0.0, 0.0, 40.0, 40.0))


def test_what_cannot_be_undistorted_is_refused_and_what_needs_not_is_left_alone() -> None:
    info = _info("plumb_bob")
    assert camera_model(info, harness.SIZE, rectified=True).coefficients is None
    picture = harness.picture()
    for flat in (harness.camera_info(HEAD), harness.camera_info(HEAD, distortion=(0.0,) * 5)):
        flat.distortion_model = ""
        camera = camera_model(flat, harness.SIZE, rectified=False)
        assert camera.undistorted(picture) is picture
        assert camera.undistorted_box((1.0, 2.0, 30.0, 40.0)) == (1.0, 2.0, 30.0, 40.0)
    info.distortion_model = "thin_prism_fisheye"
    with pytest.raises(UnusableInput, match="'thin_prism_fisheye', which the node cannot undistort"):
        camera_model(info, harness.SIZE, rectified=False)
    info.distortion_model = "equidistant"
    with pytest.raises(UnusableInput, match="has 5 numbers, but 'equidistant' has 4"):
        camera_model(info, harness.SIZE, rectified=False)


def test_models_are_made_once_for_each_calibration() -> None:
    models = CameraModels(size=2)
    first = models.find(_info("plumb_bob"), harness.SIZE, rectified=False)
    assert models.find(_info("plumb_bob"), harness.SIZE, rectified=False) is first
    for other in ("fisheye", "equidistant"):
        assert models.find(_info(other), harness.SIZE, rectified=False) is not first
    assert (
        models.find(_info("plumb_bob"), harness.SIZE, rectified=False) is not first
    )  # forgotten, and made again


def _message(values: np.ndarray, encoding: str, bigendian: bool = False) -> Image:
    data = array.array("B")
    data.frombytes(
        np.ascontiguousarray(values.astype(values.dtype.newbyteorder(">" if bigendian else "<"))).tobytes()
    )
    step = values.dtype.itemsize * values.shape[1] * (values.shape[2] if values.ndim == 3 else 1)
    return Image(
        header=HEAD, height=values.shape[0], width=values.shape[1], encoding=encoding, step=step, data=data,
        is_bigendian=int(bigendian),
    )  # fmt: skip


@pytest.mark.parametrize("encoding", BAYER_ENCODINGS)
def test_bayer_patterns_give_the_colours_that_were_there(encoding: str) -> None:
    colour = {"r": 200, "g": 120, "b": 40}
    order = encoding.removeprefix("bayer_").removesuffix("8")
    tile = np.array([[colour[order[0]], colour[order[1]]], [colour[order[2]], colour[order[3]]]], np.uint8)
    rgb = rgb_from_image(_message(np.tile(tile, (20, 30)), encoding))
    assert rgb.shape == (40, 60, 3)
    np.testing.assert_array_equal(rgb[4:-4, 4:-4], np.broadcast_to((200, 120, 40), (32, 52, 3)))


@pytest.mark.parametrize("bigendian", [False, True])
@pytest.mark.parametrize("encoding", ["rgb16", "bgr16", "rgba16", "bgra16", "mono16"])
def test_sixteen_bits_are_scaled_to_eight(encoding: str, bigendian: bool) -> None:
    rgb = harness.picture(6)
    channels = {"r": 0, "g": 1, "b": 2}
    name = encoding.removesuffix("16")
    wide = rgb.astype(np.uint16) * 257
    if name == "mono":
        values, expected = wide[..., 0], np.repeat(rgb[..., :1], 3, axis=2)
    else:
        alpha = np.zeros(rgb.shape[:2], np.uint16)
        values = np.stack([alpha if c == "a" else wide[..., channels[c]] for c in name], axis=2)
        expected = rgb
    np.testing.assert_array_equal(rgb_from_image(_message(values, encoding, bigendian)), expected)


def test_sixteen_bits_that_a_camera_does_not_fill_are_refused_until_it_is_said_what_white_is() -> None:
    ten_bits = (harness.picture(6)[..., 0].astype(np.uint16) << 2) | 3
    with pytest.raises(UnusableInput, match="of 65535: the picture would be nearly black. Set the parameter"):
        rgb_from_image(_message(ten_bits, "mono16"))
    grey = rgb_from_image(_message(ten_bits, "mono16"), white_16bit=1023)[..., 0]
    assert np.abs(grey.astype(int) - harness.picture(6)[..., 0]).max() <= 1


def test_bayer_of_16_bits_is_named_as_refused() -> None:
    with pytest.raises(UnusableInput, match=r"encoding is 'bayer_rggb16', but must be one of rgb8.*mono16"):
        rgb_from_image(_message(np.zeros((8, 8), np.uint16), "bayer_rggb16"))
