"""The table runner: what it plans, what it skips, what it writes."""

import csv
import io
import json
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.engine import table, table_plan, table_results
from training.engine.paper_tables import TABLES
from training.engine.recipes import EMOTIONS, POLARITY, RECIPES
from training.engine.significance import holm, paired_bootstrap
from training.engine.smoke_release import make_smoke_release
from training.engine.table_text import Block, Cell, Line, csv_text, latex, markdown


def request_for(tmp_path, *numbers, releases=("e_T",), **options) -> table_plan.Request:
    found = {}
    for name in releases:
        folder = tmp_path / name
        (folder / "train").mkdir(parents=True, exist_ok=True)
        (folder / "train" / "metadata.jsonl").write_text('{"file_name": "a.mp4", "emotion": "Fear"}\n')
        found[name] = folder
    return table_plan.Request(tuple(TABLES[n] for n in numbers), found, tmp_path / "out", **options)


def finish(job: table_plan.Job, right: list[bool]) -> None:
    """Writes what a finished run leaves: every clip is Neutral, and predicted so or as Fear."""
    job.folder.mkdir(parents=True)
    acc = sum(right) / len(right)
    recall = dict.fromkeys(EMOTIONS) | {"Neutral": acc}
    (job.folder / "result.json").write_text(json.dumps({"acc": acc, "wa_f1": acc, "uar": acc, "per_class_recall": recall}))
    with (job.folder / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "label", "prediction"])
        writer.writerows([f"test/{i:03}.mp4", "Neutral", "Neutral" if ok else "Fear"] for i, ok in enumerate(right))


# ---- The plan ----


def test_the_first_seed_of_every_row_comes_before_the_second(tmp_path):
    jobs = table_plan.planned(request_for(tmp_path, "IV", seeds=2))
    assert [job.recipe.seed for job in jobs] == [1] * 20 + [2] * 20
    assert len({job.folder for job in jobs}) == 40


def test_rows_that_two_tables_share_are_run_once(tmp_path):
    jobs = table_plan.planned(request_for(tmp_path, "VI", "IX", releases=("eMotions",)))
    assert sorted(job.recipe.name for job in jobs) == sorted(
        ["fusion_vanilla", "fusion_self_attention", "fusion_lgi_former", "fusion_hicmae", "fusion_lgf", "only_lisf", "only_glcf"]
    )


def test_a_transfer_row_waits_for_the_run_it_starts_from(tmp_path):
    jobs = table_plan.planned(request_for(tmp_path, "XII", releases=("e_T", "Ekman6")))
    assert [(job.recipe.name, job.dataset) for job in jobs] == [
        ("avcanet", "e_T"),
        ("avcanet", "Ekman6"),
        ("avcanet_from_Ekman6", "e_T"),
    ]
    assert jobs[2].recipe.init_from == str(jobs[1].folder / "checkpoints" / "best.safetensors")
    said = []
    assert table.run_all(jobs[2:], budget_s=None, say=said.append) == table.STOPPED
    assert "waits for avcanet on Ekman6" in said[0]


def test_a_transfer_row_starts_from_its_source_alone_wherever_the_command_is_given(tmp_path, monkeypatch):
    backbones = {"init_video": "swin.safetensors", "init_audio": "resnet.safetensors"}
    monkeypatch.chdir(tmp_path)
    request = request_for(Path(), "XI", releases=("e_All", "Ekman6"), changes=backbones)
    source, transferred = (job.recipe for job in table_plan.planned(request)[1:])
    assert (source.init_video, source.init_audio) == tuple(backbones.values())
    assert (transferred.init_video, transferred.init_audio) == ("", "")
    elsewhere = ["XI", "--release", "e_All=e_All", "--release", "Ekman6=Ekman6", "--out"]
    one, other = (table_plan.planned(table.request_of(table.parsed([*elsewhere, out]))) for out in ("out", str(tmp_path / "out")))
    assert [job.folder for job in one] == [job.folder for job in other]


def test_any_change_of_a_recipe_gets_another_folder_but_the_machine_does_not(tmp_path):
    recipe = RECIPES["c3d"]()
    assert table_plan.fingerprint(recipe) != table_plan.fingerprint(table_plan.overridden(recipe, {"lr": "0.5"}))
    assert table_plan.fingerprint(recipe) == table_plan.fingerprint(table_plan.overridden(recipe, {"device": "cpu", "seed": "9"}))


