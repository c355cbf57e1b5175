import json
import logging

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from config.logs import ContextFilter, JsonFormatter, LineFormatter, RequestIdMiddleware, current_request, current_task


def formatted(record: logging.LogRecord) -> dict:
    ContextFilter().filter(record)
    return json.loads(JsonFormatter().format(record))


def answer_to(request, inside=lambda: None) -> HttpResponse:
    def view(request):
        inside()
        return HttpResponse("ok")

    return RequestIdMiddleware(view)(request)


@pytest.mark.parametrize(
    ("given", "kept"), [("0123456789abcdef", True), ("short", False), ("x" * 65, False), ("bad id\nwith lines", False), ("", False)]
)
def test_a_sound_request_id_is_kept_and_another_is_replaced(given, kept):
    answer = answer_to(RequestFactory().get("/", headers={"X-Request-ID": given}))
    assert (answer.headers["X-Request-ID"] == given) is kept
    assert len(answer.headers["X-Request-ID"]) >= 8


def test_lines_of_a_request_carry_its_id_and_later_ones_do_not():
    seen = []
    answer = answer_to(RequestFactory().get("/"), lambda: seen.append(current_request.get()))
    assert seen == [answer.headers["X-Request-ID"]]
    assert current_request.get() == ""


def test_the_line_about_a_request_tells_no_query(caplog):
    with caplog.at_level(logging.INFO, logger="site.request"):
        answer_to(RequestFactory().get("/clips/?token=secret"))
    assert "secret" not in caplog.text
    assert caplog.records[0].facts["status"] == 200


def test_a_json_line_holds_what_a_search_needs():
    token = current_task.set("task-1")
    try:
        record = logging.getLogger("x").makeRecord("x", logging.WARNING, "f", 1, "label %s", ("兴奋",), None, extra={"facts": {"ms": 3}})
        line = formatted(record)
    finally:
        current_task.reset(token)
    assert (line["level"], line["logger"], line["message"], line["task_id"], line["ms"]) == ("WARNING", "x", "label 兴奋", "task-1", 3)
    assert "request_id" not in line


def test_an_exception_stays_on_one_line():
    try:
        raise ValueError("two\nlines")
    except ValueError:
        import sys

        record = logging.getLogger("x").makeRecord("x", logging.ERROR, "f", 1, "failed", (), sys.exc_info())
    text = JsonFormatter().format(record)
    assert "\n" not in text
    assert "ValueError" in json.loads(text)["exception"]


def test_nothing_that_a_visitor_sends_begins_a_line_of_its_own(caplog):
    with caplog.at_level(logging.INFO, logger="site.request"):
        answer_to(RequestFactory().get("/a%0a2026-01-01 INFO site all is well%1b[2J%e2%80%a8"))
    (record,) = caplog.records
    ContextFilter().filter(record)
    line = LineFormatter("{levelname} {request_id}{task_id} {message}", style="{").format(record)
    assert line.splitlines() == [line]
    assert "\x1b" not in line
    assert r"/a\n2026-01-01" in line


def test_only_the_probes_are_too_many_to_be_told(caplog):
    with caplog.at_level(logging.INFO, logger="site.request"):
        for path in ("/healthz", "/readyz", "/admin/z"):
            answer_to(RequestFactory().get(path))
    assert [record.facts["path"] for record in caplog.records] == ["/admin/z"]
