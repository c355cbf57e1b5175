"""The loop: the same curve from a seed, after a kill, after a stop; what a run folder holds; errors that say what to do."""

import io
import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed, nn

from tests.servers import free_port
from tests.training.engine.conftest import TINY
from training.engine import runs, train
from training.engine.faster import missing_tools
from training.engine.optimisers import learning_rate
from training.engine.processes import Processes, joined
from training.engine.recipes import RECIPES, overridden
from training.engine.releases import Sample, samples_of
from training.engine.stopping import StopSignal
from training.engine.usable import usable_samples
from training.launch import last_words
from training.nets import NETS, Opinions


def curve(folder):
    """What metrics.jsonl says, without what the clock decides."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("time", "samples_per_s", "left_s")} for row in rows if "heartbeat" not in row]


def weights(folder, name="final"):
    return runs.load_net(folder, name)[1].state_dict()


def assert_same_run(one, other):
    assert curve(one) == curve(other)
    for name in ("final", "best"):
        assert_same_weights(weights(one, name), weights(other, name))


def assert_same_weights(one, other):
    assert [key for key, value in one.items() if not torch.equal(value, other[key])] == []


@pytest.fixture(scope="module")
def whole(release, tmp_path_factory):
    """An uninterrupted run of the tiny recipe."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train.train(overridden(RECIPES["debug"](), TINY), release, folder)
    return folder


def test_a_run_folder_holds_what_the_contract_says(whole, release):
    assert (whole / "recipe.json").is_file()
    facts = json.loads((whole / "environment.json").read_text())
    assert {"git_commit", "torch", "manifest_sha256", "release", "gpu"} <= facts.keys()
    assert {p.name for p in (whole / "checkpoints").iterdir()} == {"last.pt", "best.safetensors", "final.safetensors"}
    rows = curve(whole)
    steps = [row for row in rows if "epoch" not in row]
    assert [row["step"] for row in steps] == [1, 2, 3, 4]  # 12 clips, batches of 4, groups of 2: two steps an epoch
    epochs = [(row["epoch"], row["split"]) for row in rows if "epoch" in row]
    assert epochs == [(1, "train"), (1, "val"), (2, "train"), (2, "val")]
    for row in rows:
        assert math.isfinite(row["loss"])
    assert all({"acc", "wa_f1", "uar"} <= row.keys() for row in rows if "epoch" in row)


def test_one_seed_gives_one_run_and_another_seed_another(whole, release, tmp_path, tiny):
    train.train(tiny, release, tmp_path / "again")
    assert_same_run(whole, tmp_path / "again")
    train.train(replace(tiny, seed=2, epochs=1), release, tmp_path / "other")
    assert curve(tmp_path / "other")[0]["loss"] != curve(whole)[0]["loss"]


class Killed(BaseException):
    """As sudden as a kill: nothing is written on the way out."""


@pytest.mark.parametrize("at", ["step 1", "step 3", "score 1", "score 2", "finish"])
def test_killed_anywhere_and_resumed_equals_uninterrupted(whole, release, tmp_path, tiny, monkeypatch, at):
    place, _, number = at.partition(" ")
    method = {"step": "_step", "score": "_score", "finish": "_finish"}[place]
    original, calls = getattr(train.Run, method), []

    def dying(self, *given):
        answer = original(self, *given)
        calls.append(1)
        if len(calls) == int(number or 1):
            raise Killed
        return answer

    recipe = replace(tiny, checkpoint_every_s=0.0)
    with monkeypatch.context() as patched:
        patched.setattr(train.Run, method, dying)
        with pytest.raises(Killed):
            train.train(recipe, release, tmp_path / "run")
    train.train(recipe, release, tmp_path / "run", resume=True)
    assert_same_run(whole, tmp_path / "run")


def until_step(number, recipe, release, folder, monkeypatch):
    """A run killed in this step, with a checkpoint after each one before."""
    original = train.Run._step

    def dying(self, *given):
        if self.progress.step + 1 == number:
            raise Killed
        return original(self, *given)

    with monkeypatch.context() as patched:
        patched.setattr(train.Run, "_step", dying)
        with pytest.raises(Killed):
            train.train(replace(recipe, checkpoint_every_s=0.0), release, folder)
    return folder / "checkpoints"


