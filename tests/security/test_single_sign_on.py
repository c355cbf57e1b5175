"""Signing in through a sign-in server of the house: a small one on this machine stands in for it."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from allauth.mfa.totp.internal.auth import TOTP
from allauth.socialaccount.models import SocialAccount, SocialApp
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from config.models import Event
from config.settings import BASE_DIR
from crawler.fetch import Refused, named_session
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


class Server(ThreadingHTTPServer):
    """Knows one person; `challenge` is what the site sent with the person, `asked` what it then asked for."""

    person: dict = {
        "sub": "1001",
        "email": "ann@lab.example",
        "email_verified": True,
        "preferred_username": "ann.l",
        "picture": "https://x/y",
    }
    audience = "emotions"
    broken = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.host = f"127.0.0.1:{self.server_port}"
        self.issuer = f"http://{self.host}"
        self.challenge = ""
        self.asked: list[str] = []


class Answers(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        issuer = self.server.issuer
        if self.server.broken:
            self._say({"error": "down"}, 503)
        elif self.path == "/userinfo":
            self._say(self.server.person)
        else:
            self._say({"issuer": issuer, "authorization_endpoint": f"{issuer}/authorize", "token_endpoint": f"{issuer}/token", "userinfo_endpoint": f"{issuer}/userinfo", "jwks_uri": f"{issuer}/keys"})  # fmt: skip

    def do_POST(self) -> None:
        self.server.asked.append(self.path)
        sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        verifier = hashlib.sha256(sent["code_verifier"][0].encode()).digest()
        if base64.urlsafe_b64encode(verifier).decode().rstrip("=") != self.server.challenge or sent["client_secret"] != ["s3cret"]:
            return self._say({"error": "invalid_grant"}, 400)
        claims = {**self.server.person, "iss": self.server.issuer, "aud": self.server.audience, "exp": time.time() + 60}
        return self._say({"access_token": "t", "token_type": "bearer", "id_token": jwt.encode(claims, "k" * 32)})

    def _say(self, answer: dict, status: int = 200) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(settings):
    with Server() as there:
        threading.Thread(target=there.serve_forever, daemon=True).start()
        settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = there.issuer, "emotions", "s3cret"
        settings.OIDC_NAME, settings.OIDC_CREATE, settings.OIDC_INNER_HOSTS = "Lab", False, [there.host]
        yield there
        there.shutdown()


def go(server: Server, client: Client, next_page: str = ""):
    """The person leaves for the server, is known there, and comes back."""
    left = client.get(reverse("openid_connect_login") + (f"?next={next_page}" if next_page else ""))
    asked = parse_qs(urlsplit(left.url).query)
    assert left.url.startswith(f"{server.issuer}/authorize?")
    assert asked["code_challenge_method"] == ["S256"]
    server.challenge = asked["code_challenge"][0]
    return client.get(reverse("openid_connect_callback"), {"code": "c", "state": asked["state"][0]})


def is_in(client: Client) -> bool:
    return client.get(reverse("account")).status_code == 200


def test_who_has_an_account_comes_in_and_is_known_from_then_on(server):
    ann = UserFactory(username="ann", email="Ann@lab.example")
    client = Client()
    assert "Sign in with Lab" in client.get(reverse("login")).content.decode()
    assert go(server, client, reverse("account")).url == reverse("account")
    assert is_in(client)
    User.objects.filter(pk=ann.pk).update(email="other@lab.example")
    assert is_in_again(server), "the server's own name for her counts now"
    link = SocialAccount.objects.get()
    assert (link.user, link.uid, link.extra_data) == (ann, "1001", {}), "nothing of the profile is kept"
    assert Event.objects.filter(what="socialaccount.SocialAccount", kind="created").count() == 1
    assert Event.objects.filter(kind="signed_in", who="ann").count() == 2


def is_in_again(server: Server) -> bool:
    client = Client()
    go(server, client)
    return is_in(client)


def refused(server: Server) -> str:
    client = Client()
    answer = go(server, client)
    assert answer.url == reverse("login")
    assert not is_in(client)
    return client.get(reverse("login")).content.decode()


def test_who_has_none_is_refused_and_no_account_is_made(server):
    assert "This site has no account for you" in refused(server)
    assert not User.objects.exists()
    assert Event.objects.filter(kind="sign_in_failed").exists()


def test_an_address_that_the_server_did_not_verify_opens_nothing(server):
    UserFactory(email="ann@lab.example")
    server.person = {**Server.person, "email_verified": False}
    refused(server)
    server.person = {**Server.person, "email_verified": "false"}
    refused(server)


def test_an_address_that_two_accounts_have_opens_neither(server, settings):
    UserFactory(username="a", email="ann@lab.example")
    UserFactory(username="b", email="ann@lab.example")
    refused(server)
    settings.OIDC_CREATE = True
    refused(server)
    assert User.objects.count() == 2


def test_a_closed_account_stays_closed(server):
    ann = UserFactory(email="ann@lab.example")
    User.objects.filter(pk=ann.pk).update(is_active=False)
    refused(server)


def test_where_accounts_may_be_made_the_new_one_has_no_role(server, settings):
    settings.OIDC_CREATE = True
    client = Client()
    go(server, client)
    assert is_in(client)
    made = User.objects.get()
    assert (made.username, made.email, made.has_usable_password(), made.is_staff) == ("ann.l", "ann@lab.example", False, False)
    assert not made.get_all_permissions()
    assert client.get(reverse("status")).status_code == 403
    assert client.get(reverse("home")).status_code == 200


def test_the_second_factor_is_asked_for_here_too(server):
    ann = UserFactory(username="ann", email="ann@lab.example")
    TOTP.activate(ann, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    client = Client()
    assert go(server, client).url == reverse("mfa_authenticate")
    assert not is_in(client)


def test_a_state_that_the_site_did_not_give_is_refused(server):
    UserFactory(email="ann@lab.example")
    client = Client()
    assert client.get(reverse("openid_connect_callback"), {"code": "c", "state": "made-up"}).url == reverse("login")
    assert "/token" not in server.asked


def test_a_token_for_another_site_is_refused(server):
    UserFactory(email="ann@lab.example")
    server.audience = "another"
    assert "did not work" in refused(server)


def test_a_server_that_is_down_is_said_so(server):
    server.broken = True
    client = Client()
    assert client.get(reverse("openid_connect_login")).url == reverse("login")
    assert "does not answer" in client.get(reverse("login")).content.decode()


def test_it_is_off_unless_the_environment_names_a_server():
    SocialApp.objects.create(provider="openid_connect", provider_id="house", client_id="x", settings={"server_url": "http://127.0.0.1:1"})
    client = Client()
    assert client.get(reverse("openid_connect_login")).status_code == 404
    assert client.get(reverse("openid_connect_callback")).status_code == 404
    assert "Sign in with" not in client.get(reverse("login")).content.decode()


def test_requests_to_it_pass_the_gate(server, settings):
    settings.OIDC_INNER_HOSTS = []
    client = Client()
    assert client.get(reverse("openid_connect_login")).url == reverse("login")
    assert server.asked == []
    with pytest.raises(Refused):
        named_session([]).get("https://169.254.169.254/latest/")


@pytest.mark.parametrize("missing", ["OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET"])
def test_half_a_setting_is_refused_at_the_start(missing, tmp_path):
    values = {"OIDC_ISSUER": "https://id.example", "OIDC_CLIENT_ID": "x", "OIDC_CLIENT_SECRET": "y", missing: ""}
    environment = {"PATH": "/usr/bin:/bin", "EMOTIONS_VAR": str(tmp_path), **values}
    done = subprocess.run([sys.executable, "-c", "import config.settings"], env=environment, cwd=BASE_DIR, capture_output=True, text=True, check=False)  # fmt: skip
    assert "must be set together" in done.stderr


def test_nobody_is_joined_to_the_account_that_happens_to_be_signed_in(server, settings):
    """allauth's process=connect, by a link that a stranger sends: who is signed in there would own the account here."""
    settings.OIDC_CREATE = True
    bob = UserFactory(username="bob", email="bob@lab.example")
    client = Client()
    client.force_login(bob)
    assert client.get(reverse("openid_connect_login"), {"process": "connect"}).status_code == 404
    assert not SocialAccount.objects.exists()


def test_an_address_that_nobody_verified_is_not_kept_for_its_owner_to_fall_into(server, settings):
    settings.OIDC_CREATE = True
    server.person = {**Server.person, "sub": "666", "email_verified": False}
    stranger = Client()
    go(server, stranger)
    assert is_in(stranger)
    assert User.objects.get().email == ""
    server.person = {**Server.person, "preferred_username": "ann"}
    go(server, Client())
    assert {link.user.username for link in SocialAccount.objects.filter(uid="1001")} == {"ann"}, "an account of her own"
    assert SocialAccount.objects.get(uid="666").user.username != "ann"
