"""The way out: what the guard lets through, how answers are read, how a file comes down a bad line. No test leaves this machine."""

import hashlib
import http.server
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from crawler import fetch
from crawler.fetch import Expired, Gone, Manner, Refused, Unreachable, client_for, guard, politeness
from crawler.fetch.client import retry_after
from crawler.fetch.downloads import container
from crawler.models import Host, Video
from crawler.rules import robots
from crawler.services import stage_create, videos
from crawler.storage import Away
from demo.replica import certificate

PAGE = "https://www.tiktok.com/@/video/7525082444551310602"
FILE = "https://v16-webapp-prime.tiktok.com/video/tos/1"
BODY = b"\x00\x00\x00\x18ftypisom" + bytes(range(256)) * 400
Answer = tuple[int, dict[str, str], bytes]


class Site:
    """An HTTPS server for every platform host on this machine, whose answers a test writes: answer(request) -> (status, headers, body)."""

    def __init__(self, folder) -> None:
        certificate.ensure(folder)
        self.requests: list[http.server.BaseHTTPRequestHandler] = []
        self.answer: Callable[..., Answer] = lambda request: (404, {}, b"")
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_GET(self) -> None:
                if self.path == "/robots.txt" and not getattr(site, "robots", None):
                    status, headers, body = 404, {}, b""
                elif self.path == "/robots.txt":
                    status, headers, body = 200, getattr(site, "robots_headers", {}), site.robots.encode()
                else:
                    site.requests.append(self)
                    status, headers, body = site.answer(self)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Silent."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def site(tmp_path, settings):
    site = Site(tmp_path)
    settings.CRAWL_REPLICA = f"127.0.0.1:{site.server.server_port}"
    settings.CRAWL_REPLICA_CA = str(tmp_path / "ca.pem")
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture
def client(db, site):
    client = client_for("tiktok", Manner(delay_s=0, backoff_s=0, attempts=3, user_agent="honest", proxy=""))
    yield client
    client.close()


def down(client, folder, *urls):
    return fetch.download(client, urls or (FILE,), PAGE, folder, "tiktok-1")


# --- the guard --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://www.tiktok.com/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:127.0.0.1]/",
        "https://2130706433/",
        "https://www.tiktok.com@127.0.0.1/",
        "https://user:secret@www.tiktok.com/",
        "https://www.tiktok.com:8080/",
        "https://www.tiktok.com.evil.example/",
        "https://www.tiktok.com" + "/a" * 5000,
        "https://[broken",
        "",
    ],
)
def test_the_guard_refuses(url):
    with pytest.raises(Refused) as refusal:
        guard.check(url)
    assert refusal.value.cause == "guard"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1", "::1", "fe80::1%eth0", "fc00::1", "::ffff:10.0.0.1", "2002:0a00:0001::", "64:ff9b::7f00:1", "2001:0:7f00:1::", "nonsense"],  # noqa: S104 - refused, not bound
)  # fmt: skip
def test_addresses_that_are_not_the_open_internet(address):
    assert not guard.is_public(address)


def test_public_addresses():
    assert guard.is_public("23.45.67.89")
    assert guard.is_public("2606:4700::1111")


def resolving_to(*addresses):
    turns = iter(addresses)
    return lambda host, port, **kwargs: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in next(turns)]


def test_a_platform_name_that_resolves_inside_is_refused(settings, monkeypatch):
    settings.CRAWL_REPLICA = ""
    monkeypatch.setattr(guard.socket, "getaddrinfo", resolving_to(["23.45.67.89", "10.0.0.1"]))
    with pytest.raises(Refused, match=r"10\.0\.0\.1"):
        guard.addresses("www.tiktok.com", 443)


def test_the_address_that_was_checked_is_the_one_connected_to(settings, monkeypatch):
    """A second look-up that answers otherwise (DNS rebinding) is never made."""
    settings.CRAWL_REPLICA = ""
    asked, connected = [], []
    answers = resolving_to(["23.45.67.89"], ["127.0.0.1"])
    monkeypatch.setattr(guard.socket, "getaddrinfo", lambda *args, **kwargs: asked.append(args) or answers(*args, **kwargs))
    monkeypatch.setattr(
        guard.sockets,
        "create_connection",
        lambda target, *args, **kwargs: connected.append(target) or (_ for _ in ()).throw(OSError("refused")),
    )
    pool = guard.GuardedAdapter().poolmanager.connection_from_url("https://www.tiktok.com/")
    with pytest.raises(guard.NewConnectionError):
        pool._new_conn()._new_conn()
    assert len(asked) == 1
    assert connected == [("23.45.67.89", 443)]