def flipped(data):
    """One bit of a weight is another: torch.load would take it."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        weight = max(file.infolist(), key=lambda info: info.file_size)
    place = weight.header_offset + 200 + weight.file_size // 2
    return data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :]


DAMAGE = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "one bit": flipped,
    "zeros at its end": lambda data: data[:-4096] + bytes(4096),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_run_whose_newest_checkpoint_is_damaged_goes_on_from_the_one_before_to_the_same_curve(
    whole, release, tmp_path, tiny, monkeypatch, capsys, how
):
    kept = until_step(4, tiny, release, tmp_path / "run", monkeypatch)
    (kept / "last.pt").write_bytes(DAMAGE[how]((kept / "last.pt").read_bytes()))
    train.train(tiny, release, tmp_path / "run", resume=True)
    told = capsys.readouterr()
    assert f"{kept / 'last.pt'} is damaged (" in told.err
    assert "going on from the checkpoint before it" in told.err
    assert "going on at epoch 2, step 2" in told.out
    assert_same_run(whole, tmp_path / "run")
    assert not (kept / "previous.pt").exists()  # a finished run needs one no more


@pytest.mark.parametrize("renames", [0, 1, 2])
@pytest.mark.parametrize("damaged_before", [False, True])
def test_a_kill_around_the_renames_of_a_checkpoint_loses_no_more_than_it(
    whole, release, tmp_path, tiny, monkeypatch, renames, damaged_before
):
    kept = until_step(4, tiny, release, tmp_path / "run", monkeypatch)
    if damaged_before:
        (kept / "last.pt").write_bytes(b"nothing")
    replace_file, done = Path.replace, []

    def dying(self, target):
        if Path(target).parent == kept and self != kept / "previous.pt":  # not where it is made the last again
            if len(done) == renames:
                raise Killed
            done.append(target)
        return replace_file(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", dying)
        with pytest.raises(Killed):
            train.train(replace(tiny, checkpoint_every_s=0.0), release, tmp_path / "run", resume=True)
    train.train(tiny, release, tmp_path / "run", resume=True)
    assert_same_run(whole, tmp_path / "run")


def test_a_run_with_no_whole_checkpoint_is_told_so_in_one_line(release, tmp_path, tiny, monkeypatch):
    kept = until_step(3, tiny, release, tmp_path / "run", monkeypatch)
    assert {path.name for path in kept.iterdir()} == {"last.pt", "previous.pt", "best.safetensors"}
    for name in ("last.pt", "previous.pt"):
        (kept / name).write_bytes((kept / name).read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"last.pt is damaged \(.*\), and .*previous.pt is damaged \(.*\); start anew with another --out"):
        train.train(tiny, release, tmp_path / "run", resume=True)
    (kept / "previous.pt").unlink()
    with pytest.raises(ValueError, match=r"last.pt is damaged \(.*\), and .*previous.pt is not there; start anew"):
        train.train(tiny, release, tmp_path / "run", resume=True)


def test_a_checkpoint_of_another_version_of_the_code_is_told_in_one_line(release, tmp_path, tiny, monkeypatch):
    kept = until_step(3, tiny, release, tmp_path / "run", monkeypatch)
    state = runs.load_state(kept / "last.pt")
    state["net"].pop(next(iter(state["net"])))
    runs.save_state(kept, state)
    with pytest.raises(ValueError, match=r"last\.pt was written by another version of this code"):
        train.train(tiny, release, tmp_path / "run", resume=True)


@contextmanager
def full_disk(size):
    """After so many bytes a file is refused more; a full disk refuses in the same places. Only for a while: the test's report may go to a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 1000, 20_000])
