"""Public data sets: small folders of their layouts, and the real clips where they are at hand."""

import json
from collections import Counter

import av
import numpy as np
import pytest

from training.engine.clips import all_frames
from training.engine.datasets_public import DATASETS, Found, clip_name, cut_clip, in_parts, main, write_release
from training.engine.recipes import EMOTIONS, POLARITIES, RECIPES
from training.engine.releases import for_release, samples_of
from training.engine.smoke_release import write_clip


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def rows(folder):
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
def test_every_class_has_a_polarity(dataset):
    assert set(dataset.polarity.values()) <= set(POLARITIES)
    assert set(dataset.spellings.values()) <= set(dataset.classes)


def test_music_video_has_the_papers_classes_in_its_order():
    assert DATASETS["music_video"].classes == EMOTIONS


def test_ekman6_by_its_lists(tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    touch(source, "anger/1000.mp4", "anger/1001.mp4", "joy/7.flv", "surprise/241.mp4", "fear/9.mp4")
    (source / "trainlist01.txt").write_text("anger/1000 1\njoy/7 4\n")
    (source / "testlist01.txt").write_text("surprise/241\nanger/1001\n\n")
    counts = write_release(DATASETS["ekman6"], source, out)
    assert counts == {"train": Counter(anger=1, joy=1), "test": Counter(surprise=1, anger=1)}  # fear/9 is in no list
    assert (out / "train" / "joy_7.flv").read_bytes() == b"joy/7.flv"
    assert [row["emotion"] for row in rows(out / "test")] == ["surprise", "anger"]


def test_videoemotion8_names_keep_their_dots(tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    touch(source, "Trust/RestoringFaithinHumanityVol.2.mp4", "Surprise/LongDistanceSurprise..mp4", "Joy/x.wmv.flv")
    (source / "trainlist01.txt").write_text("Trust/RestoringFaithinHumanityVol.2\nJoy/x.wmv.flv\n")
    (source / "testlist01.txt").write_text("Surprise/LongDistanceSurprise.\n")
    assert write_release(DATASETS["videoemotion8"], source, out) == {"train": Counter(Trust=1, Joy=1), "test": Counter(Surprise=1)}


@pytest.mark.parametrize(("name", "kept"), [("a.mp4", "a"), ("Vol.2", "Vol.2"), ("Vol.2.AVI", "Vol.2"), ("x.wmv.flv", "x.wmv")])
def test_only_a_media_ending_is_cut_off(name, kept):
    assert clip_name(name) == kept


def test_a_listed_clip_that_is_missing_is_named(tmp_path, capsys):
    touch(tmp_path / "s", "anger/1.mp4")
    (tmp_path / "s" / "trainlist01.txt").write_text("anger/1 1\nanger/2 1\njoy/3 4\n")
    (tmp_path / "s" / "testlist01.txt").write_text("anger/1 1\n")
    assert main(["ekman6", "--source", str(tmp_path / "s"), "--out", str(tmp_path / "o")]) == 1
    assert "2 clips of this list are not there, the first anger/2" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_music_video_by_its_part_folders_and_spellings(tmp_path):
    touch(tmp_path / "s", "Train/Excited/1.mp4", "Train/Sad/2.mp4", "Validation/Sad/2.mp4", "Validation/Tension/3.mp4")
    counts = write_release(DATASETS["music_video"], tmp_path / "s", tmp_path / "o")
    assert counts == {"train": Counter(Excitation=1, Sadness=1), "test": Counter(Sadness=1, Tension=1)}
    assert {sample.label for sample in samples_of(tmp_path / "o", "test", EMOTIONS)} == {4, 5}


def test_a_folder_that_is_no_class_is_refused(tmp_path):
    touch(tmp_path / "s", "anger/1.mp4", "rage/2.mp4")
    with pytest.raises(ValueError, match=r"rage.2\.mp4.*none of the classes anger"):
        write_release(DATASETS["ekman6"], tmp_path / "s", tmp_path / "o")


def test_without_lists_a_fifth_of_every_class_is_drawn_for_the_test(tmp_path):
    touch(tmp_path / "s", *(f"{name}/{i}.mp4" for name, n in (("anger", 10), ("joy", 25)) for i in range(n)))
    first = write_release(DATASETS["ekman6"], tmp_path / "s", tmp_path / "o1", seed=3)
    assert first == {"train": Counter(anger=8, joy=20), "test": Counter(anger=2, joy=5)}
    write_release(DATASETS["ekman6"], tmp_path / "s", tmp_path / "o2", seed=3)
    assert rows(tmp_path / "o1" / "test") == rows(tmp_path / "o2" / "test")
    write_release(DATASETS["ekman6"], tmp_path / "s", tmp_path / "o3", seed=4)
    assert rows(tmp_path / "o1" / "test") != rows(tmp_path / "o3" / "test")


def test_no_person_stands_in_both_parts():
    found = [Found(None, "happy", group=f"actor {i % 7}") for i in range(70)]
    parts = in_parts(found, seed=1)
    people = {part: {item.group for item in items} for part, items in parts.items()}
    assert not people["train"] & people["test"]
    assert len(people["test"]) == 1


def test_iemocap_turns_are_cut_out_of_their_film(tmp_path):
    for session in ("1", "5"):
        dialog = tmp_path / "s" / f"Session{session}" / "dialog"
        (dialog / "EmoEvaluation").mkdir(parents=True)
        (dialog / "avi" / "DivX").mkdir(parents=True)
        name = f"Ses0{session}F_impro01"
        write_clip(dialog / "avi" / "DivX" / "film.mp4", 2, 6, np.random.default_rng(0))
        (dialog / "avi" / "DivX" / "film.mp4").rename(dialog / "avi" / "DivX" / f"{name}.avi")
        (dialog / "EmoEvaluation" / f"{name}.txt").write_text(
            "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
            f"[0.5000 - 1.5000]\t{name}_F000\tneu\t[2.5000, 2.5000, 2.5000]\nC-E2:\tNeutral;\t()\n\n"
            f"[1.0000 - 2.5000]\t{name}_F001\texc\t[4.0000, 3.5000, 2.5000]\n"
            f"[0.1000 - 0.9000]\t{name}_F002\txxx\t[2.5000, 2.5000, 2.5000]\n"
        )
    counts = write_release(DATASETS["iemocap"], tmp_path / "s", tmp_path / "o")
    assert counts == {"train": Counter(neutral=1, happy=1), "test": Counter(neutral=1, happy=1)}
    with av.open(str(tmp_path / "o" / "train" / "Ses01F_impro01_F001.mp4")) as clip:
        assert float(clip.duration / 1e6) == pytest.approx(1.5, abs=0.15)
        assert len(clip.streams.audio) == 1


def test_a_cut_shows_the_frames_of_its_span(tmp_path):
    write_clip(tmp_path / "film.mp4", 4, 6, np.random.default_rng(0))
    cut_clip(tmp_path / "film.mp4", tmp_path / "cut.mp4", 1.0, 2.0)
    film, cut = list(all_frames(tmp_path / "film.mp4", 32)), list(all_frames(tmp_path / "cut.mp4", 32))
    assert len(cut) == 12
    distances = [np.abs(film[12].astype(int) - frame.astype(int)).mean() for frame in cut]
    assert int(np.argmin(distances)) == 0


def test_a_ravdess_name_gives_emotion_and_actor(tmp_path):
    touch(tmp_path, "03-01-05-01-02-01-12.wav", "03-01-02-01-02-01-03.opus")
    by_actor = {found.group: found.emotion for found in DATASETS["ravdess"].find(tmp_path, DATASETS["ravdess"])}
    assert by_actor == {"actor 12": "angry", "actor 03": "calm"}
    touch(tmp_path, "other.wav")
    with pytest.raises(ValueError, match="no RAVDESS name"):
        DATASETS["ravdess"].find(tmp_path, DATASETS["ravdess"])


def test_training_takes_over_the_classes_of_a_public_data_set(tmp_path):
    touch(tmp_path / "s", *(f"{name}/{i}.mp4" for name in ("anger", "joy") for i in range(5)))
    write_release(DATASETS["ekman6"], tmp_path / "s", tmp_path / "o")
    recipe = for_release(RECIPES["ogm_ge"](), tmp_path / "o")
    assert recipe.classes == DATASETS["ekman6"].classes
    assert recipe.polarity == ("negative", "negative", "negative", "positive", "negative", "positive")


def test_a_release_that_names_no_polarity_keeps_that_of_our_emotions(tmp_path):
    """As the project's own releases do: with every class neutral the penalty of EP-CE would never fall."""
    (tmp_path / "release.json").write_text(json.dumps({"classes": ["Tension", "Sad", "Neutral", "Relaxation", "boredom"]}))
    recipe = for_release(RECIPES["avcanet"](), tmp_path)
    assert recipe.classes == ("Tension", "Sadness", "Neutral", "Relaxation", "boredom")
    assert recipe.polarity == ("negative", "negative", "neutral", "positive", "neutral")


def test_a_folder_in_use_is_left_alone(tmp_path):
    touch(tmp_path / "o", "something")
    touch(tmp_path / "s", "anger/1.mp4")
    with pytest.raises(ValueError, match="not empty"):
        write_release(DATASETS["ekman6"], tmp_path / "s", tmp_path / "o")


def test_the_real_music_videos(sample_data, tmp_path):
    counts = write_release(DATASETS["music_video"], sample_data / "music_video", tmp_path / "o")
    assert sum(counts["train"].values()) + sum(counts["test"].values()) == 100
    assert set(counts["train"]) == set(counts["test"]) == set(EMOTIONS)
    assert all(sample.path.is_file() for sample in samples_of(tmp_path / "o", "test", EMOTIONS))


def test_the_real_ravdess_speech(sample_data, tmp_path):
    counts = write_release(DATASETS["ravdess"], sample_data / "ravdess_audio", tmp_path / "o")
    assert sum(counts["train"].values()) + sum(counts["test"].values()) == 1080
    actors = {part: {row["group"] for row in rows(tmp_path / "o" / part)} for part in ("train", "test")}
    assert not actors["train"] & actors["test"]
    assert len(actors["train"] | actors["test"]) == 18
