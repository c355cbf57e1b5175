"""Decoding real files of odd kinds."""

import numpy as np
import pytest

from tests.training.engine.media import RATE, write_clip
from training.engine.clips import Unusable, all_frames, frame_count, frames_at, waveform


@pytest.mark.parametrize(("size", "expected"), [((64, 48), (32, 43)), ((48, 64), (43, 32)), ((50, 50), (32, 32)), ((66, 34), (32, 62))])
def test_the_short_side_is_scaled_whichever_it_is(tmp_path, size, expected):
    path = write_clip(tmp_path / "a.mp4", frames=3, size=size)
    assert {frame.shape for frame in all_frames(path, 32)} == {(*expected, 3)}


@pytest.mark.parametrize(
    ("rotation", "dark_edge"), [(0, np.s_[-4:, 8:-8]), (90, np.s_[8:-8, :4]), (180, np.s_[:4, 8:-8]), (270, np.s_[8:-8, -4:])]
)
def test_a_rotation_flag_turns_the_picture_upright(tmp_path, rotation, dark_edge):
    path = write_clip(tmp_path / "a.mp4", frames=2, colour=(200, 200, 200), rotation=rotation)
    frame = next(all_frames(path, 48))
    assert frame.shape == ((48, 64, 3) if rotation in (0, 180) else (64, 48, 3))
    assert frame[dark_edge].mean() < 90  # the dark band at the foot of the stored picture
    assert frame.mean() > 140


def test_frames_come_in_the_order_asked_for_with_repeats(tmp_path):
    path = write_clip(tmp_path / "a.mp4", frames=9)
    every = np.stack(list(all_frames(path, 24)))
    assert frame_count(path) == len(every) == 9
    np.testing.assert_array_equal(frames_at(path, [8, 0, 3, 3], 24), every[[8, 0, 3, 3]])


def test_numbers_past_the_end_go_round(tmp_path):
    path = write_clip(tmp_path / "a.mp4", frames=5)
    np.testing.assert_array_equal(frames_at(path, [6, 4], 24), frames_at(path, [1, 4], 24))


def test_a_variable_frame_rate_is_read_frame_by_frame(tmp_path):
    path = write_clip(tmp_path / "a.mp4", frames=6, tone=None, times=[0, 40, 45, 300, 310, 900])
    assert frame_count(path) == len(list(all_frames(path, 24))) == 6


def test_sound_is_mono_at_its_rate_between_minus_one_and_one(tmp_path):
    sound = waveform(write_clip(tmp_path / "a.mp4", frames=12, rate=12, tone=1000.0))
    assert abs(len(sound) - RATE) < 3000
    strongest = np.abs(np.fft.rfft(sound)).argmax() * RATE / len(sound)
    assert abs(strongest - 1000) < 3
    assert 0.2 < np.abs(sound).max() < 0.3


def test_no_sound_track_is_none_and_no_picture_is_no_frame(tmp_path):
    assert waveform(write_clip(tmp_path / "a.mp4", tone=None)) is None
    only_sound = write_clip(tmp_path / "b.m4a", frames=0)
    assert frame_count(only_sound) == 0
    assert list(all_frames(only_sound, 24)) == []


@pytest.mark.parametrize(("content", "said"), [(None, "not there"), (b"", "cannot be opened"), (b"hello" * 99, "cannot be opened")])
def test_a_file_that_is_no_media_is_named_with_a_remedy(tmp_path, content, said):
    path = tmp_path / "x.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Unusable, match=said) as error:
        frame_count(path)
    assert str(path) in str(error.value)
    assert ";" in str(error.value)


def test_a_film_that_changes_its_size_and_its_sound_on_the_way_is_read_to_its_end(tmp_path):
    """As of two recordings put together: what is broadcast may change its form."""
    first = write_clip(tmp_path / "1.ts", frames=12, size=(64, 48))
    second = write_clip(tmp_path / "2.ts", frames=12, size=(48, 64), sound_rate=22_050, layout="stereo")
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    frames = list(all_frames(joined, 32))
    assert len(frames) == 24
    assert {frame.shape for frame in frames} == {(32, 43, 3)}
    assert [frame.shape for frame in frames_at(joined, [0, 20], 32)] == [(32, 43, 3)] * 2
    assert len(waveform(joined)) / RATE == pytest.approx(2, abs=0.2)