def test_a_language_model_without_weights_is_told_so_in_its_row(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    request = request_for(tmp_path, "VII", only=("llava",), seeds=3)
    (job,) = table_plan.planned(request)  # one answer is enough: it is not drawn
    assert table.run_all([job], budget_s=None, say=lambda _: None) == 1
    (block,) = table_results.blocks_of(TABLES["VII"], request)
    assert block.lines[0].note.startswith("failed: no weights at 'models/LLaVA-NeXT-Video-7B-hf'")


def test_an_unparsed_answer_is_compared_like_any_other(tmp_path):
    request = request_for(tmp_path, "VII", only=("llava", "avcanet"))
    jobs = table_plan.planned(request)
    for job in jobs:
        finish(job, [True] * 9 + [False] * 21)
    answers = jobs[0].folder / "predictions.csv"
    answers.write_text(answers.read_text().replace("Neutral,Neutral", "Neutral,unparsed"))
    (block,) = table_results.blocks_of(TABLES["VII"], request)
    assert block.lines[0].differences["ACC"].value == pytest.approx(-0.3)


def test_two_releases_of_one_name_share_no_runs(tmp_path):
    (tmp_path / "a" / "all").mkdir(parents=True)
    (tmp_path / "b" / "all").mkdir(parents=True)
    assert table_plan.dataset_folder(tmp_path / "a" / "all") != table_plan.dataset_folder(tmp_path / "b" / "all")


def test_changed_snippets_reach_the_network_too(tmp_path):
    (job,) = table_plan.planned(request_for(tmp_path, "IV", only=("vaanet",), changes={"snippets": "6"}))
    assert job.recipe.net_options["num_snippets"] == 6


def test_a_release_with_its_own_classes_sets_them(tmp_path):
    request = request_for(tmp_path, "IV", only=("ogm_ge",))
    facts = {"classes": ["anger", "joy", "fear"], "polarity": ["negative", "positive", "negative"]}
    (request.releases["e_T"] / "release.json").write_text(json.dumps(facts))
    (job,) = table_plan.planned(request)
    assert job.recipe.classes == ("anger", "joy", "fear")


def test_a_recipe_of_no_row_becomes_one(tmp_path):
    request = request_for(tmp_path, "VI", only=("fusion_lgf", "video_branch"), releases=("eMotions",))
    assert [job.recipe.name for job in table_plan.planned(request)] == ["fusion_lgf", "video_branch"]


def test_finished_rows_are_skipped(tmp_path):
    jobs = table_plan.planned(request_for(tmp_path, "IX", releases=("eMotions",)))
    for job in jobs:
        finish(job, [True, False, True])
    said = []
    assert table.run_all(jobs, budget_s=None, say=said.append) == 0
    assert said == []


def test_a_row_that_another_process_holds_is_left_to_it(tmp_path):
    (job,) = table_plan.planned(request_for(tmp_path, "IV", only=("c3d",)))
    said = []
    with table.claimed(job.folder) as mine:
        assert mine
        assert table.run_all([job], budget_s=None, say=said.append) == table.STOPPED
    assert said == []


def test_a_failed_row_is_told_and_the_others_go_on(tmp_path, capsys):
    request = request_for(tmp_path, "IX", releases=("eMotions",))  # a clip that is not there, and no test part
    assert table.run_all(table_plan.planned(request), budget_s=None, say=lambda _: None) == 1
    assert capsys.readouterr().err.count("metadata.jsonl is not there") == 4
    (block,) = table_results.blocks_of(TABLES["IX"], request)
    assert all(line.note.startswith("failed: ") for line in block.lines)


def test_nothing_is_started_when_the_budget_is_spent(tmp_path):
    jobs = table_plan.planned(request_for(tmp_path, "IX", releases=("eMotions",)))
    assert table.run_all(jobs, budget_s=0.0, say=pytest.fail) == table.STOPPED


def test_sigterm_stops_the_table_and_not_only_the_row(tmp_path, monkeypatch):
    jobs = table_plan.planned(request_for(tmp_path, "IX", releases=("eMotions",)))
    began = []

    def interrupted(job):
        began.append(job)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(table, "run", interrupted)
    assert table.run_all(jobs, budget_s=None, say=lambda _: None) == table.STOPPED
    assert len(began) == 1


@pytest.mark.parametrize(("text", "value"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1.5d", 129600)])
def test_a_budget_is_read_with_its_unit(text, value):
    assert table.seconds(text) == value


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["XX", "--smoke"], "no table XX"),
        (["IV", "--smoke", "--recipes", "vanet"], "no recipe vanet"),
        (["IV"], "--smoke"),
        (["IV", "--release", "nowhere"], "no release folder"),
        (["IV", "--smoke", "--set", "epochs"], "--set epochs: write FIELD=VALUE"),
    ],
)
def test_a_bad_request_says_what_to_do(tmp_path, capsys, arguments, said):
    assert table.main([*arguments, "--out", str(tmp_path)]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("written", "status", "ends"), [(["--workers", "3"], 0, 0), (["--work=3"], 0, 0), (["--workers=3"], 1, 1)])
