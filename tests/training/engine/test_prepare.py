"""The prepared store: whole or not there, made once, checked."""

import json
import threading
from dataclasses import replace

import numpy as np
import pytest

from tests.training.engine.media import EMOTIONS, write_clip, write_release
from training.engine import clips, prepare, store
from training.engine.releases import Sample, samples_of


def made(release, recipe, workers=1):
    calls = []
    folder = store.store_folder(release, recipe)
    samples = samples_of(release, "train", EMOTIONS)
    entries = prepare.prepare(samples, folder, recipe, workers=workers, progress=lambda done, total, name: calls.append(name))
    return folder, entries, calls


@pytest.fixture
def small_release(tmp_path):
    return write_release(tmp_path / "release", train=1)


def test_it_is_made_once_and_again_only_for_what_changed(small_release, tiny):
    folder, entries, calls = made(small_release, tiny)
    assert len(calls) == len(entries) == 6
    assert made(small_release, tiny)[2] == []
    write_clip(small_release / "train" / "Fear_0.mp4", frames=31)
    _, again, calls = made(small_release, tiny)
    assert calls == ["train/Fear_0.mp4"]
    assert (entries[1].frames, again[1].frames) == (20, 31)
    (folder / entries[3].proxy).unlink()
    assert made(small_release, tiny)[2] == ["train/Relaxation_0.mp4"]


def test_many_workers_make_what_one_makes(small_release, tiny):
    _, one, _ = made(small_release, tiny)
    (store.store_folder(small_release, tiny) / "index.jsonl").unlink()
    _, many, _ = made(small_release, tiny, workers=3)
    assert one == many


LOCK, CALLED = threading.Lock(), threading.Event()
make_proxy = prepare.make_proxy


def make_proxy_with_a_lock(sample, folder, recipe):
    CALLED.set()
    if not LOCK.acquire(timeout=10):
        raise TimeoutError("another thread of this process held the lock when the workers began; they can never have it")
    LOCK.release()
    return make_proxy(sample, folder, recipe)


def test_workers_begun_beside_a_thread_that_holds_a_lock_get_it_later(small_release, tiny, monkeypatch):
    """As the locks of a logger or of a library may be held at that moment; in a forked process they stay locked for ever."""
    monkeypatch.setattr(prepare, "make_proxy", make_proxy_with_a_lock)
    held = threading.Event()

    def hold():
        with LOCK:
            held.set()
            CALLED.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    try:
        assert [entry.error for entry in made(small_release, tiny, workers=2)[1]] == [""] * 6
    finally:
        CALLED.set()
        thread.join()


def test_the_same_clip_twice_is_prepared_by_two_workers_at_once(small_release, tiny):
    twin = (small_release / "train" / "Fear_0.mp4").read_bytes()
    for name in ("Neutral", "Sadness", "Tension"):
        (small_release / "train" / f"{name}_0.mp4").write_bytes(twin)
    folder, entries, _ = made(small_release, tiny, workers=4)
    assert len({entry.proxy for entry in entries}) == 3
    assert prepare.damaged(folder) == []
    assert not list(folder.rglob("*.part"))


def test_a_stop_leaves_what_is_not_begun_to_the_next_time(small_release, tiny, monkeypatch):
    begun, stopped = [], threading.Event()

    class Pool(prepare.ThreadPoolExecutor):
        def shutdown(self, **given):
            super().shutdown(**given | {"wait": False})
            stopped.set()
            super().shutdown()

    def make(sample, folder, recipe):
        begun.append(sample.name)
        if len(begun) > 2:
            stopped.wait(60)
        return make_proxy(sample, folder, recipe)

    def stop(done, total, name):
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr(prepare, "make_proxy", make)
    folder, samples = store.store_folder(small_release, tiny), samples_of(small_release, "train", EMOTIONS)
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare(samples, folder, tiny, workers=2, progress=stop)
    assert len(begun) <= 4 < len(samples)
    assert len(store.read_index(folder)) == 1
    monkeypatch.setattr(prepare, "make_proxy", make_proxy)
    assert not any(entry.error for entry in made(small_release, tiny, workers=2)[1])
    assert prepare.damaged(folder) == []


