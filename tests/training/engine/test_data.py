"""From a release folder to batches: segments, crops, and every random choice from the seed alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.engine.media import EMOTIONS, write_clip, write_release
from training.engine import clips, data
from training.engine.recipes import RECIPES, overridden
from training.engine.releases import Sample, manifest_hash, samples_of, split_validation
from training.engine.store import SourceClip, StoredClip
from training.engine.usable import usable_samples

FULL = RECIPES["avcanet"]()


@pytest.mark.parametrize("num_frames", [128, 129, 750, 1001])
def test_snippets_are_consecutive_frames_from_equal_segments_in_order(num_frames):
    length = num_frames // 16
    for rng in (None, *(np.random.default_rng(seed) for seed in range(5))):
        numbers = np.array(data.frame_numbers(num_frames, FULL, rng)).reshape(16, 8)
        assert (np.diff(numbers, axis=1) == 1).all()
        assert (numbers[:, 0] >= np.arange(16) * length).all()
        assert (numbers[:, -1] < (np.arange(16) + 1) * length).all()


def test_every_start_of_a_segment_is_drawn_the_last_one_too():
    starts = {data.frame_numbers(16 * 10, FULL, np.random.default_rng(seed))[0] for seed in range(40)}
    assert starts == {0, 1, 2}


@pytest.mark.parametrize("num_frames", [1, 16, 40, 127])
def test_a_short_clip_is_played_in_a_loop(num_frames):
    assert data.frame_numbers(num_frames, FULL, None) == [i % num_frames for i in range(128)]


def test_without_rng_the_centre_of_segment_and_picture_is_taken(tiny, tmp_path):
    clip = SourceClip(write_clip(tmp_path / "a.mp4", frames=40, size=(64, 32)), tiny)
    numbers = data.frame_numbers(40, tiny, None)
    assert numbers == [*range(6, 14), *range(26, 34)]
    expected = np.stack(clip.frames(numbers))[:, :, 16:48]
    assert torch.equal(data.snippets_of(clip, tiny, None), in_snippets(expected))


def in_snippets(frames):
    """(frames, H, W, 3) as (S, 3, T, H, W), two snippets of eight."""
    return torch.from_numpy(frames.copy()).unflatten(0, (2, 8)).permute(0, 4, 1, 2, 3)


@pytest.mark.parametrize("seed", range(4))
def test_a_drawn_sample_is_a_crop_of_the_frames_and_flipped_every_second_time(tiny, tmp_path, seed):
    clip = SourceClip(write_clip(tmp_path / "a.mp4", frames=40, size=(64, 32)), tiny)
    rng = np.random.default_rng(seed)
    frames = np.stack(clip.frames(data.frame_numbers(40, tiny, rng)))
    _top, left = rng.integers(0, 1), rng.integers(0, 33)
    cropped = frames[:, :, left : left + 32]
    expected = cropped[:, :, ::-1] if rng.random() < 0.5 else cropped
    assert torch.equal(data.snippets_of(clip, tiny, np.random.default_rng(seed)), in_snippets(expected))


def test_a_frame_asked_for_twice_is_decoded_once(tiny, release, monkeypatch):
    part = usable_samples(samples_of(release, "train", EMOTIONS)[:1], release, tiny)
    clip, decoded = StoredClip(part.folder / part.entries[0].proxy), []
    decode = StoredClip._decode
    monkeypatch.setattr(StoredClip, "_decode", lambda self, jpeg: decoded.append(1) or decode(self, jpeg))
    frames = clip.frames([3, 1, 3, 3])
    assert len(decoded) == 2
    for frame, number in zip(frames, [3, 1, 3, 3], strict=True):
        np.testing.assert_array_equal(frame, clip.frames([number])[0])


def test_a_loader_s_process_stacks_a_batch_where_the_training_process_reads_it(tiny, release, monkeypatch):
    part = usable_samples(samples_of(release, "train", EMOTIONS)[:2], release, tiny)
    dataset = data.ClipDataset(part.samples, tiny, folder=part.folder, entries=part.entries, random=True)
    items = [dataset[(1, 0)], dataset[(1, 1)]]
    here = data.collate(items)
    monkeypatch.setattr(torch.utils.data, "get_worker_info", lambda: "a worker")
    there = data.collate(items)
    assert (here.video.is_shared(), there.video.is_shared()) == (False, True)
    assert torch.equal(here.video, there.video)


@pytest.mark.parametrize("augment", ["paper", "vaanet"])
def test_all_frames_of_a_sample_are_changed_alike(tiny, tmp_path, augment):
    recipe = replace(tiny, augment=augment)
    still = write_clip(tmp_path / "a.mp4", frames=1, size=(64, 32))
    changed = [data.snippets_of(SourceClip(still, recipe), recipe, np.random.default_rng(seed)) for seed in range(12)]
    assert all((video == video[:1, :, :1]).all() for video in changed)
    assert len({video.numpy().tobytes() for video in changed}) > 3


def test_augment_none_with_rng_changes_only_the_segments(tiny, tmp_path):
    recipe = replace(tiny, augment="none")
    still = SourceClip(write_clip(tmp_path / "a.mp4", frames=1), recipe)
    assert torch.equal(data.snippets_of(still, recipe, np.random.default_rng(1)), data.snippets_of(still, recipe, None))


@pytest.mark.parametrize("norm", ["imagenet", "vaanet"])
def test_pixels_are_normalised_by_colour(norm):
    video = torch.full((1, 2, 3, 4, 5, 5), 102, dtype=torch.uint8)
    mean, deviation = data.NORMS[norm]
    expected = [(0.4 - m) / d for m, d in zip(mean, deviation, strict=True)]
    torch.testing.assert_close(data.pixels(video, norm)[0, 1, :, 3, 2, 2], torch.tensor(expected))


def test_a_prepared_clip_gives_nearly_the_pixels_of_its_source(tiny, release):
    samples = samples_of(release, "train", EMOTIONS)[:3]
    part = usable_samples(samples, release, tiny)
    stored = data.ClipDataset(samples, tiny, folder=part.folder, entries=part.entries, random=True)
    source = data.ClipDataset(samples, tiny, folder=None, entries=[], random=True)
    for index in range(3):
        one, other = stored[(1, index)], source[(1, index)]
        assert (one["video"].int() - other["video"].int()).abs().double().mean() < 3
        torch.testing.assert_close(one["audio"], other["audio"])
        assert one["has_audio"] is other["has_audio"] is True


def test_a_sample_depends_on_seed_epoch_and_place_alone(tiny, release):
    part = usable_samples(samples_of(release, "train", EMOTIONS), release, tiny)
    batches = data.epoch_batches(len(part.samples), tiny, 2)
    seen = []
    for workers in (0, 2):
        dataset = data.ClipDataset(part.samples, tiny, folder=part.folder, entries=part.entries, random=True)
        seen.append(list(data.loader(dataset, batches, workers=workers)))
    for one, other in zip(*seen, strict=True):
        assert torch.equal(one.video, other.video)
        assert torch.equal(one.audio, other.audio)
        assert torch.equal(one.index, other.index)
    again = data.ClipDataset(part.samples, replace(tiny, seed=9), folder=part.folder, entries=part.entries, random=True)
    assert not torch.equal(again[batches[0][0]]["video"], seen[0][0].video[0])


@pytest.mark.parametrize(("num", "world"), [(18, 1), (18, 2), (17, 3), (9, 2), (13, 4)])
def test_processes_share_every_batch_and_none_is_without_a_sample(tiny, num, world):
    shares = [data.epoch_batches(num, tiny, 1, rank=rank, world=world) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    assert all(batch for share in shares for batch in share)
    assert {i for share in shares for batch in share for _epoch, i in batch} == set(range(num))
    assert sorted(i for r in range(world) for b in data.even_batches(num, 4, rank=r, world=world) for _e, i in b) == list(range(num))


@pytest.mark.parametrize("world", [1, 2])
def test_a_clip_left_over_is_no_batch_of_its_own_which_batch_norm_refuses(tiny, world):
    shares = [data.epoch_batches(9, tiny, 1, rank=rank, world=world) for rank in range(world)]
    assert [sum(len(share[n]) for share in shares) for n in range(3)] == [4, 4, 2]
    assert [len(batch) for batch in data.epoch_batches(3, replace(tiny, batch_size=1), 1)] == [1, 1, 1]


def test_silent_clips_give_zeros_and_say_so(tiny, tmp_path):
    path = write_clip(tmp_path / "a.mp4", tone=None)
    item = data.ClipDataset([Sample(path, "a.mp4", 2)], tiny, folder=None, entries=[], random=False)[(0, 0)]
    assert not item["audio"].any()
    assert item["has_audio"] is False


def test_one_branch_reads_one_kind_of_input(tiny, tmp_path):
    only_sound = write_clip(tmp_path / "a.m4a", frames=0)
    dataset = data.ClipDataset([Sample(only_sound, "a", 1)], replace(tiny, modalities="audio"), folder=None, entries=[], random=False)
    batch = data.collate([dataset[(0, 0)]])
    assert batch.video is None
    assert batch.audio.shape == (1, 2, 1, 32, 32)


# ---- the release folder ----------------------------------------------------------------------------------------------


def test_a_release_is_read_in_its_order(release):
    samples = samples_of(release, "train", EMOTIONS)
    assert [s.label for s in samples] == [label for label in range(6) for _ in range(3)]
    assert samples[4].name == "train/Fear_1.mp4"


def test_the_spelling_of_the_published_data_is_read(tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "metadata.jsonl").write_text('{"file_name": "a.mp4", "emotion": "Sad"}\n{"file_name": "b.mp4", "label": 5}\n')
    assert [s.label for s in samples_of(tmp_path, "test", EMOTIONS)] == [4, 5]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is not there"),
        ("", "lists no clip"),
        ('{"emotion": "Fear"}', r"jsonl:1: .*file_name"),
        ('\n{"file_name": "a", "emotion": "Joy"}', r"jsonl:2: .*'Joy'"),
        ("{", "jsonl:1"),
    ],
)
def test_a_bad_release_is_named_by_file_and_line(tmp_path, content, said):
    (tmp_path / "train").mkdir()
    if content is not None:
        (tmp_path / "train" / "metadata.jsonl").write_text(content)
    with pytest.raises(ValueError, match=said):
        samples_of(tmp_path, "train", EMOTIONS)


def test_the_manifest_hash_follows_the_labels(tmp_path):
    one = write_release(tmp_path / "a", train=1, emotions=EMOTIONS[:2])
    before = manifest_hash(one)
    manifest = one / "train" / "metadata.jsonl"
    manifest.write_text(manifest.read_text().replace("Fear", "Tension"))
    assert manifest_hash(one) != before


def test_validation_is_drawn_from_every_class_and_the_parts_share_nothing():
    samples = [Sample(None, f"{label}-{i}", label) for label, count in enumerate((50, 20, 10, 1)) for i in range(count)]
    kept, drawn = split_validation(samples, 0.1, seed=1)
    assert np.bincount([s.label for s in drawn], minlength=4).tolist() == [5, 2, 1, 0]
    assert sorted(s.name for s in kept + drawn) == sorted(s.name for s in samples)
    assert split_validation(samples, 0.1, seed=1)[1] == drawn
    assert split_validation(samples, 0.1, seed=2)[1] != drawn
    assert split_validation(samples, 0.0, seed=1)[1] == []


@pytest.mark.parametrize("kept", ["auto", "off"])
def test_clips_that_cannot_be_used_are_named_and_too_many_stop_the_run(tiny, tmp_path, capsys, kept):
    tiny = overridden(tiny, {"store": kept})
    folder = write_release(tmp_path / "release", train=2)
    (folder / "train" / "Fear_0.mp4").write_bytes(b"broken")
    write_clip(folder / "train" / "Neutral_1.mp4", frames=5)
    (folder / "train" / "Tension_0.mp4").unlink()
    samples = samples_of(folder, "train", EMOTIONS)
    with pytest.raises(ValueError, match="3 of 12 clips cannot be used"):
        usable_samples(samples, folder, tiny)
    part = usable_samples(samples, folder, overridden(tiny, {"max_unusable": 0.5}))
    assert len(part.samples) == len(part.entries) == 9
    said = capsys.readouterr().err
    assert "Fear_0.mp4: it cannot be opened" in said
    assert "5 frames, fewer than min_frames 16" in said
    assert "Tension_0.mp4: the file is not there" in said


@pytest.mark.parametrize("workers", [0, 1])
def test_a_clip_that_breaks_while_it_is_read_ends_the_run_with_its_name(tiny, tmp_path, monkeypatch, workers):
    def broken(self, indices):
        raise clips.Unusable(self.path, "its picture cannot be decoded")

    samples = [Sample(write_clip(tmp_path / "one.mp4"), "train/one.mp4", 0)]
    monkeypatch.setattr(SourceClip, "frames", broken)
    dataset = data.ClipDataset(samples, tiny, folder=None, entries=[], random=False)
    with pytest.raises(clips.Unusable) as refused:
        next(data.loader(dataset, [[(1, 0)]], workers=workers))
    assert str(refused.value).startswith(f"{tmp_path}/one.mp4: its picture cannot be decoded; take it out")
    assert "\n" not in str(refused.value)