def test_a_full_disk_is_told_with_the_file_and_leaves_the_checkpoint_that_was(tmp_path, size):
    net, values = nn.Linear(300, 20), {"a": "b" * 30_000}
    runs.save_state(tmp_path, {"net": net.state_dict(), "step": 1})
    log = runs.MetricsLog(tmp_path / "metrics.jsonl")
    for name, write in {
        "last.pt": lambda: runs.save_state(tmp_path, {"net": net.state_dict(), "step": 2}),
        "best.safetensors": lambda: runs.save_weights(tmp_path / "best.safetensors", net),
        "result.json": lambda: runs.write_json(tmp_path / "result.json", values),
        "metrics.jsonl": lambda: log.write(**values),
    }.items():
        with pytest.raises(OSError, match="File too large") as refused, full_disk(size):
            write()
        assert name in str(refused.value)
    assert runs.load_state(tmp_path / "last.pt")["step"] == 1
    assert {path.name for path in tmp_path.iterdir()} == {"last.pt", "metrics.jsonl"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_asked_for_writes_a_checkpoint_and_going_on_equals_uninterrupted(whole, release, tmp_path, tiny, monkeypatch, number):
    original, folder = train.Run._step, tmp_path / "run"

    def terminated(self, *given):
        os.kill(os.getpid(), number)
        return original(self, *given)

    with monkeypatch.context() as patched:
        patched.setattr(train.Run, "_step", terminated)
        with pytest.raises(train.Stopped):
            train.train(tiny, release, folder)
    progress = runs.load_state(folder / "checkpoints" / "last.pt")["progress"]
    assert (progress["step"], progress["step_in_epoch"]) == (1, 1)
    train.train(tiny, release, folder, resume=True)
    assert_same_run(whole, folder)


def test_a_second_ctrl_c_does_not_wait():
    asked = StopSignal()
    asked.ask(signal.SIGTERM, None)
    asked.ask(signal.SIGTERM, None)
    assert asked.stop
    with pytest.raises(KeyboardInterrupt):
        asked.ask(signal.SIGINT, None)


def test_accumulated_batches_give_the_gradient_of_one_big_batch(release, tmp_path, tiny):
    # BatchNorm looks at each batch for itself; without it two halves are one whole.
    frozen = {"net_options": {"video": {**tiny.net_options["video"], "drop_path": 0.0}}}
    base = overridden(tiny, {"epochs": 1, "modalities": "video", "network": "video_branch", "store": "off"})
    base = replace(base, net_options={"width": 32, "dropout": 0.0, **frozen["net_options"]["video"]})
    losses = []
    for batch_size, accumulate in ((4, 3), (12, 1)):
        folder = tmp_path / str(batch_size)
        train.train(replace(base, batch_size=batch_size, accumulate=accumulate), release, folder)
        losses.append((curve(folder)[0]["loss"], weights(folder)["classifier.weight"]))
    assert losses[0][0] == pytest.approx(losses[1][0], rel=1e-5)
    torch.testing.assert_close(losses[0][1], losses[1][1], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("flush", "expected"), [(True, 3), (False, 2)])
def test_an_incomplete_last_group_is_flushed_or_dropped(release, tmp_path, tiny, flush, expected):
    recipe = replace(tiny, epochs=1, batch_size=5, accumulate=1, flush_last_group=flush, val_fraction=0.0)
    recipe = replace(recipe, batch_size=4, accumulate=2)  # 18 clips: 5 batches, 3 groups, the last of one batch
    train.train(recipe, release, tmp_path / "run")
    assert len([row for row in curve(tmp_path / "run") if "epoch" not in row]) == expected


@pytest.mark.parametrize(
    "changes", [{"checkpoint_gradients": "true"}, {"fused_attention": "on"}, {"precision": "tf32"}, {"precision": "bf16"}]
)
def test_a_faster_way_gives_the_same_curve_within_its_tolerance(whole, release, tmp_path, tiny, changes):
    train.train(overridden(tiny, changes), release, tmp_path / "run")
    tolerance = 0.05 if "bf16" in changes.values() else 1e-5
    one, other = ([row["loss"] for row in curve(folder) if "epoch" not in row] for folder in (whole, tmp_path / "run"))
    np.testing.assert_allclose(one, other, rtol=tolerance)


class Little(nn.Module):
    """The least that has a dropout and an opinion: what it takes is compiled in seconds."""

    def __init__(self, *, num_classes):
        super().__init__()
        self.inner, self.dropout, self.classifier = nn.Linear(32, 8), nn.Dropout(0.5), nn.Linear(8, num_classes)

    def forward(self, video, audio):
        vector_BC = self.dropout(self.inner(audio.mean((1, 2, 3)) / 100).relu())
        return Opinions(self.classifier(vector_BC), None, None, vector_BC)


@pytest.mark.slow
@pytest.mark.skipif(bool(missing_tools()), reason="torch's compiler needs a C++ compiler and Python's headers")
def test_compiling_gives_the_same_curve_dropout_and_a_smaller_last_batch_included(release, tmp_path, tiny, monkeypatch):
    monkeypatch.setitem(NETS, "little", Little)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))  # nothing compiled before
    recipe = overridden(tiny, {"network": "little", "modalities": "audio", "batch_size": 5, "accumulate": 1, "val_fraction": 0})
    recipe = replace(recipe, loss_weights=(1.0, 0.0, 0.0), lr=0.02)
    losses = []
    for name, compile_ in (("plain", False), ("compiled", True)):
        train.train(replace(recipe, compile=compile_), release, tmp_path / name)
        losses.append([row["loss"] for row in curve(tmp_path / name) if "epoch" not in row])
    assert len(losses[0]) == 8
    assert len(set(losses[0])) == 8
    np.testing.assert_allclose(*losses, rtol=1e-5)


