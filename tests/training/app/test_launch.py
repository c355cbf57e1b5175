import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from training import launch

TWO_GPUS = """0, GPU-aaaa, NVIDIA H200, 143771, 900, 12
1, GPU-bbbb, NVIDIA H200, 143771, 4, [N/A]
nonsense
"""


@pytest.fixture
def two_gpus(tmp_path, monkeypatch):
    """An nvidia-smi that answers for two GPUs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{TWO_GPUS}END\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_gpus_are_listed_emptiest_first(two_gpus):
    found = launch.gpus()
    assert [(gpu.index, gpu.used_mib, gpu.busy_percent) for gpu in found] == [("1", 4, 0), ("0", 900, 12)]
    assert [gpu.index for gpu in launch.gpus(["0"])] == ["0"]
    assert launch.gpus(["none"]) == []


def test_no_driver_means_no_gpus(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert launch.gpus() == []


def test_two_runs_never_share_a_gpu(two_gpus, tmp_path):
    with launch.device_claim(1, locks=tmp_path) as first, launch.device_claim(5, locks=tmp_path) as second:
        assert first.environment["CUDA_VISIBLE_DEVICES"] == "1"
        assert second.environment["CUDA_VISIBLE_DEVICES"] == "0"
        assert second.name == "1 × NVIDIA H200 (0)"
        with pytest.raises(launch.NoFreeDevice), launch.device_claim(1, locks=tmp_path):
            pass
    with launch.device_claim(2, locks=tmp_path) as both:
        assert both.environment["CUDA_VISIBLE_DEVICES"] == "1,0"


def test_without_gpus_one_run_at_a_time_has_the_cpu(tmp_path):
    with launch.device_claim(1, locks=tmp_path, allowed=["none"]) as device:
        assert (device.name, device.environment["CUDA_VISIBLE_DEVICES"]) == ("CPU", "")
        with pytest.raises(launch.NoFreeDevice), launch.device_claim(1, locks=tmp_path, allowed=["none"]):
            pass


def test_a_device_stays_taken_while_the_child_of_a_dead_worker_lives(tmp_path):
    with launch.device_claim(0, locks=tmp_path) as device:
        child = launch.Child(["sleep", "60"], log=tmp_path / "log", environment={}, cwd=tmp_path, locks=device.fds)
    with pytest.raises(launch.NoFreeDevice), launch.device_claim(0, locks=tmp_path):
        pass
    child.stop(5)
    with launch.device_claim(0, locks=tmp_path):
        pass


def test_a_child_that_ignores_sigterm_is_killed_with_its_group(tmp_path):
    script = "trap '' TERM; (trap '' TERM; sleep 60) & echo ready; wait; sleep 60"
    child = launch.Child(["bash", "-c", script], log=tmp_path / "log", environment={}, cwd=tmp_path)
    wait_for(tmp_path / "log", "ready")
    assert child.stop(0.2) == -signal.SIGKILL
    assert group_ends(child.pid)


def test_a_child_is_told_to_stop_when_its_worker_is_killed(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from training import launch\n"
        "child = launch.Child(['sleep', '600'], log=Path(sys.argv[1]) / 'log', environment={}, cwd=Path('.'))\n"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    worker = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    pid = int(worker.stdout.readline())
    worker.kill()
    worker.wait()
    worker.stdout.close()
    deadline = time.monotonic() + 60
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(pid)


def wait_for(path, text: str) -> None:
    deadline = time.monotonic() + 60
    while text not in path.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)


def group_ends(pgid: int) -> bool:
    for _ in range(100):
        try:
            os.killpg(pgid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter where it ends between opening and reading
        return False


def test_a_folder_still_held_by_an_orphan_is_freed_first(tmp_path):
    folder = tmp_path / "run"
    with launch.folder_claim(folder) as lock:
        child = launch.Child(
            ["bash", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done", "engine", str(folder)],
            log=folder / "log.txt", environment={}, cwd=tmp_path, locks=(lock,),
        )  # fmt: skip
    wait_for(folder / "log.txt", "ready")
    with pytest.raises(launch.FolderBusy), launch.folder_claim(folder):
        pass
    with launch.folder_claim(folder, orphan_pid=child.pid, grace_s=0.3):
        pass
    assert child.process.wait(5) == -signal.SIGKILL


def test_a_stranger_under_the_orphans_number_is_left_alone(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    with ExitStack() as stack:
        launch.lock_take(folder / ".lock", stack)
        with pytest.raises(launch.FolderBusy), launch.folder_claim(folder, orphan_pid=stranger.pid, grace_s=0.1):
            pass
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_more_than_one_gpu_means_torchrun(tmp_path):
    command = launch.train_command(
        "training.engine", recipe="avcanet", release=tmp_path, out=tmp_path, seed=1, overrides={"compile": True}, resume=True, num_gpus=4
    )
    assert command[1:7] == ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=4", "-m"]
    assert command[7] == "training.engine.train"
    assert command[-3:] == ["--resume", "--set", "compile=true"]


def test_metrics_are_read_on_from_where_the_last_reading_ended(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert launch.metrics_read(path) == ([], 0)
    path.write_text('{"step": 1}\nbroken\n[1]\n{"step": 2, "loss": NaN}\n{"ste')
    rows, offset = launch.metrics_read(path)
    assert rows == [{"step": 1}, {"step": 2, "loss": None}]
    with path.open("a") as file:
        file.write('p": 3}\n')
    rows, offset = launch.metrics_read(path, offset)
    assert rows == [{"step": 3}]
    path.write_text('{"step": 9}\n')
    assert launch.metrics_read(path, offset)[0] == [{"step": 9}], "a resumed run cuts off what it repeats"


def test_the_tail_of_a_log_begins_with_a_whole_line(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("first line\nsecond line\nthird line\n")
    assert launch.tail(log, max_bytes=15) == "third line\n"
    assert launch.tail(log) == log.read_text()
    assert launch.tail(tmp_path / "absent") == ""


REPORT = """W1123 14:55:32.378000 1176 .venv/lib/python3.11/site-packages/torch/distributed/elastic/multiprocessing/api.py:1028] Sending process 1209
E1123 14:55:32.443000 1176 .venv/lib/python3.11/site-packages/torch/distributed/elastic/multiprocessing/api.py:1002] failed (exitcode: 1)
Traceback (most recent call last):
  File "/site-packages/torch/distributed/elastic/multiprocessing/errors/__init__.py", line 367, in wrapper
    return f(*args, **kwargs)
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
======================================================
training.engine.train FAILED
------------------------------------------------------
======================================================
"""


def test_torchruns_report_does_not_hide_why_a_run_failed(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text(f"first try\n{REPORT}second try\nthe loss became nan\n{REPORT}")
    assert launch.last_words(log).splitlines()[-2:] == ["second try", "the loss became nan"]
    log.write_text(f"first try\n{REPORT}second try\n")
    assert launch.last_words(log).splitlines()[-1] == "second try"