def test_with_a_replica_nothing_else_is_reached(settings):
    settings.CRAWL_REPLICA = "127.0.0.1:8443"
    assert guard.addresses("www.douyin.com", 443) == [("127.0.0.1", 8443)]
    with pytest.raises(Refused):
        guard.check("http://www.douyin.com/")


# --- pages ------------------------------------------------------------------------------------------------------


def test_a_page_comes_with_an_honest_name(client, site):
    site.answer = lambda request: (200, {}, "页面".encode())
    assert client.get(PAGE).text == "页面"
    assert "eMotionsResearchBot" in site.requests[0].headers["User-Agent"]


def test_a_pool_client_has_headers_that_agree(db):
    headers = client_for("tiktok", Manner(user_agent="pool"), seed=3).session.headers
    version = headers["User-Agent"].split("Chrome/")[1].split(".")[0]
    assert f'v="{version}"' in headers["sec-ch-ua"]
    assert headers["User-Agent"] == client_for("tiktok", Manner(user_agent="pool"), seed=3).session.headers["User-Agent"]


COOKIES = """# Netscape HTTP Cookie File
.tiktok.com\tTRUE\t/\tTRUE\t0\tsession\tuntil-closed
#HttpOnly_.www.tiktok.com\tTRUE\t/\tTRUE\t4102444800\tlogin\tsecret-77
.tiktok.com\tTRUE\t/\tTRUE\t1500000000\tstale\tgone
.douyin.com\tTRUE\t/\tTRUE\t0\tother\tdouyin-only
.bank.example\tTRUE\t/\tTRUE\t0\tmoney\tnever
"""


def test_cookies_that_the_site_was_given_go_to_the_hosts_they_name(db, site, tmp_path):
    (tmp_path / "cookies.txt").write_text(COOKIES)
    site.answer = lambda request: (200, {}, b"")
    client_for("tiktok", Manner(delay_s=0, proxy="", cookies=str(tmp_path / "cookies.txt"))).get(PAGE)
    assert {part.strip() for part in site.requests[-1].headers["Cookie"].split(";")} == {"session=until-closed", "login=secret-77"}
    client_for("tiktok", Manner(delay_s=0, proxy="")).get(PAGE)
    assert site.requests[-1].headers["Cookie"] is None


@pytest.mark.parametrize(
    ("text", "told"), [(None, "cannot be read"), ("login=secret-77", "no cookies.txt"), ("\0\udcff", "no cookies.txt")]
)
def test_cookies_that_cannot_be_read_are_not_done_without_and_not_quoted(db, tmp_path, text, told):
    if text is not None:
        (tmp_path / "cookies.txt").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(Unreachable, match=told) as end:
        client_for("tiktok", Manner(cookies=str(tmp_path / "cookies.txt")))
    assert "secret-77" not in str(end.value)


def test_an_unknown_certificate_is_not_trusted(client, site, settings, tmp_path):
    client.session.verify = True
    with pytest.raises(Unreachable, match="SSL"):
        client.get(PAGE)


def test_hurried_away_then_served(client, site):
    answers = iter([(429, {"Retry-After": "0"}, b""), (503, {}, b""), (200, {}, b"ok")])
    site.answer = lambda request: next(answers)
    assert client.get(PAGE).text == "ok"


def test_too_many_refusals_are_unreachable_under_their_name(client, site):
    site.answer = lambda request: (429, {}, b"")
    with pytest.raises(Unreachable) as error:
        client.get(PAGE)
    assert error.value.cause == "rate-limited"
    assert len(site.requests) == 3


def test_retry_after_holds_back_all_workers(client, site):
    site.answer = lambda request: (429, {"Retry-After": "3600"}, b"")
    with pytest.raises(Unreachable) as error:
        client.get(PAGE)
    assert error.value.cause == "rate-limited"
    assert len(site.requests) == 1, "the host must not be asked again within the hour"


def test_a_429_that_names_no_time_holds_back_all_workers_too(db, site):
    site.answer = lambda request: (429, {}, b"")
    impatient = client_for("tiktok", Manner(delay_s=0, backoff_s=120, attempts=1))
    with pytest.raises(Unreachable):
        impatient.get(PAGE)
    assert Host.objects.get(name="www.tiktok.com").next_at > timezone.now() + timedelta(seconds=100)