@pytest.mark.parametrize(
    ("place", "value", "said"), [("PATH", "/nowhere", "g\\+\\+, which is not on the PATH"), ("CXX", "/nowhere/c++", "/nowhere/c\\+\\+")]
)
def test_compiling_without_a_compiler_is_refused_before_anything_is_trained(release, tmp_path, tiny, monkeypatch, place, value, said):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv(place, value)
    with pytest.raises(ValueError, match=f"compile=true needs the C\\+\\+ compiler {said}"):
        train.train(replace(tiny, compile=True), release, tmp_path / "run")


def test_without_a_validation_part_the_last_epoch_is_chosen_and_best_on_test_is_kept(release, tmp_path, tiny):
    folder = tmp_path / "run"
    train.train(replace(tiny, epochs=1, val_fraction=0.0, test_each_epoch=True, test_protocol="random"), release, folder)
    assert {row["split"] for row in curve(folder)} == {"train", "test"}
    for name in ("best", "best_on_test"):
        assert_same_weights(weights(folder), weights(folder, name))


def test_learning_rate_warms_up_then_falls_to_its_floor():
    recipe = replace(RECIPES["avcanet"](), lr=1.0)
    rates = [learning_rate(step, 200, recipe) for step in range(200)]
    assert rates[:10] == pytest.approx(np.arange(1, 11) / 10)
    assert (np.diff(rates[10:]) <= 0).all()
    assert rates[10] == 1.0
    assert rates[-1] == pytest.approx(0.01)


# ---- from the command line -------------------------------------------------------------------------------------------


SHORT = [f"{name}={json.dumps(value) if isinstance(value, bool) else value}" for name, value in TINY.items() if name != "epochs"] + [
    "epochs=1"
]


def arguments(release, out, *more):
    chosen = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    return ["--recipe", "debug", "--release", str(release), "--out", str(out), *chosen, *more]


def test_a_second_run_into_one_folder_is_refused(whole, release, capsys):
    assert train.main(arguments(release, whole)) == 1
    assert "--resume" in capsys.readouterr().err


def test_a_finished_run_resumed_is_left_as_it_is(whole, release, capsys):
    before = (whole / "metrics.jsonl").read_bytes()
    assert train.main(arguments(release, whole, "--resume")) == 0
    assert (whole / "metrics.jsonl").read_bytes() == before


def test_a_finished_run_is_not_taken_for_one_of_another_recipe(whole, release, capsys):
    assert train.main(arguments(release, whole, "--resume", "--set", "lr=0.5")) == 1
    assert "lr was 0.001 and is 0.5" in capsys.readouterr().err


def test_a_recipe_that_is_nearly_right_is_guessed(release, tmp_path, capsys):
    with pytest.raises(SystemExit):
        train.main(["--recipe", "avcannet", "--release", str(release), "--out", str(tmp_path / "run")])
    assert "there is no recipe 'avcannet'; is it avcanet" in capsys.readouterr().err


def test_a_run_refused_before_it_learnt_anything_may_be_tried_with_another_recipe(release, tmp_path, capsys):
    command = arguments(release, tmp_path / "run", *(part for change in SHORT for part in ("--set", change)))
    assert train.main([*command, "--set", f"init_video={tmp_path / 'absent.pt'}"]) == 1
    assert train.main([*command, "--set", "min_frames=1000"]) == 1
    assert train.main(command) == 0
    assert train.main([*command, "--set", "lr=1"]) == 1
    assert "holds a run already" in capsys.readouterr().err


