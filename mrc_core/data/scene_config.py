"""What training scenes look like: every setting of the generator, with its unit."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Range = tuple[float, float]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]


class SceneConfig(BaseModel):
    """Settings of training scenes. Ranges are (low, high), drawn uniformly unless said otherwise; shares are 0..1."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # ---- camera and pose
    image_width: int = Field(default=640, ge=16)  # px in which boxes and intrinsics are counted ...
    image_height: int = Field(default=480, ge=16)
    sensor_width: Range = (480.0, 1920.0)  # ... and px that the sensor really has across; log-uniform
    focal_range: Range = (0.5, 1.9)  # over the image's width, log-uniform: lenses of 90 to 30 degrees
    principal_point_shift: Amount = 0.03  # standard deviation, of the image's width and height
    distance_range: Range = (1.4, 9.0)  # over the object's diameter, log-uniform
    border_fraction: Share = 0.3  # targets anywhere in the image, so that its border may cut them
    overhang: Amount = 0.04  # ... and their origin up to this far outside, of the image's size
    standing_fraction: Share = 0.15  # objects that stand on their -z side
    resting_fraction: Share = 0.1  # that lie on any of six sides; the others: uniform on SO(3)
    camera_roll_deg: Amount = 20.0  # of an upright camera, +-
    any_roll_fraction: Share = 0.25  # cameras that are rolled by any angle, as on a wrist

    # ---- what stands around
    max_occluders: int = Field(default=5, ge=0)  # other things near the target, mostly beside and before it
    known_fraction: Share = 0.4  # of them that are trained objects; the others: distractors
    min_visible: Share = 0.25  # samples that show less of the silhouette are drawn again
    support_fraction: Share = 0.6  # scenes with a table or floor below
    backgrounds: str = ""  # folder of pictures (jpg, png ...) for backgrounds and tables; empty: procedural alone
    photo_fraction: Share = 0.7  # of backgrounds that come from that folder

    # ---- light and surfaces
    max_lights: int = Field(default=4, ge=1)  # directional ones besides the ambient light; the first casts shadows
    shadow_fraction: Share = 0.75  # scenes whose first light casts shadows
    target_tint: Amount = 1.0  # how far the target's colours vary, 1: as prints and lamps do
    neighbour_tint: Amount = 2.5  # the same for what stands around it
    repaint_fraction: Share = 0.06  # targets in any colours: shape alone tells

    # ---- picture
    exposure_stops: Amount = 0.4  # standard deviation
    blur_px: Amount = 2.0  # greatest radius of defocus, px of the crop; half of it is rare
    motion_fraction: Share = 0.12  # crops with motion blur ...
    motion_px: Amount = 9.0  # ... of up to this length, px of the crop
    noise: Amount = 0.035  # greatest standard deviation at middle grey, of 0..1
    jpeg_fraction: Share = 0.5
    jpeg_quality: Range = (30.0, 95.0)
    patch_fraction: Share = 0.08  # crops with blank patches, which count as occluders

    # ---- detection boxes
    box_shift: Amount = 0.08  # of the box's size, +-, of an ordinary box
    box_scale: Range = (0.88, 1.15)
    sloppy_fraction: Share = 0.2  # boxes that are clearly wrong: ...
    sloppy_shift: Amount = 0.2  # ... shifted by up to this, of the box's size, +- ...
    sloppy_scale: Range = (0.7, 1.4)  # ... too small or too large
    cut_fraction: Share = 0.08  # boxes that lack up to 30 % on one side, or have so much to spare
    amodal_fraction: Share = 0.1  # detectors that box the whole silhouette, hidden parts too

    @model_validator(mode="after")
    def _ranges_are_in_order(self) -> SceneConfig:
        for key in ("sensor_width", "focal_range", "distance_range", "jpeg_quality", "box_scale", "sloppy_scale"):
            low, high = getattr(self, key)
            if not 0 < low <= high:
                raise ValueError(f"{key} is ({low}, {high}): it needs 0 < low <= high")
        if self.jpeg_quality[1] > 100:
            raise ValueError(f"jpeg_quality goes up to {self.jpeg_quality[1]}; the scale ends at 100")
        if self.standing_fraction + self.resting_fraction > 1:
            raise ValueError("standing_fraction and resting_fraction add up to more than 1")
        return self
