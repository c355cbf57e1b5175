"""Language models as judges: the question, the parser, the cache, a tiny random local model and an endpoint on the loopback."""

import json
import socket
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from training.engine import mllm
from training.engine.clips import Unusable
from training.engine.mllm_providers import HttpModel, LocalModel, NoAnswer, Reply, make_tiny_model, urllib_post
from training.engine.recipes import EMOTIONS, POLARITY
from training.engine.releases import samples_of
from training.engine.smoke_release import make_smoke_release


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return make_smoke_release(tmp_path_factory.mktemp("data") / "release", EMOTIONS, POLARITY)


class Scripted:
    """Answers from a list, and counts how often it was asked."""

    name = "scripted"

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def answer(self, pictures, prompt):
        self.asked.append((pictures, prompt))
        said = self.answers[len(self.asked) - 1]
        if isinstance(said, Exception):
            raise said
        return Reply(said, 100, 2, 0.25 * len(self.asked))


# ---- The answer ----


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fear", "Fear"),
        ("  **sadness**.", "Sadness"),
        ("The video is sad and sorrowful.", "Sadness"),
        ("The person looks excited!", "Excitation"),
        ("放松", "Relaxation"),
        ("该视频主要传达的情绪是紧张。", "Tension"),
        ("It is not Fear but Tension.", "Tension"),
        ("不是恐惧，是兴奋", "Excitation"),
        ("Both fear and tension are there. Answer: Tension", "Tension"),
        ("恐惧和紧张都有，答案是恐惧", "Fear"),
        ("Fear or Tension", mllm.UNPARSED),
        ("Happiness", mllm.UNPARSED),
        ("", mllm.UNPARSED),
        ("fearless people in tents", mllm.UNPARSED),
        ("I can't tell; the answer is unclear between Neutral and Relaxation", mllm.UNPARSED),
    ],
)
def test_an_answer_is_read_as_one_class_or_none(text, expected):
    assert mllm.parsed(text, EMOTIONS) == expected


def test_every_class_is_read_back_from_its_own_name_in_both_languages():
    for name in EMOTIONS:
        assert mllm.parsed(name, EMOTIONS) == name
        assert mllm.parsed(mllm.CHINESE[name], EMOTIONS) == name


def test_classes_of_another_data_set_are_read_by_their_names():
    assert mllm.parsed("I feel joy here", ("anger", "joy")) == "joy"


# ---- The question ----


def test_the_question_is_closed_and_in_its_language():
    english = mllm.prompt_of(mllm.Asking(frames=5))
    assert "5 frames" in english
    assert "Excitation, Fear, Neutral, Relaxation, Sadness, Tension" in english
    chinese = mllm.prompt_of(mllm.Asking(language="zh"), "你好")
    assert "兴奋、恐惧、中性、放松、悲伤、紧张" in chinese
    assert "你好" in chinese


def test_a_transcript_is_shown_only_where_there_is_one():
    assert "speech" not in mllm.prompt_of(mllm.Asking(), "  ")
    assert "“Run!”" in mllm.prompt_of(mllm.Asking(), "Run!\n")
    assert len(mllm.prompt_of(mllm.Asking(), "x" * 9000)) < 3000


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError, match="'fr' is none of en, zh"):
        mllm.Asking(language="fr")


def test_pictures_come_from_the_middles_of_equal_parts(release):
    path = samples_of(release, "test", EMOTIONS)[0].path  # 36 frames
    pictures = mllm.pictures_of(path, mllm.Asking(frames=3, short_side=32))
    whole = list(mllm.clips.all_frames(path, 32))
    assert [next(i for i, f in enumerate(whole) if np.array_equal(f, p)) for p in pictures] == [6, 18, 30]


# ---- Asking ----


def test_scores_count_an_unparsed_answer_as_wrong(release, tmp_path):
    provider = Scripted("Excitation", "Fear", "Neutral", "hm", "Fear", "Tension")
    result = mllm.run(provider, release, tmp_path, mllm.Asking(frames=2, short_side=32, price_in=1.0, price_out=10.0))
    assert result["acc"] == pytest.approx(4 / 6)
    assert result["uar"] == pytest.approx(4 / 6)
    assert result["unparsed"] == 1
    assert result["cost"] == pytest.approx((600 * 1 + 12 * 10) / 1e6)
    assert result["latency_s"]["median"] == pytest.approx(0.25 * 3.5)
    assert json.loads((tmp_path / "result.json").read_text())["per_class_recall"]["Relaxation"] == 0
    assert "test/3_0.mp4,Relaxation,unparsed,hm" in (tmp_path / "predictions.csv").read_text()