def test_a_full_memory_of_a_gpu_is_told_with_what_helps(release, tmp_path, capsys, monkeypatch):
    def full(self, group, steps):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 139.80 GiB")

    monkeypatch.setattr(train.Run, "_step", full)
    assert train.main(arguments(release, tmp_path / "run")) == 1
    said = "CUDA out of memory; lower batch_size and raise accumulate as much, or set checkpoint_gradients=true"
    assert said in capsys.readouterr().err.splitlines()


def test_a_clip_left_out_is_named_once(release, tmp_path, tiny, capsys):
    usable = replace(tiny, min_frames=1000, max_unusable=1.0)
    samples = samples_of(release, "test", tiny.classes)[:1]
    assert usable_samples(samples, release, usable).samples == []
    (line,) = capsys.readouterr().err.splitlines()
    assert line.count(str(samples[0].path)) == 1
    (tmp_path / "text.mp4").write_text("hello")
    usable_samples([Sample(tmp_path / "text.mp4", "text.mp4", 0)], release, replace(usable, store=str(tmp_path / "store")))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"left out {tmp_path / 'text.mp4'}: it cannot be opened as media (Invalid data")


def test_a_resume_with_another_recipe_is_refused_by_field(release, tmp_path, tiny, capsys):
    runs.open_run(tmp_path / "run", tiny, {}, resume=False)
    assert train.main(arguments(release, tmp_path / "run", "--resume", "--set", "lr=0.5")) == 1
    assert "lr was 0.001 and is 0.5" in capsys.readouterr().err


def test_a_resume_on_other_labels_is_refused(tmp_path, tiny):
    runs.open_run(tmp_path / "run", tiny, {"release": "one", "manifest_sha256": "1"}, resume=False)
    with pytest.raises(ValueError, match="other clips or labels than two holds"):
        runs.open_run(tmp_path / "run", tiny, {"release": "two", "manifest_sha256": "2"}, resume=True)
    runs.open_run(tmp_path / "run", tiny, {"release": "moved", "manifest_sha256": "1"}, resume=True)


def test_the_classes_are_the_release_s_own_unless_they_are_set(release, tmp_path, monkeypatch):
    (tmp_path / "release.json").write_text(json.dumps({"classes": ["joy", "anger"], "polarity": ["positive", "negative"]}))
    given = []
    monkeypatch.setattr(train, "train", lambda recipe, *_, **__: given.append((recipe.classes, recipe.polarity)))
    assert train.main(arguments(tmp_path, tmp_path / "run")) == 0
    assert train.main(arguments(tmp_path, tmp_path / "run", "--set", "classes=fear,rage", "--set", "polarity=negative,negative")) == 0
    assert given == [(("joy", "anger"), ("positive", "negative")), (("fear", "rage"), ("negative", "negative"))]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--set", "epochs"), "FIELD=VALUE"),
        (("--set", "network=resnet9000"), "there is no network"),
        (("--set", 'net_options={"colour": 3}'), "does not take these net_options"),
        (("--set", "device=cuda"), "no GPU"),
        (("--set", "init_video=/nowhere/swin.pth"), "no weights there"),
        (("--set", "classes=A,B,C,D,E,F"), "emotion 'Excitation' is none of A"),
    ],
)
def test_what_cannot_run_says_why_in_one_line(release, tmp_path, capsys, more, said):
    if "cuda" in more[1] and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert train.main(arguments(release, tmp_path / "run", *more)) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_release_of_a_newer_format_and_a_place_that_cannot_be_written_are_told_in_one_line(release, tmp_path, capsys):
    (tmp_path / "release.json").write_text('{"format_version": 2}')
    (tmp_path / "file").touch()
    for out, where, said in ((tmp_path / "run", tmp_path, "is of format 2"), (tmp_path / "file" / "run", release, "Not a directory")):
        assert train.main(arguments(where, out)) == 1
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1


