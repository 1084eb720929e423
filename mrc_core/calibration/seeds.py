"""Which seeds give scenes that neither training nor validation nor a test has seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

DEFAULT_SEED = 20_011
STREAMS_A_SEED = 1_000_003  # SceneGenerator's batch number i of seed s is random stream s * STREAMS_A_SEED + i
BATCHES = 10**7  # numbers that no run of training or validation goes beyond, from each of ...
FIRST_BATCHES = (0, 10**9, 2 * 10**9)  # ... training's, validation's and the depth limits' first
RESERVED = {7001: "the scenes that `mrc-net onboard` measures accuracy on"}


def check_seed(seed: int, provenance: dict[str, Any], batches: int) -> None:
    """Makes sure that `batches` batches of this seed are new to the bundle.

    Args:
        provenance: of the bundle; every seed in it counts, also those of bundles that it started from.

    Raises:
        ValueError: with what the seed was used for.
    """
    if seed < 0:
        raise ValueError(f"--seed must be 0 or more, not {seed}")
    if seed in RESERVED:
        raise ValueError(f"seed {seed} belongs to {RESERVED[seed]}: choose another --seed")
    first = seed * STREAMS_A_SEED
    for used in sorted({0, *_seeds(provenance)}):
        for start in (used * STREAMS_A_SEED + offset for offset in FIRST_BATCHES):
            if first < start + BATCHES and start < first + batches:
                raise ValueError(
                    f"seed {seed} gives scenes that the bundle was trained or validated on (its seed was {used}): "
                    f"choose another --seed, the default {DEFAULT_SEED} for example"
                )


def _seeds(provenance: Any) -> Iterator[int]:
    """Every number that stands under a key `seed`."""
    if isinstance(provenance, dict):
        for key, value in provenance.items():
            if key == "seed" and isinstance(value, int):
                yield value
            else:
                yield from _seeds(value)
    elif isinstance(provenance, list):
        for value in provenance:
            yield from _seeds(value)
