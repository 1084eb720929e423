"""A batch that several CPU threads share is the batch that one thread draws, to the bit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import wedge_mesh

from mrc_core.geometry import make_transform
from mrc_core.geometry.rotations import random_rotations
from mrc_core.rendering import create_renderer

TESTS = Path(__file__).resolve().parent


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


COUNT_HELPERS = """
import os, torch
from conftest import wedge_mesh
from mrc_core.rendering import create_renderer

def tasks():
    return len(os.listdir("/proc/self/task"))

torch.set_num_threads(3)
renderer = create_renderer("warp", [wedge_mesh()])
torch.ones(1 << 20).add_(1)  # this thread's helpers are there
before = tasks()
pose = torch.eye(4).repeat(16, 1, 1)
pose[:, 2, 3] = 0.4
K = torch.tensor([[500.0, 0, 63.5], [0, 500, 63.5], [0, 0, 1]]).expand(16, 3, 3)
for _ in range(2):
    renderer.render(torch.zeros(16, dtype=torch.int64), pose, K, (128, 128))
assert renderer._sharers((16, 128, 128)) == 3 and renderer._pool is not None
print(tasks() - before - len(renderer._pool._threads))
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads in /proc")
def test_the_pools_threads_leave_no_helpers_behind():
    """With more of OpenMP's helpers than processors every later pass of a network is slower by a quarter and more."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    command = [sys.executable, "-c", COUNT_HELPERS]
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert int(out.split()[-1]) == 0
