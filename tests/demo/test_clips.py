import csv

import av
import pytest

from demo.clips import EMOTIONS, Label, make_clip, make_clips, plan, read_labels, spread


def test_sixty_clips_hold_every_emotion_at_least_five_times_and_excitation_most():
    counts = {name: spread(60).count(name) for name in EMOTIONS}
    assert sum(counts.values()) == 60
    assert min(counts.values()) >= 5
    assert max(counts, key=counts.get) == "Excitation"


def test_clips_are_short_portrait_h264_and_aac(clips):
    for label in read_labels(clips):
        with av.open(str(clips / label.file)) as media:
            video, audio = media.streams.video[0], media.streams.audio[0]
            assert (video.codec_context.name, video.codec_context.pix_fmt, audio.codec_context.name) == ("h264", "yuv420p", "aac")
            assert video.width < video.height
            assert 2.9 <= media.duration / av.time_base <= 8.2


def test_a_second_call_makes_only_what_is_missing(clips, tmp_path):
    make_clips(tmp_path, count=2, seed=1)
    kept, lost = tmp_path / "clip_0000.mp4", tmp_path / "clip_0001.mp4"
    before, stamp = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    calls = []
    make_clips(tmp_path, count=2, seed=1, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(2, 2)]
    assert kept.stat().st_mtime_ns == stamp
    assert lost.read_bytes() == before, "the same seed makes the same bytes"


def test_a_clip_that_fails_leaves_nothing_behind(tmp_path):
    with pytest.raises(KeyError):
        make_clip(tmp_path / "a.mp4", "Joy", seed=(0, 0))
    assert not list(tmp_path.iterdir())


def test_labels_say_title_and_hashtags(clips):
    labels = read_labels(clips)
    assert len(labels) == 12
    assert all(label.emotion in EMOTIONS and label.title and len(label.hashtags) == 2 for label in labels)
    assert labels == plan(12, seed=5)


def test_folders_named_as_emotions_are_labels_too(tmp_path):
    for name in ("Train/Excited/a.mp4", "Train/Sad/b.mp4", "Fear/c.webm", "other/d.mkv", "Fear/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert {label.file: label.emotion for label in read_labels(tmp_path)} == {
        "Train/Excited/a.mp4": "Excitation",
        "Train/Sad/b.mp4": "Sadness",
        "Fear/c.webm": "Fear",
        "other/d.mkv": "",
    }


@pytest.mark.parametrize(
    ("row", "message"), [(["gone.mp4", "Fear"], "line 2: there is no file 'gone.mp4'"), (["a.mp4", "Joy"], "line 2: 'Joy' is not one of")]
)
def test_a_bad_label_is_refused_with_its_line(tmp_path, row, message):
    (tmp_path / "a.mp4").touch()
    with (tmp_path / "labels.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([["file", "emotion"], row])
    with pytest.raises(ValueError, match=message):
        read_labels(tmp_path)


def test_sad_is_sadness(tmp_path):
    (tmp_path / "a.mp4").touch()
    (tmp_path / "labels.csv").write_text("file,emotion,title\na.mp4,Sad,雨\n", encoding="utf-8")
    assert read_labels(tmp_path) == [Label("a.mp4", "Sadness", "雨")]