def test_workers_start_no_workers_and_a_failure_of_one_is_the_table_s(tmp_path, monkeypatch, written, status, ends):
    request = request_for(tmp_path, "IX", releases=("eMotions",))
    for job in table_plan.planned(request):
        finish(job, [True, False, True])
    began = []

    class Worker:
        def __init__(self, command, env):
            began.append(table.parsed(command[3:]).workers)

        def wait(self):
            return status

    monkeypatch.setattr(table.subprocess, "Popen", Worker)
    assert table.main(["IX", "--release", f"eMotions={tmp_path / 'eMotions'}", "--out", str(tmp_path / "out"), *written]) == ends
    assert began == [1, 1, 1]


def test_a_variant_gets_the_papers_name_for_it(tmp_path):
    release = make_smoke_release(tmp_path / "r", EMOTIONS[:2], POLARITY[:2])
    (release / "release.json").write_text('{"variant": "balanced"}')
    assert table.releases_of([str(release)]) == {"e_B": release}
    assert table.releases_of([f"Ekman6={release}"]) == {"Ekman6": release}


# ---- Significance ----


def test_a_method_is_not_better_than_itself():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 4, 50), rng.integers(0, 4, (3, 50))
    difference = paired_bootstrap(labels, predicted, predicted, 4, score="ACC", rng=rng, draws=200)
    assert (difference.value, difference.low, difference.high, difference.p) == (0, 0, 0, 1)


def test_a_method_that_is_always_right_beats_one_that_guesses():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 60)
    guessed = rng.integers(0, 4, (1, 60))
    difference = paired_bootstrap(labels, labels[None], guessed, 4, score="ACC", rng=rng, draws=300)
    assert difference.value == pytest.approx(1 - (guessed[0] == labels).mean())
    assert difference.low > 0
    assert difference.p == pytest.approx(2 / 301)


def test_the_bootstrap_agrees_with_the_normal_interval_of_paired_accuracy():
    rng = np.random.default_rng(1)
    n = 400
    labels = np.zeros(n, int)
    method, baseline = (rng.random(n) < 0.3).astype(int)[None], (rng.random(n) < 0.35).astype(int)[None]
    gaps = (method[0] == 0).astype(float) - (baseline[0] == 0)
    half = 1.96 * gaps.std(ddof=1) / n**0.5
    difference = paired_bootstrap(labels, method, baseline, 2, score="ACC", rng=rng, draws=2000)
    assert difference.value == pytest.approx(gaps.mean())
    assert (difference.low, difference.high) == pytest.approx((gaps.mean() - half, gaps.mean() + half), abs=0.01)


def test_different_clips_cannot_be_compared():
    with pytest.raises(ValueError, match="same clips"):
        paired_bootstrap(np.zeros(3, int), np.zeros((1, 3), int), np.zeros((1, 4), int), 2, score="ACC", rng=np.random.default_rng(0))


def test_holm_multiplies_the_smallest_p_most_and_never_falls():
    """Five tests by hand: 5 x 0.005, 4 x 0.01, 3 x 0.03, then 2 x 0.04 may not lie below 0.09, then 0.5."""
    p = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.5, "e": 0.005}
    assert holm(p) == pytest.approx({"a": 0.04, "b": 0.09, "c": 0.09, "d": 0.5, "e": 0.025})
    assert holm({}) == {}


# ---- The text ----


def small_block() -> Block:
    lines = [
        Line("one", "One [1]", {"ACC": Cell((50.0, 52.0), 61.25), "UAR": Cell((40.0, 40.0))}),
        Line("two", "Two & co", {"ACC": Cell((60.0, 62.0), 60.0), "UAR": Cell((40.0, 40.0))}),
        Line("three", "Three", {"ACC": Cell((), 59.0), "UAR": Cell(())}, note="failed: out of memory"),
    ]
    return Block("IV", "Methods", "e_T", ("ACC", "UAR"), lines, "one")