def test_a_kill_leaves_an_index_that_can_be_read_and_gone_on_with(small_release, tiny):
    folder, entries, _ = made(small_release, tiny)
    index = folder / "index.jsonl"
    lines = index.read_text().splitlines(keepends=True)
    index.write_text("".join(lines[:3]) + lines[3][:40])
    assert len(store.read_index(folder)) == 3
    _, again, calls = made(small_release, tiny)
    assert len(calls) == 3
    assert again == entries
    assert len(store.read_index(folder)) == 6


def test_a_damaged_proxy_is_found(small_release, tiny):
    folder, entries, _ = made(small_release, tiny)
    assert prepare.damaged(folder) == []
    path = folder / entries[2].proxy
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    assert prepare.damaged(folder) == [entries[2].proxy]


def test_a_proxy_written_anew_is_judged_by_its_newest_entry(small_release, tiny):
    folder, entries, _ = made(small_release, tiny)
    index = folder / "index.jsonl"
    before = replace(entries[2], mtime_ns=1, proxy_sha256="0" * 64)  # of an earlier encoder, before the file was touched
    index.write_text(before.line() + index.read_text())
    assert prepare.damaged(folder) == []


@pytest.mark.parametrize("rotation", [0, 90])
def test_a_proxy_holds_every_frame_and_the_mfcc(tmp_path, tiny, rotation):
    path = write_clip(tmp_path / "a.mp4", frames=21, size=(80, 60), rotation=rotation)
    entry = prepare.make_proxy(Sample(path, "a.mp4", 0), tmp_path, tiny)
    stored, source = store.StoredClip(tmp_path / entry.proxy), store.SourceClip(path, tiny)
    assert stored.num_frames == source.num_frames == entry.frames == 21
    wanted = [20, 0, 7, 7]
    difference = np.abs(np.stack(stored.frames(wanted)).astype(int) - np.stack(source.frames(wanted)))
    assert difference.mean() < 3
    np.testing.assert_array_equal(stored.mfcc(), source.mfcc())


def test_what_holds_neither_picture_nor_sound_is_an_entry_with_its_reason(tmp_path, tiny):
    path = write_clip(tmp_path / "a.m4a", frames=0, tone=0.0)
    assert "neither picture nor sound" in prepare.make_proxy(Sample(path, "a.m4a", 0), tmp_path, tiny).error
    silent = write_clip(tmp_path / "b.mp4", tone=0.0)
    entry = prepare.make_proxy(Sample(silent, "b.mp4", 0), tmp_path, tiny)
    assert (entry.error, entry.has_audio) == ("", False)


def test_a_proxy_that_is_gone_says_what_to_run(tmp_path):
    with pytest.raises(clips.Unusable, match=r"run training\.engine\.prepare"):
        store.StoredClip(tmp_path / "none.safetensors")


def test_a_damaged_proxy_says_what_to_do(small_release, tiny):
    folder, entries, _ = made(small_release, tiny)
    proxy = folder / entries[0].proxy
    whole = proxy.read_bytes()
    proxy.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(clips.Unusable, match="damaged"):
        store.StoredClip(proxy)
    proxy.write_bytes(whole.replace(b"\xff\xd8\xff\xe0", b"\0\0\0\0"))  # where each JPEG begins
    with pytest.raises(clips.Unusable, match="delete it and run"):
        store.StoredClip(proxy).frames([0])


def test_from_the_command_line(small_release, tmp_path, capsys):
    target = ["--store", str(tmp_path / "store"), "--recipe", "debug", "--workers", "1"]
    assert prepare.main(["--release", str(small_release), *target]) == 0
    assert "12 of 12 clips prepared" in capsys.readouterr().out
    assert prepare.main(["--release", str(small_release), *target, "--verify"]) == 0
    (small_release / "test" / "Fear_0.mp4").write_bytes(b"x")
    assert prepare.main(["--release", str(small_release), *target]) == 1
    assert "Fear_0.mp4" in capsys.readouterr().err
    assert prepare.main(["--release", str(tmp_path), *target]) == 1
    index = next((tmp_path / "store").rglob("index.jsonl"))
    assert all(json.loads(line)["name"] for line in index.read_text().splitlines() if line)
