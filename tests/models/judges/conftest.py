"""What tests of the judging networks share."""

import zlib

import pytest
import torch

COUNTER = "num_batches_tracked"


@pytest.fixture
def signature():
    """(judge) -> tensors, tensors without counters, CRC-32 of the latter's names and shapes: sorted, a line each."""

    def of(judge: torch.nn.Module) -> tuple[int, int, int]:
        state = judge.state_dict()
        lines = sorted(f"{name} {tuple(each.shape)}" for name, each in state.items() if not name.endswith(COUNTER))
        return len(state), len(lines), zlib.crc32("\n".join(lines).encode())

    return of


@pytest.fixture
def noise():
    """(*shape, seed) -> uint8 noise."""

    def of(*shape: int, seed: int = 0) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)

    return of