def test_a_missing_page_is_gone(client, site):
    site.answer = lambda request: (410, {}, b"")
    with pytest.raises(Gone):
        client.get(PAGE)


@pytest.mark.parametrize(
    ("location", "cause"),
    [
        ("https://collector.example.net/x", "off-site-redirect"),
        ("https://www.kuaishou.com/", "off-site-redirect"),
        ("http://127.0.0.1/admin", "off-site-redirect"),
        ("file:///etc/passwd", "off-site-redirect"),
        ("https://www.tiktok.com/login?next=1", "login"),
        (PAGE, "redirect-loop"),
    ],
)
def test_redirects_are_checked_one_by_one(client, site, location, cause):
    site.answer = lambda request: (302, {"Location": location}, b"")
    with pytest.raises(Refused) as refusal:
        client.get(PAGE)
    assert refusal.value.cause == cause


def test_robots_are_asked_before_the_page_and_obeyed(client, site):
    site.robots = "User-agent: *\nDisallow: /@/video/\nAllow: /@/video/1\n"
    site.answer = lambda request: (200, {}, b"ok")
    with pytest.raises(Refused) as refusal:
        client.get(PAGE)
    assert refusal.value.cause == "robots"
    assert site.requests == []


def test_a_stage_may_say_why_it_does_not_obey_robots(db, site):
    site.robots = "User-agent: *\nDisallow: /\n"
    site.answer = lambda request: (200, {}, b"ok")
    assert client_for("tiktok", Manner(delay_s=0, robots_exception="agreed with the platform")).get(PAGE).text == "ok"


@pytest.mark.parametrize("wish", ["noai, noindex", "eMotionsResearchBot: noai", "noindex, NoImageAI", "none", "max-snippet: 3, noindex"])
def test_a_page_that_asks_not_to_be_used_is_left(client, site, wish):
    site.answer = lambda request: (200, {"X-Robots-Tag": wish}, b"ok")
    with pytest.raises(Refused) as refusal:
        client.get(PAGE)
    assert refusal.value.cause == "robots"


def test_what_is_said_to_other_robots_is_not_said_to_us(client, site):
    site.answer = lambda request: (200, {"X-Robots-Tag": "googlebot: noai, noindex"}, b"ok")
    assert client.get(PAGE).text == "ok"
    assert robots.wishes(["otherbot: noai", "nofollow, unavailable_after: 25 Jun 2030"]) == {"nofollow", "unavailable_after: 25 jun 2030"}


def test_a_robots_txt_that_is_kept_out_of_an_index_is_read(client, site):
    site.robots, site.robots_headers = "User-agent: *\nDisallow: /x\n", {"X-Robots-Tag": "noindex"}
    site.answer = lambda request: (200, {}, b"ok")
    assert client.get(PAGE).text == "ok"


META = '<html><head><meta name="robots" content="{wish}"></head><body><script id="SIGI_STATE">{record}</script></body></html>'
RECORD = '{"ItemModule": {"7525082444551310602": {"id": "7525082444551310602", "desc": "joy", "video": {"playAddr": "https://v16.tiktok.com/1"}}}}'


@pytest.mark.parametrize(("wish", "kept"), [("noai", False), ("noindex", False), ("nofollow", True)])
def test_a_post_whose_page_asks_not_to_be_used_fails_under_that_name(db, site, settings, wish, kept):
    site.answer = lambda request: (200, {}, META.format(wish=wish, record=RECORD).encode())
    settings.CRAWL_DELAY_S = 0
    posts = [Video.objects.create(platform="tiktok", platform_id="7525082444551310602", url=PAGE)]
    if kept:
        assert videos.page_of(posts[0]).title == "joy"
        return
    with pytest.raises(Refused, match=wish) as refusal:
        videos.page_of(posts[0])
    assert refusal.value.cause == "robots"
    posts[0].stage = stage_create(name="agreed", robots_exception="agreed with the platform")
    assert videos.page_of(posts[0]).title == "joy"
    assert posts[0].tags == ["robots_disregarded"]


def test_robots_with_signs_that_no_database_takes_are_stored_all_the_same(client, site):
    site.robots, site.answer = "User-agent: *\nDisallow: /private\n\0", lambda request: (200, {}, b"ok")
    assert client.get(PAGE).text == "ok"
    assert "\0" not in Host.objects.get(name="www.tiktok.com").robots


