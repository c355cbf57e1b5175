"""Late fusion of finished runs, and scores without sound or picture."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from training.engine import ensemble
from training.engine.data import ClipDataset, collate
from training.engine.losses import EPCELoss
from training.engine.recipes import EMOTIONS, POLARITY, RECIPES
from training.engine.recipes.baselines import smoke
from training.engine.releases import beliefs, samples_of
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


# ---- Votes in place of the label ----


def voted_release(folder):
    """A release whose training clips tell their votes and posterior, as an export's metadata does."""
    release = make_smoke_release(folder, EMOTIONS, POLARITY)
    path = release / "train" / "metadata.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        row |= {"votes": [row["emotion"], row["emotion"], "Neutral", "Sad"], "posterior": [0.5, 0.1, 0.1, 0.1, 0.1, 0.1]}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return release


def test_beliefs_are_shares_of_votes_or_the_posterior(tmp_path):
    fear = samples_of(voted_release(tmp_path / "r"), "train", EMOTIONS)[1]
    assert beliefs(fear, "votes", 6) == [0, 0.5, 0.25, 0, 0.25, 0]
    assert beliefs(fear, "posterior", 6) == [0.5, 0.1, 0.1, 0.1, 0.1, 0.1]


def test_a_release_without_votes_cannot_teach_them(tmp_path):
    sample = samples_of(make_smoke_release(tmp_path / "r", EMOTIONS, POLARITY), "train", EMOTIONS)[0]
    with pytest.raises(ValueError, match=r"train/0_0\.mp4: its metadata has no votes"):
        beliefs(sample, "votes", 6)


def test_soft_labels_that_are_certain_give_the_loss_of_the_label():
    torch.manual_seed(0)
    logits, target = torch.randn(5, 6), torch.tensor([0, 3, 5, 2, 1])
    loss = EPCELoss(POLARITY, 0.7)
    assert loss(logits, target, torch.eye(6)[target]) == pytest.approx(float(loss(logits, target)), rel=1e-5)
    assert loss(logits, target, torch.full((5, 6), 1 / 6)) != pytest.approx(float(loss(logits, target)), rel=1e-2)


def test_only_training_learns_from_votes(tmp_path):
    recipe = replace(smoke(RECIPES["labels_votes"]()), modalities="audio")
    release = voted_release(tmp_path / "r")
    part = usable_samples(samples_of(release, "train", EMOTIONS), release, recipe)
    dataset = ClipDataset(part.samples, recipe, folder=part.folder, entries=part.entries, random=True, soft=True)
    batch = collate([dataset[0, 1], dataset[0, 4]])
    assert batch.soft.tolist() == [[0, 0.5, 0.25, 0, 0.25, 0], [0, 0, 0.25, 0, 0.75, 0]]
    scoring = ClipDataset(part.samples, recipe, folder=part.folder, entries=part.entries, random=False)
    assert collate([scoring[0, 1]]).soft is None


@pytest.mark.slow
def test_a_run_learns_from_votes(tmp_path):
    train(smoke(RECIPES["labels_votes"]()), voted_release(tmp_path / "r"), tmp_path / "run")
    assert (tmp_path / "run" / "finished.json").is_file()


# ---- A modality missing ----


@pytest.mark.slow
def test_a_network_of_pictures_does_not_miss_the_sound(tmp_path):
    release = make_smoke_release(tmp_path / "r", EMOTIONS, POLARITY)
    recipe = replace(smoke(RECIPES["former_dfer"]()), modalities="both")
    train(recipe, release, tmp_path / "run")
    found = robustness(tmp_path / "run", release)
    assert found["no_sound"]["ACC"]["difference"] == 0
    assert set(found) == {"whole", "no_sound", "no_picture"}
    assert (tmp_path / "run" / "robustness.json").is_file()
