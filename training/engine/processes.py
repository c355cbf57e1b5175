"""The processes of one run: alone, or started by torchrun with one on each GPU, on one node or many."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Processes:
    rank: int = 0
    world: int = 1
    device: torch.device = CPU

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all processes."""
        if self.world == 1:
            return values
        there = values.to(self.device)
        distributed.all_reduce(there)
        return there.to(values.device)

    def gathered(self, value: Any) -> list[Any]:
        """Every process's value, by rank."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        distributed.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        if self.world > 1:
            distributed.barrier()


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Joins the group that torchrun's environment tells of, if any, and leaves it at the end."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Processes()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), world, device)
    finally:
        distributed.destroy_process_group()