def test_ctrl_c_before_the_first_step_is_no_traceback(release, tmp_path, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train", interrupted)
    assert train.main(arguments(release, tmp_path / "run")) == 130
    assert capsys.readouterr().err == "stopped by Ctrl-C\n"


def test_a_loss_that_explodes_stops_the_run(release, tmp_path, capsys):
    assert train.main(arguments(release, tmp_path / "run", "--set", "lr=1e30", "--set", "clip_grad=0", "--set", "warmup=0")) == 1
    assert "lower lr" in capsys.readouterr().err


def test_a_gradient_that_is_no_number_reaches_no_weight_and_no_checkpoint(release, tmp_path, tiny, monkeypatch):
    original = train.Run._losses

    def odd(self, batch):
        opinions, losses = original(self, batch)
        if self.progress.step == 1:
            opinions.logits.register_hook(lambda gradient: gradient * math.inf)  # the loss itself stays finite
        return opinions, losses

    monkeypatch.setattr(train.Run, "_losses", odd)
    with pytest.raises(ValueError, match=r"the loss is .*, but its gradient became (nan|inf) at step 2"):
        train.train(replace(tiny, checkpoint_every_s=0.0), release, tmp_path / "run")
    state = runs.load_state(tmp_path / "run" / "checkpoints" / "last.pt")
    assert all(torch.isfinite(value).all() for value in state["net"].values() if value.is_floating_point())


def test_threads_that_wait_for_each_other_sleep():
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | {"OMP_DISPLAY_ENV": "true"}
    shown = subprocess.run(
        [sys.executable, "-m", "training.engine.train", "--help"], env=environment, capture_output=True, text=True, check=True
    )
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in shown.stderr


@pytest.mark.slow
def test_sigterm_from_outside_ends_with_3_and_a_kill_can_be_resumed(whole, release, tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "training.engine.train", *arguments(release, folder, "--set", "checkpoint_every_s=0")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for number, status in ((signal.SIGTERM, train.STOPPED), (signal.SIGKILL, -signal.SIGKILL)):
        child = subprocess.Popen([*command, "--resume"], env=environment, stdout=subprocess.DEVNULL)
        _wait_for_steps(folder, len(curve(folder)) + 1 if folder.exists() else 1)
        child.send_signal(number)
        assert child.wait(240) == status
    assert subprocess.run([*command, "--resume"], env=environment, stdout=subprocess.DEVNULL, check=False).returncode == 0
    assert_same_run(whole, folder)


def _wait_for_steps(folder, count):
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if (folder / "metrics.jsonl").exists() and len(curve(folder)) >= count:
            return
        time.sleep(0.005)
    raise AssertionError(f"no {count} lines in metrics.jsonl within four minutes")


# ---- several processes -----------------------------------------------------------------------------------------------

# The video branch alone: BatchNorm of the audio branch sees half a batch in each of two processes.
VIDEO_NET = {"width": 32, "dropout": 0.0, "drop_path": 0.0, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8], "embed_dim": 16}
VIDEO_ALONE = {
    "network": "video_branch",
    "modalities": "video",
    "net_options": json.dumps(VIDEO_NET),
    "store": "off",
    "augment": "none",
    "checkpoint_every_s": "0",
}


MODULATED = {"network": "ogm_ge", "net_options": json.dumps({"small": True, "num_snippets": 2}), "store": "off", "epochs": "1"}


def launched(launcher, release, folder, *, settings=VIDEO_ALONE, accident=(), errors=subprocess.DEVNULL):
    """A run of the tiny recipe under torchrun with these options; without any, alone."""
    more = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    start = ["-m", "torch.distributed.run", "--local-addr=127.0.0.1", *launcher] if launcher else []
    module = ["-m", "tests.training.engine.dying", *accident] if accident else ["-m", "training.engine.train"]
    command = [sys.executable, *start, *module, *arguments(release, folder, *more, "--resume")]
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=errors)


def run_processes(world, release, folder, **more):
    """The exit status of a run by this many processes of one machine."""
    return launched(["--standalone", f"--nproc-per-node={world}"] if world > 1 else [], release, folder, **more).wait()


def meeting_at(port):
    """The options of one of two machines that meet there."""
    return ["--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}", "--rdzv-id=test"]


