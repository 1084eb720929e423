"""`mrc-net estimate`: poses of the detected objects of one picture."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mrc_core.inference import Detection, PoseEstimate, PoseEstimator
from mrc_core.rendering import create_renderer
from mrc_core.visualisation.overlay import draw_overlay

DESCRIPTION = """\
Estimates the 6-DoF pose of every detected object in one picture.

example:
  mrc-net estimate --bundle demo/bundle --image I.png --camera camera.json --detections detections.json \\
                   --output poses.json --overlay overlay.png

camera.json       {"fx": 605, "fy": 605, "cx": 322.3, "cy": 236.8, "width": 640, "height": 480}
                  pixels, of an undistorted picture; the centre of the first pixel is at (0, 0)
detections.json   [{"class_id": "tea_box", "score": 0.9, "box_xyxy_px": [x0, y0, x1, y1]}, ...]
poses.json        [{"class_id", "score", "detection_score", "box_xyxy_px", "cam_from_obj"}, ...], one for each
                  detection in the same order; cam_from_obj is 4x4, metres, into the camera's optical frame
"""


def add_parser(commands: Any) -> None:
    """Adds the sub-command to argparse's sub-parsers."""
    parser = commands.add_parser(
        "estimate",
        help="estimate poses in one picture",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", required=True, metavar="DIR", help="folder that `mrc-net train` wrote")
    parser.add_argument("--image", required=True, metavar="FILE", help="the picture (png, jpg, ...)")
    parser.add_argument("--camera", required=True, metavar="JSON", help="intrinsics, see above")
    parser.add_argument("--detections", required=True, metavar="JSON", help="detected boxes, see above")
    parser.add_argument("--output", required=True, metavar="JSON", help="where to write the poses")
    parser.add_argument("--overlay", metavar="PNG", help="also draw the objects' contours into a picture")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument(
        "--precision", choices=("fp32", "bf16", "fp16"), help="default: fp32 on the CPU, bf16 on CUDA"
    )
    parser.add_argument(
        "--turns",
        type=int,
        default=1,
        choices=(1, 4),
        help="4: look at each box in four in-plane turns and keep the most confident; default 1",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Estimates; returns the exit status."""
    bgr = cv2.imread(arguments.image, cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError(
            f"{arguments.image} cannot be read as a picture: is it there, whole, and a png or jpg?"
        )
    image = np.ascontiguousarray(bgr[..., ::-1], dtype=np.uint8)
    K = read_camera(Path(arguments.camera), (image.shape[1], image.shape[0]))
    detections = read_detections(Path(arguments.detections))
    estimator = PoseEstimator.from_bundle(
        arguments.bundle,
        device=arguments.device,
        precision=arguments.precision,
        turns=arguments.turns,
    )
    estimates = estimator.estimate(image, K, detections)
    Path(arguments.output).write_text(json.dumps([as_json(item) for item in estimates], indent=1) + "\n")
    print(f"{len(estimates)} poses written to {arguments.output}")
    if arguments.overlay:
        renderer = create_renderer("warp", [item.mesh for item in estimator.bundle.objects])
        index = {name: i for i, name in enumerate(estimator.class_ids)}
        picture = draw_overlay(image, K, estimates, renderer, index)
        if not cv2.imwrite(arguments.overlay, picture[..., ::-1]):
            raise ValueError(
                f"{arguments.overlay} cannot be written: is the folder there, does it end in .png?"
            )
        print(f"overlay written to {arguments.overlay}")
    return 0


def read_camera(path: Path, image_size: tuple[int, int]) -> np.ndarray:
    """K (3, 3) from camera.json, checked against the picture's (width, height)."""
    content = _read_json(path)
    try:
        fx, fy, cx, cy = (float(content[key]) for key in ("fx", "fy", "cx", "cy"))
        size = (int(content["width"]), int(content["height"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: fx, fy, cx, cy, width and height are needed as numbers ({error})"
        ) from error
    if size != image_size:
        raise ValueError(
            f"{path} is for {size[0]}x{size[1]} pictures, this one has {image_size[0]}x{image_size[1]}"
        )
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


def read_detections(path: Path) -> list[Detection]:
    """Detections from detections.json; a wrong entry is named with its number."""
    content = _read_json(path)
    if not isinstance(content, list):
        raise ValueError(f"{path}: a list of detections is needed")
    out = []
    for number, entry in enumerate(content):
        try:
            x0, y0, x1, y1 = (float(v) for v in entry["box_xyxy_px"])
            score = float(entry.get("score", 1.0))
            class_id = str(entry["class_id"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{path}, entry {number}: class_id and 4 numbers box_xyxy_px needed: {error!r}"
            ) from error
        if not math.isfinite(score):
            raise ValueError(f"{path}, entry {number}: the score is not a finite number")
        out.append(Detection(class_id, (x0, y0, x1, y1), score))
    return out


def as_json(item: PoseEstimate) -> dict[str, Any]:
    """An estimate as poses.json has it; with its covariance where the bundle is calibrated."""
    known = {} if item.covariance is None else {"covariance": item.covariance.tolist()}
    return {
        "class_id": item.class_id,
        "score": item.score,
        "detection_score": item.detection.score,
        "box_xyxy_px": list(item.detection.box_xyxy_px),
        "cam_from_obj": item.cam_from_obj.tolist(),
        **known,
    }


def _read_json(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
