"""Late fusion of finished runs, and scores without sound or picture."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from training.engine import ensemble
from training.engine.data import ClipDataset
from training.engine.recipes import EMOTIONS, POLARITY, RECIPES
from training.engine.recipes_baselines import smoke
from training.engine.releases import samples_of
from training.engine.robustness import Without, compared, robustness
from training.engine.smoke_release import make_smoke_release
from training.engine.train import train
from training.engine.usable import usable_samples


def scored(folder, probabilities, labels=("a", "b", "b")):
    folder.mkdir()
    with (folder / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "label", "prediction", "p_a", "p_b"])
        for i, (p, label) in enumerate(zip(probabilities, labels, strict=True)):
            writer.writerow([f"{i}.mp4", label, "a" if p >= 0.5 else "b", p, 1 - p])
    return folder


def test_two_runs_that_err_on_different_clips_are_right_together(tmp_path):
    one, two = scored(tmp_path / "one", [0.9, 0.55, 0.1]), scored(tmp_path / "two", [0.45, 0.1, 0.2])
    result = ensemble.ensemble([one, two], tmp_path / "both")
    assert result["acc"] == 1.0
    rows = list(csv.DictReader((tmp_path / "both" / "predictions.csv").open()))
    assert float(rows[0]["p_a"]) == pytest.approx(0.675)
    assert json.loads((tmp_path / "both" / "result.json").read_text())["num_samples"] == 3


def test_weights_say_how_much_a_run_counts(tmp_path):
    one, two = scored(tmp_path / "one", [0.9, 0.9, 0.9]), scored(tmp_path / "two", [0.4, 0.4, 0.4])
    ensemble.ensemble([one, two], tmp_path / "both", [1, 4])
    (first, *_) = csv.DictReader((tmp_path / "both" / "predictions.csv").open())
    assert float(first["p_a"]) == pytest.approx(0.5)


def test_runs_on_other_clips_are_refused(tmp_path, capsys):
    one, two = scored(tmp_path / "one", [0.9, 0.9, 0.9]), scored(tmp_path / "two", [0.4, 0.4, 0.4], labels=("a", "a", "b"))
    assert ensemble.main(["--runs", str(one), str(two), "--out", str(tmp_path / "o")]) == 1
    assert "same clips" in capsys.readouterr().err
    assert ensemble.main(["--runs", str(tmp_path), "--out", str(tmp_path / "o")]) == 1
    assert "score the run first" in capsys.readouterr().err


def test_only_the_named_modality_is_blanked(tmp_path):
    release = make_smoke_release(tmp_path / "r", EMOTIONS, POLARITY)
    recipe = smoke(RECIPES["ogm_ge"]())
    part = usable_samples(samples_of(release, "test", EMOTIONS), release, recipe)
    whole = ClipDataset(part.samples, recipe, folder=part.folder, entries=part.entries, random=False)[0, 3]
    dataset = Without(part.samples, recipe, folder=part.folder, entries=part.entries, random=False)
    dataset.blanked = ("audio",)
    silent = dataset[0, 3]
    assert silent["audio"].abs().max() == 0
    assert whole["audio"].abs().max() > 0
    assert (silent["video"] == whole["video"]).all()


def test_nothing_missing_is_no_difference():
    labels = np.array([0, 1, 2, 1])
    found = compared(labels, labels, labels, 3)
    assert found["ACC"] == {"value": 1.0, "difference": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}


@pytest.mark.slow
def test_a_network_of_pictures_does_not_miss_the_sound(tmp_path):
    release = make_smoke_release(tmp_path / "r", EMOTIONS, POLARITY)
    recipe = replace(smoke(RECIPES["former_dfer"]()), modalities="both")
    train(recipe, release, tmp_path / "run")
    found = robustness(tmp_path / "run", release)
    assert found["no_sound"]["ACC"]["difference"] == 0
    assert set(found) == {"whole", "no_sound", "no_picture"}
    assert (tmp_path / "run" / "robustness.json").is_file()
