"""Runs the engine as child processes: picks the device, starts, follows and stops. Knows no database and loads no torch.

Locks are files held by flock and inherited by the child: a device or a run folder stays taken for as long as any process
works with it, even when the worker that started the child was killed.
"""

import ctypes
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLL_S = 0.2
STOPPED = 3  # the engine's exit status after SIGTERM: a checkpoint is written
PR_SET_PDEATHSIG = 1
TORCHRUN_SAYS = re.compile(r"[WE]\d{4} .*torch/distributed/elastic/")
_libc = ctypes.CDLL(None, use_errno=True)  # loaded here: nothing may be imported between fork and exec


class NoFreeDevice(RuntimeError):
    """Every GPU (or the CPU's one place) has a run on it; try again later."""


class FolderBusy(RuntimeError):
    """Another process works in the run folder, or it cannot be written now."""


@dataclass(frozen=True)
class Gpu:
    index: str
    uuid: str
    name: str
    memory_mib: int
    used_mib: int
    busy_percent: int


@dataclass(frozen=True)
class Device:
    """What a run may use: some GPUs, or none (the CPU). `fds` hold its locks."""

    gpus: tuple[Gpu, ...]
    fds: tuple[int, ...]

    @property
    def name(self) -> str:
        if not self.gpus:
            return "CPU"
        return f"{len(self.gpus)} × {self.gpus[0].name} ({', '.join(gpu.index for gpu in self.gpus)})"[:60]

    @property
    def environment(self) -> dict[str, str]:
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(gpu.index for gpu in self.gpus)}


# --- devices ----------------------------------------------------------------------------------------------------
def gpus(allowed: list[str] | None = None) -> list[Gpu]:
    """The machine's GPUs as nvidia-smi tells them, the emptiest first; none where there is no driver.

    allowed: indexes to keep; empty keeps all, ["none"] keeps none.
    """
    fields = "index,uuid,name,memory.total,memory.used,utilization.gpu"
    try:
        answer = subprocess.run(
            ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    found = [_gpu(line) for line in answer.stdout.splitlines() if line.count(",") >= 5]
    kept = [gpu for gpu in found if not allowed or gpu.index in allowed]
    return sorted(kept, key=lambda gpu: (gpu.used_mib, int(gpu.index)))


def _gpu(line: str) -> Gpu:
    index, uuid, name, memory, used, busy = (part.strip() for part in line.split(",")[:6])
    return Gpu(index, uuid, name, _whole(memory), _whole(used), _whole(busy))


def _whole(text: str) -> int:
    """The number, or 0 for the "[N/A]" that partitioned GPUs answer."""
    return int(text) if text.isdigit() else 0


@contextmanager
def device_claim(wanted: int, *, locks: Path, allowed: list[str] | None = None) -> Iterator[Device]:
    """Takes up to `wanted` free GPUs, or the CPU where there is none or wanted is 0.

    Raises NoFreeDevice if all are taken: a machine with GPUs never falls back to its CPU.
    """
    locks.mkdir(parents=True, exist_ok=True)
    candidates = gpus(allowed) if wanted else []
    taken: list[Gpu] = []
    with ExitStack() as stack:
        fds: list[int] = []
        for gpu in candidates:
            if len(taken) < wanted and (fd := lock_take(locks / f"gpu-{gpu.uuid}.lock", stack)) is not None:
                taken.append(gpu)
                fds.append(fd)
        if not candidates and (fd := lock_take(locks / f"cpu-{socket.gethostname()}.lock", stack)) is not None:
            fds.append(fd)
        if not fds:
            raise NoFreeDevice(f"{len(candidates) or 'no'} GPU(s) here, and a run on each place")
        yield Device(tuple(taken), tuple(fds))


def lock_take(path: Path, stack: ExitStack) -> int | None:
    """A descriptor that holds the lock until the stack closes and every child that inherited it is gone; None if it is held."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    stack.callback(os.close, fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    return fd


def is_locked(path: Path) -> bool:
    """Whether some process holds this lock now."""
    if not path.exists():
        return False
    with ExitStack() as stack:
        return lock_take(path, stack) is None


@contextmanager
def folder_claim(folder: Path, *, orphan_pid: int | None = None, grace_s: float = 10.0) -> Iterator[int]:
    """Takes the run folder for this process and the children it starts.

    orphan_pid: the process group of an earlier child of this run on this machine; if it still holds the folder, its worker
    is dead, and it is stopped first. Raises FolderBusy if the folder stays taken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / ".lock"
    if orphan_pid and is_locked(lock):
        orphan_stop(orphan_pid, folder, grace_s)
    with ExitStack() as stack:
        fd = lock_take(lock, stack)
        if fd is None:
            raise FolderBusy(f"another process works in {folder}")
        yield fd


def orphan_stop(pid: int, folder: Path, grace_s: float) -> None:
    """SIGTERM, then SIGKILL, to a process group whose leader still names this folder; anything else under that number is left alone."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return
    if str(folder) not in command.split("\0"):
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + grace_s
        while time.monotonic() < deadline:
            if not is_locked(folder / ".lock"):
                return
            time.sleep(POLL_S)


# --- commands ---------------------------------------------------------------------------------------------------
def train_command(
    engine: str, *, recipe: str, release: Path, out: Path, seed: int, overrides: dict[str, Any], resume: bool, num_gpus: int
) -> list[str]:
    """The engine's command line; under torchrun, one process per GPU, when there is more than one.

    The address is given because torchrun waits for minutes on a machine whose own name does not resolve.
    """
    start = (
        ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", f"--nproc-per-node={num_gpus}", "-m"]
        if num_gpus > 1
        else ["-m"]
    )
    command = [sys.executable, *start, f"{engine}.train", "--recipe", recipe, "--release", str(release), "--out", str(out)]
    command += ["--seed", str(seed)]
    if resume:
        command.append("--resume")
    for name, value in sorted(overrides.items()):
        command += ["--set", f"{name}={_as_text(value)}"]
    return command


def _as_text(value: Any) -> str:
    """A recipe field's value as --set reads it."""
    if isinstance(value, str):
        return value
    return ",".join(_as_text(part) for part in value) if isinstance(value, list | tuple) else json.dumps(value)


def evaluate_command(engine: str, *, release: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", f"{engine}.evaluate", "--run", str(out), "--release", str(release)]


def predict_command(engine: str, *, run: Path, listed: Path, out: Path) -> list[str]:
    """Predictions of the clips that are listed in a file, one path a line."""
    return [sys.executable, "-m", f"{engine}.predict", "--run", str(run), "--list", str(listed), "--out", str(out)]


def windows_command(engine: str, *, run: Path, listed: Path, out: Path) -> list[str]:
    """Probabilities per stretch of the clips that are listed in a file, NAME and PATH a line, as NAME.npy."""
    return [sys.executable, "-m", f"{engine}.windows", "--run", str(run), "--list", str(listed), "--out", str(out)]


def prepare_command(engine: str, *, release: Path) -> list[str]:
    return [sys.executable, "-m", f"{engine}.prepare", "--release", str(release)]


# --- child processes --------------------------------------------------------------------------------------------
class Child:
    """One child process in its own process group, its output appended to a log."""

    def __init__(self, command: list[str], *, log: Path, environment: dict[str, str], cwd: Path, locks: tuple[int, ...] = ()) -> None:
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
                pass_fds=locks,
                start_new_session=True,
                preexec_fn=_stop_when_the_worker_dies,  # noqa: PLW1509 - it calls prctl and nothing else
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self, grace_s: float) -> int:
        """Its exit status after SIGTERM and, when that is not obeyed in time, SIGKILL to the whole group."""
        self._signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=grace_s)
        except subprocess.TimeoutExpired:
            pass
        self._signal(signal.SIGKILL)  # also what the child left behind in its group
        return self.process.wait()

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass


