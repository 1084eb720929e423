"""Two processes that train together: their gradients are those of one process on both halves."""

import os
import socket

import pytest
import torch
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file
from torch import nn

from mrc_core.training.workers import Workers


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2)).to(memory_format=torch.channels_last)


def _samples() -> torch.Tensor:
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def _work(rank: int, port: int, folder: str) -> None:
    os.environ.update(WORLD_SIZE="2", RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    workers = Workers("gloo")
    network = _network()
    unused = nn.Parameter(torch.ones(3))  # as the decoder of an object that is not in the batch
    network(_samples()[rank * 3 : rank * 3 + 3]).square().mean().backward()
    workers.average_gradients([*network.parameters(), unused])
    asked = [workers.any(rank == 1), workers.any(False)]
    gradients = [p.grad.contiguous() for p in [*network.parameters(), unused]]
    asked_tensor = torch.tensor(asked)
    save_file({"asked": asked_tensor, **{f"grad{i}": g for i, g in enumerate(gradients)}}, f"{folder}/{rank}.bin")
    workers.close()


def test_two_processes_give_the_gradients_of_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(_work, args=(port, str(tmp_path)), nprocs=2)
    whole = _network()
    whole(_samples()).square().mean().backward()
    for rank in range(2):
        result = load_file(tmp_path / f"{rank}.bin")
        *ours, unused = [result[f"grad{i}"] for i in range(5)]
        for a, parameter in zip(ours, whole.parameters()):
            assert torch.allclose(a, parameter.grad, atol=1e-6)
        assert unused.tolist() == [0, 0, 0]
        assert result["asked"].tolist() == [True, False]


def test_one_process_alone_changes_nothing(monkeypatch):
    for key in ("WORLD_SIZE", "RANK"):
        monkeypatch.delenv(key, raising=False)
    workers = Workers()
    parameter = nn.Parameter(torch.ones(2))
    parameter.grad = torch.tensor([1.0, 2.0])
    workers.average_gradients([parameter])
    assert parameter.grad.tolist() == [1, 2]
    assert workers.is_first
    assert workers.any(True) is True


@pytest.mark.parametrize("flag", [True, False])
def test_any_of_one_is_itself(flag):
    assert Workers().any(flag) is flag
