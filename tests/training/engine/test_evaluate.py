"""What comes out of a run: result, predictions, figures, card; a clip's prediction; an exported network."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.training.engine.conftest import TINY
from tests.training.engine.media import EMOTIONS, write_clip
from training.engine import evaluate, export, predict, runs
from training.engine.recipes import RECIPES, overridden


@pytest.fixture(scope="module")
def result(run, release):
    return evaluate.evaluate(run, release)


def test_the_result_is_that_of_the_predictions(run, result):
    rows = list(csv.DictReader((run / "predictions.csv").open(encoding="utf-8")))
    assert len(rows) == result["num_samples"] == 6
    right = sum(row["label"] == row["prediction"] for row in rows)
    assert result["acc"] == pytest.approx(right / 6)
    for row in rows:
        chances = {name: float(row[f"p_{name}"]) for name in EMOTIONS}
        assert sum(chances.values()) == pytest.approx(1, abs=1e-5)
        assert max(chances, key=chances.__getitem__) == row["prediction"]
    audio_right = sum(row["label"] == row["audio_prediction"] for row in rows)
    assert result["audio_branch"]["acc"] == pytest.approx(audio_right / 6)


def test_the_run_folder_is_complete(run, result, release):
    assert json.loads((run / "result.json").read_text())["uar"] == result["uar"]
    assert {p.name for p in (run / "figures").iterdir()} == {"confusion.png", "confusion_video.png", "confusion_audio.png", "tsne.png"}
    card = (run / "README.md").read_text()
    assert f"| ACC | {result['acc']:.4f} |" in card
    assert result["manifest_sha256"] in card
    low, high = result["intervals_95"]["acc"]
    assert low <= result["acc"] <= high
    assert result["majority_acc"] == pytest.approx(1 / 6)


def test_evaluating_twice_gives_the_same(run, release, result):
    again = evaluate.evaluate(run, release)
    assert again == result


def test_a_clip_is_predicted_as_in_the_evaluation_of_its_source(run, release, result):
    predictor = predict.Predictor(run, device="cpu")
    path = release / "test" / "Fear_0.mp4"
    answer = predictor(path)
    recipe, net = runs.load_net(run)
    video, audio, has_audio = predict.read_clip(path, recipe)
    with torch.inference_mode():
        expected = net(video[None], audio[None]).logits.softmax(1)[0]
    assert list(answer["probabilities"].values()) == pytest.approx(expected.tolist(), abs=1e-5)
    assert answer["has_audio"] is has_audio is True
    assert answer["video"].keys() == answer["audio"].keys() == set(EMOTIONS)


def test_predict_reads_folders_and_names_what_it_cannot_read(run, tmp_path, capsys):
    write_clip(tmp_path / "a.mp4", tone=None)
    (tmp_path / "b.mp4").write_bytes(b"no clip")
    (tmp_path / "notes.txt").write_text("not media")
    assert predict.main(["--run", str(run), "--device", "cpu", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    (line,) = out.splitlines()
    assert json.loads(line)["has_audio"] is False
    assert (
        err == f"{tmp_path / 'b.mp4'}: it cannot be opened as media (Invalid data found when processing input); give a whole media file\n"
    )
    assert "notes" not in err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_predict_does_not_take_the_processor_where_a_gpu_was_asked_for(run, release, capsys):
    assert predict.main(["--run", str(run), "--device", "cuda", str(release / "test" / "Fear_0.mp4")]) == 1
    assert "torch sees no GPU; set device=cpu or auto" in capsys.readouterr().err


def test_predict_takes_a_list_and_writes_a_file(run, release, tmp_path, capsys):
    listed, out = tmp_path / "clips.txt", tmp_path / "predictions.jsonl"
    chosen = [release / "test" / "Fear_0.mp4", release / "test" / "Neutral_0.mp4"]
    listed.write_text("".join(f"{path}\n" for path in chosen))
    command = ["--run", str(run), "--device", "cpu", "--out", str(out)]
    assert predict.main([*command, "--list", str(listed)]) == 0
    assert [json.loads(line)["file"] for line in out.read_text().splitlines()] == [str(path) for path in chosen]
    assert capsys.readouterr().out == ""
    assert predict.main([*command, "--list", str(tmp_path / "absent")]) == 1
    assert "one path a line" in capsys.readouterr().err
    assert predict.main(command) == 1
    assert "no clip given" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "more"), [(evaluate, ("--release", ".")), (predict, ("x.mp4",)), (export, ("--out", "x"))])
def test_a_folder_that_is_no_run_is_refused(command, more, tmp_path, capsys):
    assert command.main(["--run", str(tmp_path), *more]) == 1
    assert "recipe.json is not there" in capsys.readouterr().err


def test_weights_that_a_run_has_not_are_named_with_those_it_has(run):
    with pytest.raises(ValueError, match="there are: best, final"):
        runs.load_net(run, "best_on_test")


@pytest.mark.parametrize("name", ["checkpoints/best.safetensors", "checkpoints/last.pt", "recipe.json"])
def test_a_damaged_file_of_a_run_is_named(run, tmp_path, name):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / name).write_bytes((folder / name).read_bytes()[:1000].strip(b"\n}"))
    with pytest.raises(ValueError, match=f"{Path(name).name} is damaged"):
        runs.load_state(folder / name) if name.endswith(".pt") else runs.load_net(folder)


def test_logits_of_one_branch_are_exported_too():
    recipe = overridden(
        RECIPES["debug"](), {**TINY, "network": "audio_branch", "modalities": "audio", "net_options": '{"width": 8, "base_width": 4}'}
    )
    net = runs.build(recipe).eval()
    given = export.example_inputs(recipe, num_clips=2)
    assert list(given) == ["audio"]
    (logits,) = export.Logits(net)(*given.values())
    assert torch.equal(logits, net(None, given["audio"]).logits)


@pytest.mark.slow
def test_the_exported_network_computes_the_same(run, tmp_path):
    facts = export.export(run, tmp_path / "out", formats=("torch",))
    assert facts["relative_difference"]["model.pt2"] < 1e-4
    assert facts["inputs"]["video"] == ["batch", 2, 3, 8, 32, 32]


@pytest.mark.slow
def test_the_onnx_file_computes_the_same(run, tmp_path):
    facts = export.export(run, tmp_path / "out", formats=("onnx",))
    assert facts["relative_difference"]["model.onnx"] < 1e-4


def test_without_the_onnx_packages_the_export_says_what_to_install(run, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install onnx onnxscript"):
        export.export(run, tmp_path / "out")