def test_what_the_second_resolver_reads_counts_against_the_days_budget(client, site):
    site.answer = lambda request: (200, {}, b"x" * 5000)
    fetch.resolve(client, PAGE)
    assert Host.objects.get(name="www.tiktok.com").bytes >= 5000


def test_a_page_too_large_is_cut_off(client, site, monkeypatch):
    monkeypatch.setattr("crawler.fetch.client.MAX_PAGE_BYTES", 1000)
    site.answer = lambda request: (200, {}, b"x" * 5000)
    with pytest.raises(Refused) as refusal:
        client.get(PAGE)
    assert refusal.value.cause == "too-large"


def test_a_paused_host_is_not_asked(client, site):
    politeness.pause("www.tiktok.com", "captcha: at tag x", hours=1)
    with pytest.raises(Refused) as refusal:
        client.get(PAGE)
    assert refusal.value.cause == "captcha"


def test_the_days_budget_ends(db):
    manner = {"delay_s": 0, "requests_per_day": 2, "bytes_per_day": 10}
    politeness.slot("www.tiktok.com", **manner)
    politeness.slot("www.tiktok.com", **manner)
    with pytest.raises(Refused) as refusal:
        politeness.slot("www.tiktok.com", **manner)
    assert refusal.value.cause == "budget"


def test_one_clock_for_all_workers(db, monkeypatch):
    slept = []
    monkeypatch.setattr(politeness.time, "sleep", slept.append)
    for _ in range(3):
        politeness.slot("www.tiktok.com", delay_s=2, requests_per_day=100, bytes_per_day=100)
    assert len(slept) == 2
    assert 1.5 < slept[0] < 3.1
    assert 3.5 < slept[1] < 6.1
    assert Host.objects.get(name="www.tiktok.com").requests == 3


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (None, None),
        ("soon", None),
        ("²", None),
        ("9" * 400, 86400.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ],
)
def test_retry_after_as_seconds_or_date(value, seconds):
    assert retry_after(value) == seconds


# --- files ------------------------------------------------------------------------------------------------------


def test_a_file_is_named_after_its_content(client, site, tmp_path):
    site.answer = lambda request: (200, {"Content-Type": "text/plain"}, BODY)
    got = down(client, tmp_path)
    digest = hashlib.sha256(BODY).hexdigest()
    assert (got.name, got.sha256, got.size_bytes) == (f"{digest[:2]}/{digest}.mp4", digest, len(BODY))
    assert (tmp_path / got.name).read_bytes() == BODY
    assert list((tmp_path / "parts").iterdir()) == []
    assert site.requests[0].headers["Referer"] == PAGE


def in_part(request, *, cut_at: int) -> Answer:
    """A server that cuts the line once, and knows Range."""
    wanted = request.headers.get("Range")
    if wanted:
        begin = int(wanted.removeprefix("bytes=").rstrip("-"))
        return 206, {"Content-Range": f"bytes {begin}-{len(BODY) - 1}/{len(BODY)}"}, BODY[begin:]
    return 200, {"Content-Length": str(len(BODY))}, BODY[:cut_at]


def test_a_cut_line_goes_on_where_it_stopped(client, site, tmp_path):
    site.answer = lambda request: in_part(request, cut_at=60_000)
    assert down(client, tmp_path).size_bytes == len(BODY)
    assert site.requests[1].headers["Range"] == "bytes=60000-"


def test_a_killed_download_goes_on_in_the_next_process(client, site, tmp_path):
    site.answer = lambda request: (200, {"Content-Length": str(len(BODY)), "ETag": '"a"'}, BODY[:50_000])
    with pytest.raises(Unreachable):
        fetch.download(client_for("tiktok", Manner(delay_s=0, backoff_s=0, attempts=1)), (FILE,), PAGE, tmp_path, "tiktok-1")
    (tmp_path / "parts").mkdir(exist_ok=True)
    (tmp_path / "parts" / "tiktok-1.part").write_bytes(BODY[:50_000])
    (tmp_path / "parts" / "tiktok-1.json").write_text(f'{{"etag": "\\"a\\"", "total": {len(BODY)}}}')
    site.answer = lambda request: (206, {"Content-Range": f"bytes 50000-{len(BODY) - 1}/{len(BODY)}", "ETag": '"a"'}, BODY[50_000:])
    assert down(client, tmp_path).sha256 == hashlib.sha256(BODY).hexdigest()