def _stop_when_the_worker_dies() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def follow(
    child: Child, *, beat: Callable[[], str | None], heartbeat_s: float, time_limit_s: float, grace_s: float
) -> tuple[int, str | None]:
    """Waits for the child; gives back its exit status and why it was stopped, if it was.

    beat is called now and every heartbeat_s; a text from it, or the time limit, stops the child.
    """
    started = time.monotonic()
    beaten = -heartbeat_s
    try:
        while (status := child.process.poll()) is None:
            now = time.monotonic() - started
            if now - beaten >= heartbeat_s:
                beaten = now
                reason = beat() or (f"time limit of {time_limit_s:g} s reached" if now > time_limit_s else None)
                if reason:
                    return child.stop(grace_s), reason
            time.sleep(min(POLL_S, heartbeat_s))
        return status, None
    finally:
        if child.process.poll() is None:  # this process is being stopped itself: the child must not outlive it
            child.stop(grace_s)


# --- what the engine writes -------------------------------------------------------------------------------------
def metrics_read(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The whole lines of metrics.jsonl from a byte offset on, and the offset to go on from.

    A half-written last line is left for the next call; a line that is no JSON object (a crash, a full disk) is passed over.
    A file shorter than the offset was cut back by a resumed run, and is read from its beginning.
    """
    try:
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < offset:
                offset = 0
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], offset
    end = data.rfind(b"\n") + 1
    rows = (_row(line) for line in data[:end].splitlines())
    return [row for row in rows if row is not None], offset + end


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line, parse_constant=lambda name: None)  # NaN and Infinity are no JSON: the database refuses them
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def result_read(folder: Path) -> dict[str, Any]:
    """What result.json holds. Raises ValueError if it is missing or no JSON object."""
    path = folder / "result.json"
    try:
        result = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda name: None)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from None
    if not isinstance(result, dict):
        raise ValueError(f"{path.name} holds no object")
    return result


def tail(path: Path, *, max_bytes: int = 65_536) -> str:
    """The end of a text file, from a line's beginning; empty if there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - max_bytes))
            data = file.read()
    except FileNotFoundError:
        return ""
    if size > max_bytes:
        data = data.partition(b"\n")[2]
    return data.decode("utf-8", errors="replace").replace("\0", "")  # PostgreSQL takes no NUL; a crash may leave some


def was_stopped(status: int, log: Path) -> bool:
    """Whether SIGTERM ended the child: after a checkpoint, before it could listen, or under torchrun, which ends with 1 and says so last."""
    return status in (STOPPED, -signal.SIGTERM) or "SignalException: " in tail(log, max_bytes=8_192).rstrip().rpartition("\n")[2]


def last_words(log: Path) -> str:
    """The last few lines of a log: what a person needs to see why a run failed. torchrun's own report of who ended when is left out."""
    lines = tail(log, max_bytes=16_384).rstrip().splitlines()
    if lines and set(lines[-1]) == {"="}:
        began = [number for number, line in enumerate(lines) if TORCHRUN_SAYS.match(line)]
        while began and began[-1] - 1 in began:  # of several lines in a row the first
            began.pop()
        lines = lines[: began[-1]] if began else lines
    return "\n".join(lines[-20:])[-2_000:]