def test_weighted_f1_with_unparsed_answers_equals_scikit_learn(release, tmp_path):
    from sklearn.metrics import f1_score

    said = ["Fear", "Fear", "??", "Sadness", "Sadness", "Tension"]
    result = mllm.run(Scripted(*said), release, tmp_path, mllm.Asking(frames=1, short_side=32))
    labels = list(EMOTIONS)
    predictions = [mllm.parsed(text, EMOTIONS) for text in said]
    expected = f1_score(labels, predictions, labels=labels, average="weighted", zero_division=0)
    assert result["wa_f1"] == pytest.approx(expected)


def test_a_stopped_run_goes_on_and_asks_nothing_twice(release, tmp_path):
    asking = mllm.Asking(frames=2, short_side=32)
    with pytest.raises(NoAnswer):
        mllm.run(Scripted("Fear", "Fear", NoAnswer("gone")), release, tmp_path, asking)
    assert not (tmp_path / "result.json").exists()
    with (tmp_path / "answers.jsonl").open("a") as file:
        file.write('{"key": "half a li')  # a kill in the middle of writing
    second = Scripted(*["Tension"] * 4)
    result = mllm.run(second, release, tmp_path, asking)
    assert len(second.asked) == 4
    assert result["num_samples"] == 6
    third = Scripted()
    assert mllm.run(third, release, tmp_path, asking)["acc"] == result["acc"]
    assert third.asked == []


def test_a_clip_without_a_picture_is_left_out_and_many_are_refused(release, tmp_path, monkeypatch, capsys):
    samples = samples_of(release, "test", EMOTIONS)
    broken = [*samples[:5], replace(samples[5], path=tmp_path / "gone.mp4")]
    with pytest.raises(Unusable, match=r"gone\.mp4"):
        mllm.ask_all(Scripted(*["Fear"] * 6), broken, mllm.Asking(), tmp_path / "few", say=lambda _: None)
    monkeypatch.setattr(mllm, "MOST_UNUSABLE", 0.2)
    result = mllm.ask_all(Scripted(*["Fear"] * 6), broken, mllm.Asking(), tmp_path / "many", say=lambda _: None)
    assert (result["num_samples"], result["acc"]) == (5, 0.2)
    assert "left out" in capsys.readouterr().err


def test_another_question_is_asked_anew(release, tmp_path):
    mllm.run(Scripted(*["Fear"] * 6), release, tmp_path, mllm.Asking(frames=2, short_side=32))
    other = Scripted(*["Fear"] * 6)
    mllm.run(other, release, tmp_path, mllm.Asking(frames=2, short_side=32, language="zh"))
    assert len(other.asked) == 6


def test_transcripts_reach_the_question(release, tmp_path):
    (tmp_path / "t.jsonl").write_text('{"file_name": "test/1_0.mp4", "text": "Help!"}\n')
    provider = Scripted(*["Fear"] * 6)
    asking = mllm.Asking(frames=1, short_side=32)
    mllm.run(provider, release, tmp_path / "run", asking, transcripts=mllm.read_transcripts(tmp_path / "t.jsonl"))
    assert ["Help!" in prompt for _, prompt in provider.asked] == [False, True, False, False, False, False]
    (tmp_path / "t.jsonl").write_text('{"file_name": "a"}\n')
    with pytest.raises(ValueError, match=r"t\.jsonl:1"):
        mllm.read_transcripts(tmp_path / "t.jsonl")


# ---- Over HTTP ----


