"""What a run says of each stretch of a clip."""

import numpy as np
import pytest

from tests.training.engine.media import RGB, write_clip
from training.engine import predict, windows
from training.engine.data import snippets_of


@pytest.fixture(scope="module")
def recipe(run):
    return predict.Predictor(run, device="cpu").recipe


def test_two_clips_get_a_file_each_and_a_broken_one_is_told(run, tmp_path, capsys):
    short, long, broken = (tmp_path / f"{name}.mp4" for name in ("short", "long", "broken"))
    write_clip(short, frames=30, rate=12)
    write_clip(long, frames=168, rate=12, tone=None)
    broken.write_bytes(b"no clip")
    listed, out = tmp_path / "list.txt", tmp_path / "windows"
    listed.write_text(f"aa\t{short}\nbb\t{broken}\ncc\t{long}\n")
    assert windows.main(["--run", str(run), "--list", str(listed), "--out", str(out), "--device", "cpu"]) == 1
    assert "broken.mp4" in capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == ["aa.npy", "cc.npy"]
    first, second = np.load(out / "aa.npy"), np.load(out / "cc.npy")
    assert (first.shape, second.shape) == ((5, 6), (7, 6))  # five at least; else one for every two seconds
    assert first.sum(axis=1) == pytest.approx(1)
    assert second.sum(axis=1) == pytest.approx(1)


def test_a_stretch_is_that_part_of_the_clip(recipe, tmp_path):
    """A clip that is red and then blue: the first stretches hold red pictures alone, the last blue ones."""
    from fractions import Fraction

    import av

    path = tmp_path / "two.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt, video.bit_rate = 64, 48, "yuv420p", 2_000_000
        video.codec_context.time_base = Fraction(1, 10)
        for number in range(120):
            colour = RGB["Excitation"] if number < 60 else RGB["Sadness"]
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), colour, np.uint8), format="rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode())
    parts = windows.stretches(path, recipe)
    assert [part.num_frames for part in parts] == [20] * 6
    means = [snippets_of(part, recipe, None).double().mean(dim=(0, 2, 3, 4)).tolist() for part in (parts[0], parts[2], parts[3], parts[5])]
    assert means[0] == pytest.approx(RGB["Excitation"], abs=12)
    assert means[1] == pytest.approx(RGB["Excitation"], abs=12)
    assert means[2] == pytest.approx(RGB["Sadness"], abs=12)
    assert means[3] == pytest.approx(RGB["Sadness"], abs=12)
    assert all(part.mfcc() is None for part in parts)


def test_sound_is_cut_like_the_picture(recipe, tmp_path):
    parts = windows.stretches(write_clip(tmp_path / "clip.mp4", frames=120, rate=12), recipe)
    lengths = [len(part.mfcc()) for part in parts]
    assert (len(parts), max(lengths) - min(lengths) <= 1) == (5, True)


@pytest.mark.parametrize("line", ["only-a-path.mp4", "\t/a.mp4", "../up\t/a.mp4"])
def test_a_list_that_is_none_is_refused(tmp_path, line):
    (tmp_path / "list.txt").write_text(f"aa\t/a.mp4\n{line}\n")
    with pytest.raises(ValueError, match=r"list\.txt:2"):
        windows.listed(tmp_path / "list.txt")