@pytest.fixture(scope="module")
def by_two(release, tmp_path_factory):
    """An uninterrupted run of two processes."""
    folder = tmp_path_factory.mktemp("two") / "run"
    assert run_processes(2, release, folder) == 0
    return folder


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(by_two, release, tmp_path):
    assert run_processes(1, release, tmp_path / "run") == 0
    for one, other in zip(curve(tmp_path / "run"), curve(by_two), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=2e-3)


@pytest.mark.slow
def test_two_processes_killed_and_resumed_equal_uninterrupted(by_two, release, tmp_path):
    folder = tmp_path / "run"
    assert run_processes(2, release, folder, accident=("torchrun", "1")) == -signal.SIGKILL
    _wait_until_gone(tmp_path)  # nobody is left to tell them, yet they stop, with a checkpoint
    assert runs.load_state(folder / "checkpoints" / "last.pt")["progress"]["step"] == 1
    assert run_processes(2, release, folder, accident=("last", "4")) != 0
    assert runs.load_state(folder / "checkpoints" / "last.pt")["progress"]["step"] == 3
    assert run_processes(2, release, folder) == 0
    assert_same_run(by_two, folder)


@pytest.mark.slow
def test_two_machines_that_meet_learn_what_two_processes_of_one_learn(by_two, release, tmp_path):
    meeting = meeting_at(free_port())
    assert [node.wait() for node in [launched(meeting, release, tmp_path / "run") for _ in range(2)]] == [0, 0]
    assert_same_run(by_two, tmp_path / "run")


def test_processes_that_see_different_folders_are_told_so():
    class Two(Processes):
        def gathered(self, value):
            return [value, "another"]

    with pytest.raises(ValueError, match="do not see the same release; give every machine the same folders"):
        Two().agree("one", "release")


def test_what_the_main_process_refuses_is_refused_by_all():
    refusal = ValueError("that folder holds a run already")

    class Second(Processes):
        def gathered(self, value):
            return [refusal, value]

    with pytest.raises(ValueError, match="holds a run already"):
        Second(rank=1, world=2).by_main(lambda: pytest.fail("the main process alone does it"))


def test_a_process_whose_companion_ended_says_so_in_one_line(monkeypatch):
    asked = {}
    for name, answer in (("init_process_group", None), ("get_rank", 1), ("destroy_process_group", None)):
        monkeypatch.setattr(distributed, name, lambda *given, answer=answer: answer)
    monkeypatch.setattr(distributed, "new_group", lambda **given: asked.update(given) or "patient")
    monkeypatch.setenv("WORLD_SIZE", "2")

    def gone(group):
        assert group == "patient"
        raise RuntimeError("[third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:33944. GLHF!")

    monkeypatch.setattr(distributed, "barrier", gone)
    with pytest.raises(ConnectionError, match="another process of this run ended"), joined(torch.device("cpu")) as processes:
        processes.wait()
    assert asked["timeout"] >= timedelta(days=1)  # preparing a large release takes hours, and the others wait for it
    with pytest.raises(RuntimeError, match="shapes"), joined(torch.device("cpu")):
        raise RuntimeError("shapes do not fit")


@pytest.mark.slow
def test_a_refusal_of_the_main_process_is_one_line_of_each_under_torchrun(release, tmp_path):
    with (tmp_path / "log").open("wb") as errors:
        refused = {**VIDEO_ALONE, "min_frames": "1000"}
        assert run_processes(2, release, tmp_path / "run", settings=refused, errors=errors) == 1
    words = last_words(tmp_path / "log")  # beside what the machine has to say, such as that its own name leads nowhere
    assert [line[:8] for line in words.splitlines() if " clips cannot be used" in line] == ["12 of 12", "12 of 12"]
    assert "Traceback" not in words


@pytest.mark.slow
def test_processes_that_change_their_gradients_themselves_keep_one_network(release, tmp_path):
    assert run_processes(2, release, tmp_path / "run", settings=MODULATED, accident=("nobody", "0")) == 0
    first, second = ((tmp_path / f"weights-{rank}").read_text() for rank in range(2))
    assert first == second


def _wait_until_gone(folder):
    deadline = time.monotonic() + 120
    for path in sorted(folder.glob("pid-*")):
        while _is_alive(path.read_text()):
            assert time.monotonic() < deadline, f"process {path.name} outlived its torchrun"
            time.sleep(0.05)


def _is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
