"""A batch that several CPU threads share is the batch that one thread draws, to the bit."""

import pytest
import torch
from conftest import wedge_mesh

from mrc_core.geometry import make_transform
from mrc_core.geometry.rotations import random_rotations
from mrc_core.rendering import create_renderer


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_threads_change_no_bit(threads):
    renderer = create_renderer("warp", [wedge_mesh(), wedge_mesh(0.5)])
    rng = torch.Generator().manual_seed(0)
    count, images = 23, 9
    pose = make_transform(random_rotations(count, rng), torch.tensor([0.0, 0.0, 0.4]))
    K = torch.tensor([[500.0, 0, 63.5], [0, 500, 63.5], [0, 0, 1]]).expand(images, 3, 3)
    image_index = torch.randint(images - 1, (count,), generator=rng)  # the last image stays empty
    object_index = torch.randint(2, (count,), generator=rng)
    results = []
    for number in (1, 3):
        threads(number)
        results.append(renderer.render_scenes(image_index, object_index, pose, K, (128, 128)))
    one, three = results
    assert renderer._sharers((images, 128, 128)) > 1
    for name in ("rgb", "depth_m", "mask", "instance", "coverage"):
        assert torch.equal(getattr(one, name), getattr(three, name)), name
    assert not three.mask[-1].any()
    assert set(three.instance.unique().tolist()) > {-1, 0}
