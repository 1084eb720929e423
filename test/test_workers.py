"""Two processes that train together: what each of them does is what one process with all of the samples would do."""

import os
import socket
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file
from torch import nn
from training_runs import FROM_TRUTH, rows, step, tiny_trainer, with_nan

from mrc_core.training import workers as workers_module
from mrc_core.training.workers import Workers


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads of several test runs on few cores would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)



def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2)).to(memory_format=torch.channels_last)


def _samples() -> torch.Tensor:
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def _work(rank: int, port: int, folder: str) -> None:
    os.environ.update(WORLD_SIZE="2", RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    workers_module.BUCKET = 100  # several buckets even of a small network
    workers = Workers("gloo")
    result = {**_average(workers, rank), **_agree(workers, rank, folder), **_train(workers, rank, folder)}
    save_file({name: value.contiguous() for name, value in result.items()}, f"{folder}/{rank}.bin")
    workers.close()


def _average(workers: Workers, rank: int) -> dict[str, torch.Tensor]:
    network = _network()
    half_used, unused = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))  # decoders of objects not in a batch
    network(_samples()[rank * 3 : rank * 3 + 3]).square().mean().backward()
    if rank:
        half_used.sum().backward()
    figures = workers.average_gradients([*network.parameters(), unused, half_used], torch.tensor([1.0 + rank, 5.0]))
    assert unused.grad is None
    gradients = {f"grad{i}": p.grad for i, p in enumerate([*network.parameters(), half_used])}
    return {**gradients, "figures": figures, "asked": torch.tensor([workers.any(rank == 1), workers.any(False)])}


def _agree(workers: Workers, rank: int, folder: str) -> dict[str, torch.Tensor]:
    """The first process's state is everyone's, and files that it leaves are found by the second."""
    groups = {"a": {"x": torch.arange(3.0) + rank, "step": torch.tensor(7 - rank)}} if rank == 0 else {}
    groups, state = workers.share(groups, {"best": 0.25} if rank == 0 else {})
    assert state == {"best": 0.25}
    path = os.path.join(folder, "left_by_the_first")

    def make() -> bool:
        found = os.path.exists(path)
        open(path, "w").close()
        return found

    return {"x": groups["a"]["x"], "step": groups["a"]["step"], "found": torch.tensor(workers.in_turns(make))}


def _train(workers: Workers, rank: int, folder: str) -> dict[str, torch.Tensor]:
    """Gradients of half of a batch each; then a step in which the second process alone meets NaN."""
    output = Path(folder) / f"run{rank}"
    run = tiny_trainer(output, workers=workers, steps=3, **FROM_TRUTH)
    batch = run.source.batch(0, 8)
    half = rows(batch, rank * 4, rank * 4 + 4)
    terms = run.learner.gradients([half], 0)
    out = {f"net/{name}": p.grad.clone() for name, p in run.learner.trained.items() if p.grad is not None}
    out["total"] = torch.tensor(terms["total"])
    before = {name: p.detach().clone() for name, p in run.learner.trained.items()}
    step(run, with_nan(half) if rank == 1 else half)
    assert run.state.skipped_steps == 1
    assert all(torch.equal(p, before[name]) for name, p in run.learner.trained.items())
    assert all(torch.equal(run.learner.average[name], before[name]) for name in run.learner.average)
    assert not run.learner.optimizer.state
    run.train()
    out["trained"] = torch.cat([p.detach().flatten() for p in run.learner.trained.values()])
    out["seen"] = torch.tensor(run.state.samples_seen)
    assert output.exists() == (rank == 0)  # the others need no folder
    return out


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workers")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(_work, args=(port, str(folder)), nprocs=2)
    return folder, [load_file(folder / f"{rank}.bin") for rank in range(2)]


def test_gradients_and_figures_are_means_and_absent_ones_count_as_zero(results):
    whole = _network()
    whole(_samples()).square().mean().backward()
    for result in results[1]:
        *ours, half_used = [result[f"grad{i}"] for i in range(5)]
        for a, parameter in zip(ours, whole.parameters()):
            assert torch.allclose(a, parameter.grad, atol=1e-6)
        assert half_used.tolist() == [0.5, 0.5, 0.5]
        assert result["figures"].tolist() == [1.5, 5.0]
        assert result["asked"].tolist() == [True, False]


def test_all_processes_have_the_first_ones_state(results):
    for result in results[1]:
        assert result["x"].tolist() == [0, 1, 2]
        assert result["step"].item() == 7
    assert [bool(result["found"]) for result in results[1]] == [False, True]


def test_two_processes_give_the_gradients_of_one(results, tmp_path):
    """The whole trainer, in float32: the largest difference is 1e-4 of a tensor's largest gradient."""
    one = tiny_trainer(tmp_path, **FROM_TRUTH)
    terms = one.learner.gradients([one.source.batch(0, 8)], 0)
    wanted = {name: p.grad for name, p in one.learner.trained.items() if p.grad is not None}
    for result in results[1]:
        ours = {name[4:]: g for name, g in result.items() if name.startswith("net/")}
        assert ours.keys() == wanted.keys()
        for name, gradient in wanted.items():
            assert torch.allclose(ours[name], gradient, atol=1e-4 * float(gradient.abs().max())), name
        assert result["total"].item() == pytest.approx(terms["total"], rel=1e-5)


def test_both_processes_end_with_the_same_weights_and_one_wrote_the_run(results):
    folder, (first, second) = results
    assert torch.equal(first["trained"], second["trained"])
    assert first["seen"] == second["seen"] == 3 * 4 * 2  # the skipped step is one of the three
    assert (folder / "run0" / "bundle" / "bundle.yaml").is_file()
    assert (folder / "run0" / "checkpoint.safetensors").is_file()


def test_one_process_alone_changes_nothing(monkeypatch):
    for key in ("WORLD_SIZE", "RANK"):
        monkeypatch.delenv(key, raising=False)
    workers = Workers()
    parameter = nn.Parameter(torch.ones(2))
    parameter.grad = torch.tensor([1.0, 2.0])
    assert workers.average_gradients([parameter], torch.tensor([3.0])).tolist() == [3]
    assert parameter.grad.tolist() == [1, 2]
    assert workers.is_first
    assert workers.any(True) is True
    assert workers.in_turns(lambda: 5) == 5


@pytest.mark.parametrize("flag", [True, False])
def test_any_of_one_is_itself(flag):
    assert Workers().any(flag) is flag
