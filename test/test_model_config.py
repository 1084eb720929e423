"""The network's configuration: the two flavours, and what is refused."""

import pytest
from pydantic import ValidationError

from mrc_core.model import MRCNetConfig


def test_the_papers_sizes() -> None:
    config = MRCNetConfig.paper(num_objects=1)
    assert (config.crop_size, config.backbone) == (256, 34)
    assert (config.num_rotations, config.xy_cells**2, config.depth_bins) == (4608, 4096, 1000)
    assert (config.feature_size, config.correlation_channels) == (64, 121)
    assert config.aspp_output_channels(128) == 1024
    assert config.norm == "group"


def test_rotation_buckets_of_each_fineness() -> None:
    assert [MRCNetConfig.paper(1, n_side=n).num_rotations for n in (2, 3, 4)] == [576, 1944, 4608]


@pytest.mark.parametrize("flavour", [MRCNetConfig.paper, MRCNetConfig.small])
def test_survives_being_written_as_plain_values(flavour) -> None:
    config = flavour(3)
    assert MRCNetConfig(**config.model_dump(mode="json")) == config


def test_an_unknown_key_is_named_with_a_remedy() -> None:
    with pytest.raises(ValidationError, match=r"unknown key 'depth_bin'.*did you mean 'depth_bins'"):
        MRCNetConfig.small(1, depth_bin=32)
    with pytest.raises(ValidationError, match=r"unknown key 'qqq'.*known keys: num_objects"):
        MRCNetConfig.paper(1, qqq=1)


def test_sizes_that_cannot_be_built_are_named() -> None:
    with pytest.raises(ValidationError, match="crop_size must be a multiple of 16"):
        MRCNetConfig.paper(1, crop_size=250)
    with pytest.raises(ValidationError, match=r"pyramid_channels: 100 .* norm_groups = 32"):
        MRCNetConfig.paper(1, pyramid_channels=100)
    with pytest.raises(ValidationError, match="num_objects"):
        MRCNetConfig.paper(0)
    with pytest.raises(ValidationError, match="norm"):
        MRCNetConfig.paper(1, norm="layer")


def test_is_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        MRCNetConfig.paper(1).depth_bins = 3
