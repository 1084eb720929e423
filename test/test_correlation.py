"""The fast local correlation against a readable twin: values, gradients, precision, memory."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from mrc_core.model.correlation import Correlation, correlate


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Work this small loses more time to waiting threads than it gains, on a busy machine most of all."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def correlate_twin(rendered: Tensor, real: Tensor, radius: int) -> Tensor:
    """The definition, one shift at a time: slow, but each line can be checked by eye."""
    _, channels, height, width = rendered.shape
    padded = torch.nn.functional.pad(real, (radius, radius, radius, radius))
    shifts = []
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            shifted = padded[:, :, radius + dy : radius + dy + height, radius + dx : radius + dx + width]
            shifts.append((rendered * shifted).sum(dim=1) / math.sqrt(channels))
    return torch.stack(shifts, dim=1)


def random_maps(shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rendered, real = (
        torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for _ in range(2)
    )
    return rendered, real


# Heights above, at and below the strips that the fast path works in, and maps smaller than the window.
SHAPES = [
    (1, 32, 32, 32),
    (3, 48, 16, 16),
    (2, 16, 8, 8),
    (1, 5, 7, 11),
    (2, 3, 1, 4),
    (1, 4, 9, 2),
    (2, 8, 4, 4),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [1, 5])
def test_equals_the_twin(shape: tuple[int, ...], radius: int) -> None:
    rendered, real = random_maps(shape, torch.float64)
    torch.testing.assert_close(
        correlate(rendered, real, radius), correlate_twin(rendered, real, radius), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("channels_last", [False, True])
def test_gradients_equal_the_twins(shape: tuple[int, ...], channels_last: bool) -> None:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    gradients = []
    for function in (correlate, correlate_twin):
        inputs = [
            x.contiguous(memory_format=layout).requires_grad_() for x in random_maps(shape, torch.float64)
        ]
        out = function(*inputs, 5)
        weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        gradients.append(torch.autograd.grad((out * weights).sum(), inputs))
    for fast, slow in zip(*gradients):
        torch.testing.assert_close(fast, slow, rtol=0, atol=1e-11)


def test_the_channel_of_a_shift() -> None:
    """A feature that lies two down and three left of its place lights exactly the channel of that shift."""
    rendered, real = torch.zeros(1, 4, 12, 12), torch.zeros(1, 4, 12, 12)
    rendered[0, :, 6, 7] = 1
    real[0, :, 8, 4] = 1
    out = correlate(rendered, real, 5)
    dy, dx = 2, -3
    assert out.nonzero().tolist() == [[0, (dy + 5) * 11 + dx + 5, 6, 7]]
    assert out.max().item() == pytest.approx(4 / math.sqrt(4))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_lower_precision(dtype: torch.dtype, tolerance: float) -> None:
    rendered, real = random_maps((2, 128, 16, 16), dtype)
    out = correlate(rendered, real, 5)
    assert out.dtype == dtype
    expected = correlate_twin(rendered.double(), real.double(), 5)
    assert (out.double() - expected).abs().max() < tolerance * expected.abs().max()


def test_keeps_no_more_than_its_inputs_for_the_backward_pass() -> None:
    rendered, real = (x.requires_grad_() for x in random_maps((1, 64, 32, 32), torch.float32))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        correlate(rendered, real, 5)
    assert sum(kept) < 4 * rendered.numel()  # the two maps, one of them with its border


def test_one_projection_serves_both_branches() -> None:
    module = Correlation(6, 4, 5)
    rendered, real = random_maps((2, 6, 8, 8), torch.float32)
    project = module.project
    expected = correlate_twin(project(rendered), project(real), 5)
    torch.testing.assert_close(module(rendered, real), expected, rtol=0, atol=1e-5)


def test_maps_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="alike"):
        correlate(torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 8, 9), 5)
    with pytest.raises(ValueError, match="convert one"):
        correlate(torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 8, 8, dtype=torch.float64), 5)