def test_markdown_marks_the_best_the_second_and_the_papers_number():
    text = markdown(small_block())
    assert "| One [1] | <u>51.00 ± 1.41</u> $\\color{gray}{61.25}$ | **40.00 ± 0.00** |" in text
    assert "| Two & co | **61.00 ± 1.41** $\\color{gray}{60.00}$ | **40.00 ± 0.00** |" in text  # a tie: both are best
    assert "| Three | – $\\color{gray}{59.00}$ | – |" in text
    assert "Three: failed: out of memory." in text


def test_a_table_without_its_baseline_speaks_of_none():
    assert "differs from One [1]" in markdown(small_block())
    assert "differs" not in markdown(replace(small_block(), baseline="vaanet"))


def test_latex_is_escaped_and_balanced():
    text = latex(small_block())
    assert r"Two \& co & \textbf{61.00\,$\pm$\,1.41} \textcolor{gray}{\scriptsize 60.00} & \textbf{40.00" in text
    assert text.count("{") == text.count("}")
    assert text.count(r"\\") == 4


def test_csv_has_one_line_for_each_number():
    rows = list(csv.DictReader(io.StringIO(csv_text([small_block()]))))
    assert len(rows) == 6
    assert (rows[0]["recipe"], rows[0]["metric"], rows[0]["mean"], rows[0]["std"], rows[0]["paper"]) == (
        "one",
        "ACC",
        "51.0000",
        "1.4142",
        "61.25",
    )


def test_a_table_is_written_from_what_is_finished(tmp_path):
    request = request_for(tmp_path, "IX", releases=("eMotions",), seeds=2)
    jobs = {(job.recipe.name, job.recipe.seed): job for job in table_plan.planned(request)}
    for seed in (1, 2):
        finish(jobs["fusion_vanilla", seed], [True] * 20 + [False] * 20)
        finish(jobs["fusion_lgf", seed], [True] * 38 + [False] * 2)
    finish(jobs["only_lisf", 1], [True] * 21 + [False] * 19)
    request.out.mkdir(exist_ok=True)
    paths = table_results.write_tables(request)
    assert [path.name for path in paths] == ["table_IX.md", "table_IX.tex", "table_IX.csv"]
    text = paths[0].read_text()
    assert "| LISF + GLCF | **95.00 ± 0.00**\\* $\\color{gray}{67.48}$ |" in text  # better than None beyond chance
    assert "| LISF | <u>52.50</u> $\\color{gray}{67.41}$ |" in text  # not so
    assert "LISF: 1 of 2 seeds are finished." in text
    assert "GLCF: 0 of 2 seeds are finished." in text
    (tested,) = [row for row in csv.DictReader(paths[2].open()) if row["recipe"] == "fusion_lgf" and row["metric"] == "ACC"]
    assert float(tested["difference"]) == pytest.approx(45)
    assert float(tested["low"]) > 0


# ---- Really run ----


def test_a_made_up_release_is_the_same_again(tmp_path):
    one, two = (make_smoke_release(tmp_path / name, EMOTIONS, POLARITY, seed=3) for name in "ab")
    for path in sorted(one.rglob("*.mp4")):
        assert path.read_bytes() == (two / path.relative_to(one)).read_bytes()
    assert len(list(one.rglob("*.mp4"))) == 12


@pytest.mark.slow
def test_two_rows_run_from_nothing_to_a_table(tmp_path, capsys):
    arguments = ["IV", "--smoke", "--recipes", "ecapa_tdnn,ogm_ge", "--out", str(tmp_path)]
    assert table.main(arguments) == 0
    text = (tmp_path / "table_IV.md").read_text()
    assert text.count("53.50") == 0  # e_B alone is made up, and its printed numbers stand there
    assert "$\\color{gray}{50.99}$" in text
    assert "ECAPA-TDNN" in text
    capsys.readouterr()
    assert table.main(arguments) == 0  # all is there: nothing runs again
    assert "2 runs, 2 of them finished" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_goes_on_from_the_weights_of_another_data_set(tmp_path):
    assert table.main(["XI", "--smoke", "--out", str(tmp_path)]) == 0
    rows = list(csv.DictReader((tmp_path / "table_XI.csv").open()))
    assert [row["seeds"] for row in rows] == ["1"] * 4
    (transferred,) = tmp_path.glob("runs/*/avcanet_smoke_from_eMotions-*/seed-1/recipe.json")
    assert Path(json.loads(transferred.read_text())["init_from"]).is_file()