@pytest.fixture
def endpoint():
    """An OpenAI-compatible server on the loopback that is busy once."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append((self.path, dict(self.headers), body))
            busy = len(seen) == 1
            answer = {"choices": [{"message": {"content": "Sadness"}}], "usage": {"prompt_tokens": 321, "completion_tokens": 3}}
            self.send_response(503 if busy else 200)
            self.end_headers()
            self.wfile.write(json.dumps({"error": "busy"} if busy else answer).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1", seen
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_endpoint_is_asked_with_pictures_and_again_when_busy(endpoint):
    url, seen = endpoint
    pauses = []
    provider = HttpModel(url, "some-model", api_key="k", pause=pauses.append)
    reply = provider.answer([np.zeros((4, 6, 3), np.uint8)] * 2, "Which one?")
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == ("Sadness", 321, 3)
    assert pauses == [2.0]
    path, headers, body = seen[1]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer k"
    kinds = [part["type"] for part in body["messages"][0]["content"]]
    assert kinds == ["image_url", "image_url", "text"]
    assert body["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/jpeg;base64,/9j/")
    assert body["temperature"] == 0


def test_an_endpoint_that_refuses_is_not_asked_again():
    asked = []

    def post(*given):
        asked.append(given)
        return 401, b"no such key"

    with pytest.raises(NoAnswer, match="status 401: no such key"):
        HttpModel("http://127.0.0.1:1/v1", "m", post=post).answer([], "?")
    assert len(asked) == 1


def test_an_endpoint_that_is_not_there_is_given_up_after_four_tries():
    pauses = []
    with pytest.raises(NoAnswer, match="status none"):
        HttpModel("http://127.0.0.1:1/v1", "m", pause=pauses.append).answer([], "?")
    assert pauses == [2.0, 4.0, 8.0]


def test_tokens_that_are_not_told_count_as_none_and_an_answer_in_parts_is_refused():
    answers = iter(
        [
            {"choices": [{"message": {"content": "Fear"}}], "usage": {"prompt_tokens": None}},
            {"choices": [{"message": {"content": ["Fear"]}}]},
        ]
    )
    model = HttpModel("http://127.0.0.1:9", "m", post=lambda *_: (200, json.dumps(next(answers)).encode()))
    assert model.answer([], "?").prompt_tokens == 0
    with pytest.raises(NoAnswer, match="not a chat completion"):
        model.answer([], "?")


def test_an_answer_that_is_cut_off_is_asked_for_again():
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                asked = b""
                while not asked.endswith(b"{}"):  # closed with a part unread, the line would be reset, not cut
                    asked += connection.recv(65536)
                connection.sendall(said)

        threading.Thread(target=serve, daemon=True).start()
        status, told = urllib_post(f"http://127.0.0.1:{server.getsockname()[1]}/", {}, b"{}", 30.0)
    assert (status, b"IncompleteRead" in told) == (0, True)


def test_an_answer_that_is_no_completion_is_told():
    with pytest.raises(NoAnswer, match="not a chat completion"):
        HttpModel("http://127.0.0.1:1/v1", "m", post=lambda *_: (200, b"<html>")).answer([], "?")


def test_only_http_addresses_are_taken():
    with pytest.raises(ValueError, match="no HTTP address"):
        HttpModel("file:///etc/passwd", "m")


# ---- A local model ----


@pytest.mark.parametrize("folder", ["nowhere", ""])
def test_absent_weights_are_said_plainly(folder, release, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert mllm.main(["--release", str(release), "--out", str(tmp_path / "run"), "--model", folder]) == 1
    assert "no weights at" in capsys.readouterr().err


@pytest.mark.slow
def test_a_tiny_random_model_answers_from_the_pictures(tmp_path):
    model = LocalModel(make_tiny_model(tmp_path / "tiny"), device="cpu", max_new_tokens=3)
    black, noise = np.zeros((40, 60, 3), np.uint8), np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    one, two = model.answer([black], "Which?"), model.answer([black, noise], "Which?")
    assert one.completion_tokens == two.completion_tokens == 3
    assert two.prompt_tokens == one.prompt_tokens + 4  # a picture is four patches
    assert one.text == model.answer([black], "Which?").text  # no sampling
    assert mllm.parsed(one.text, EMOTIONS) == mllm.UNPARSED


@pytest.mark.slow
def test_the_command_runs_with_a_tiny_model(release, tmp_path, capsys):
    assert mllm.main(["--release", str(release), "--out", str(tmp_path / "run"), "--tiny", "--frames", "2", "--language", "zh"]) == 0
    assert json.loads((tmp_path / "run" / "result.json").read_text())["num_samples"] == 6
    assert '"unparsed"' in capsys.readouterr().out