def test_the_rest_of_another_file_is_not_appended(client, site, tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "tiktok-1.part").write_bytes(b"x" * 500)
    (tmp_path / "parts" / "tiktok-1.json").write_text('{"etag": "old", "total": 9000}')
    site.answer = lambda request: in_part(request, cut_at=len(BODY))
    assert down(client, tmp_path).sha256 == hashlib.sha256(BODY).hexdigest()


@pytest.mark.parametrize("status", [200, 416])
def test_servers_that_know_no_range(client, site, tmp_path, status):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "tiktok-1.part").write_bytes(BODY[:500])
    (tmp_path / "parts" / "tiktok-1.json").write_text(f'{{"etag": "", "total": {len(BODY)}}}')
    site.answer = lambda request: (status, {}, b"") if status == 416 and request.headers.get("Range") else (200, {}, BODY)
    assert down(client, tmp_path).sha256 == hashlib.sha256(BODY).hexdigest()


@pytest.mark.parametrize(
    ("body", "cause"), [(b"<html><body>sorry</body></html>", "html-body"), (b"", "empty-body"), (b"GIF89a" + b"x" * 50, "wrong-type")]
)
def test_what_is_no_video_is_not_kept(client, site, tmp_path, body, cause):
    site.answer = lambda request: (200, {"Content-Type": "video/mp4"}, body)
    with pytest.raises(Expired) as error:
        down(client, tmp_path)
    assert error.value.cause == cause
    assert list(tmp_path.rglob("*.mp4")) == []


def test_a_body_that_is_always_short_is_never_a_finished_file(client, site, tmp_path):
    site.answer = lambda request: (200, {"Content-Length": str(len(BODY) + 1)}, BODY)
    with pytest.raises(Unreachable) as error:
        down(client, tmp_path)
    assert error.value.cause == "truncated"
    assert list(tmp_path.rglob("*.mp4")) == []


def test_the_second_mirror_serves_when_the_first_is_dead(client, site, tmp_path):
    site.answer = lambda request: (403, {}, b"") if request.path.endswith("/1") else (200, {}, BODY)
    assert down(client, tmp_path, FILE, FILE.replace("/1", "/2")).url.endswith("/2")


def test_expired_everywhere_asks_for_fresh_addresses(client, site, tmp_path):
    site.answer = lambda request: (403, {}, b"")
    with pytest.raises(Expired):
        down(client, tmp_path)


def test_a_file_beyond_all_measure_is_refused(client, site, tmp_path, monkeypatch):
    monkeypatch.setattr("crawler.fetch.downloads.MAX_BYTES", 1000)
    site.answer = lambda request: (200, {}, BODY)
    with pytest.raises(Refused) as refusal:
        down(client, tmp_path)
    assert refusal.value.cause == "too-large"


def test_a_file_that_proves_too_large_leaves_nothing_behind(client, site, tmp_path, monkeypatch):
    monkeypatch.setattr("crawler.fetch.downloads.MAX_BYTES", 50_000)
    site.answer = lambda request: (200, {"Content-Length": str(len(BODY))}, BODY)
    monkeypatch.setattr("crawler.fetch.downloads._extent", lambda response: (0, None))
    with pytest.raises(Refused, match="larger"):
        down(client, tmp_path)
    assert list((tmp_path / "parts").iterdir()) == []


def test_a_full_disk_is_not_taken_for_a_cut_line(client, site, tmp_path):
    site.answer = lambda request: (200, {}, BODY)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "tiktok-1.part").symlink_to("/dev/full")
    with pytest.raises(Away, match="No space left"):
        down(client, tmp_path)
    assert len(site.requests) == 1, "asking again would help nobody"


def test_containers_by_their_first_bytes():
    assert container(BODY[:64]) == ".mp4"
    assert container(b"\x1a\x45\xdf\xa3" + b"x" * 60) == ".webm"
    assert container(b"#EXTM3U\nfile:///etc/passwd") is None


def test_every_outbound_call_goes_through_the_client():
    """No module of the crawler opens a connection of its own."""
    from pathlib import Path

    import crawler

    folder = Path(crawler.__file__).parent
    callers = {path.relative_to(folder).as_posix() for path in folder.rglob("*.py") if any(word in path.read_text() for word in ("urlopen(", "requests.get", "requests.post", "requests.Session", "http.client", "aiohttp", "socket.create_connection"))}  # fmt: skip
    assert callers == {"fetch/client.py", "fetch/named.py", "fetch/second.py"}
