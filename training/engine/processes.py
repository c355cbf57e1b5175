"""The processes of one run: alone, or started by torchrun with one on each GPU, on one node or many."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from training.engine.stopping import Stopped

CPU = torch.device("cpu")
PR_SET_PDEATHSIG = 1
PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class Processes:
    rank: int = 0
    world: int = 1
    device: torch.device = CPU
    patient: Any = None  # the same processes as a group that waits as long as it takes: preparing a release takes hours

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
        distributed.all_gather_object(values, value, self.patient)
        return values

    def follow_main(self, tensors: Iterable[torch.Tensor]) -> None:
        """Gives each tensor, in place, the main process's values."""
        if self.world > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def agree(self, value: Any, what: str) -> None:
        """Raises ValueError unless every process has this value: several machines may see several folders."""
        if any(other != value for other in self.gathered(value)):
            raise ValueError(f"the processes of this run do not see the same {what}; give every machine the same folders")

    def by_main(self, work: Callable[[], None]) -> None:
        """Has the main process alone do it, while the others wait; what it refuses is refused by all."""
        refusal: Exception | None = None
        if self.is_main:
            try:
                work()
            except (ValueError, OSError, Stopped) as error:
                refusal = error
        if refused := self.gathered(refusal)[0]:
            raise refused

    def wait(self) -> None:
        if self.world > 1:
            distributed.barrier(self.patient)


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Joins the group that torchrun's environment tells of, if any, and leaves it at the end.

    Raises ConnectionError when another process of the group is gone.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if "TORCHELASTIC_RUN_ID" in os.environ:
        stop_when_the_parent_dies()
    if world == 1:
        yield Processes()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), world, device, distributed.new_group(backend="gloo", timeout=PATIENCE))
    except RuntimeError as error:
        if isinstance(error, distributed.DistBackendError) or "gloo" in str(error):
            raise ConnectionError("another process of this run ended; it said why, and the run goes on with --resume") from error
        raise
    finally:
        distributed.destroy_process_group()


def stop_when_the_parent_dies() -> None:
    """Asks the kernel for SIGTERM when torchrun is killed: torchrun starts us in a session of our own, so no signal to its group comes here."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        raise OSError(ctypes.get_errno(), "prctl refused PR_SET_PDEATHSIG")
