"""The computed memory of a training step: every part has its share, and a batch takes its multiple."""

import pytest
import torch
from torch.nn import functional as F
from training_runs import TINY_MODEL

from mrc_core.benchmarks import training_memory
from mrc_core.benchmarks.training_memory import measure_training_memory
from mrc_core.training.config import TrainConfig


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads of several test runs on few cores would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)



@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    def config(flavour, batch_size):
        return TrainConfig(model=TINY_MODEL, batch_size=batch_size, losses={"surface": 1.0})

    monkeypatch.setattr(training_memory, "_config", config)


def test_activations_grow_with_the_batch_and_parameters_with_the_objects():
    one, two, five = (training_memory._saved_bytes("small", size) for size in (1, 2, 5))
    assert one + 4 * (two - one) == pytest.approx(five, rel=0.02)
    few, more, many = measure_training_memory("small", 16, "cpu")
    assert few["activations, GiB"] == pytest.approx((one + 15 * (two - one)) / 2**30)
    assert few["activations, GiB"] == many["activations, GiB"]
    network = TrainConfig(model=TINY_MODEL).network_config
    decoder = sum(p.numel() for p in training_memory.MRCNet(network(1)).decoder.parameters())
    assert (many["parameters, M"] - few["parameters, M"]) * 1e6 == pytest.approx(29 * decoder)
    parts = ("parameters x 5, GiB", "activations, GiB", "allowance, GiB")
    assert more["sum, GiB"] == pytest.approx(sum(more[key] for key in parts))


def test_what_is_kept_is_counted_once_and_in_the_precision_of_cuda():
    seen = []
    genuine = F.group_norm
    with training_memory._precisions_of_cuda(), torch.autocast("cpu", torch.bfloat16):
        seen.append(F.group_norm(torch.rand(1, 4, 2, 2, dtype=torch.bfloat16), 2).dtype)
    assert seen == [torch.float32]
    assert F.group_norm is genuine
