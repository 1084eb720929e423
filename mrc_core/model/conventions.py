"""What surrounds a network: how its crops are cut, what its renders look like and what its numbers count."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mrc_core.geometry.site import DepthFocal


class Conventions(BaseModel):
    """The conventions that weights were trained under.

    The defaults are this project's. Weights from elsewhere keep their own, which a bundle stores: a network does not
    unlearn half a pixel. Not part of `MRCNetConfig`, because nothing inside the network changes with them, and
    because training of ours knows one set of conventions alone, with the choice of two looks of renders.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    crop_shift_px: float = Field(
        default=0.0,
        description="how far the picture in a crop lies to the right of, and below, where the crop's intrinsics put it",
    )
    antialias: bool = Field(
        default=True, description="average several samples for each pixel of a crop that shrinks the image"
    )
    box_map: Literal["inside", "rounded"] = Field(
        default="inside",
        description="pixels of a box map: those with their centre inside, or those between the rounded edges",
    )
    rendered_box_growth: float = Field(
        default=0.0,
        ge=0,
        description="growth on every side of the box map of a render, in parts of the box's size",
    )
    depth_focal: DepthFocal = Field(
        default="mean",
        description="focal length that tau_z counts in: the geometric mean of fx and fy, or fx",
    )
    object_origin: Literal["centre", "mesh"] = Field(
        default="centre",
        description="origin of the object's frame that the network knows: see ObjectModel.centre, or the mesh's",
    )
    render: Literal["material", "grey"] = Field(
        default="material",
        description="look of renders: the object's own colours, or the reference's grey Phong shading",
    )

    @property
    def can_be_trained(self) -> bool:
        """Whether training here keeps to them: it knows both looks of renders, and of all else its own alone."""
        return self.model_copy(update={"render": OURS.render}) == OURS


OURS = Conventions()
