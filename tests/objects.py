"""A small S3 of the tests' own, in a thread: objects in memory, signatures checked, and it can be told to refuse.

It speaks what this project asks of S3: objects (put, get, head, delete), multipart uploads, listing, buckets.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ACCESS_KEY, SECRET_KEY, REGION = "emotions", "a secret of the tests", "us-east-1"


class Store:
    """What the server holds, and how it behaves: `trouble` is 403, 503, "cut" (the body ends half-way) or None."""

    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, bytes]] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.trouble: int | str | None = None
        self.asked: list[str] = []
        self.spoil = b""  # what reading gives instead, to play a store that lost bytes

    @contextmanager
    def refusing(self, trouble: int | str) -> Iterator[None]:
        self.trouble = trouble
        try:
            yield
        finally:
            self.trouble = None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def answer(self) -> None:
        store, body = self.server.store, self.body()
        parts = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        store.asked.append(f"{self.command} {bucket}/{key}")
        if isinstance(store.trouble, int):
            self.error(store.trouble, {403: "AccessDenied", 503: "SlowDown"}[store.trouble])
        elif not self.signed(parts.query):
            self.error(403, "SignatureDoesNotMatch")
        elif self.command == "PUT" and not key:
            store.buckets.setdefault(bucket, {})
            self.send()
        elif bucket not in store.buckets:
            self.error(404, "NoSuchBucket")
        else:
            getattr(self, f"{self.command.lower()}_key" if key else "of_bucket")(store.buckets[bucket], key, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

    # --- what can be asked ---

    def of_bucket(self, held: dict[str, bytes], key: str, body: bytes) -> None:
        prefix = self.query.get("prefix", "")
        found = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{len(data)}</Size></Contents>"
            for name, data in sorted(held.items())
            if name.startswith(prefix)
        )
        self.send(f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>".encode())

    def get_key(self, held: dict[str, bytes], key: str, body: bytes) -> None:
        if key not in held:
            self.error(404, "NoSuchKey")
            return
        data = self.server.store.spoil or held[key]
        headers = {
            name: self.query[f"response-{name.lower()}"]
            for name in ("Content-Type", "Content-Disposition")
            if f"response-{name.lower()}" in self.query
        }
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if match:
            first, last = int(match[1]), min(int(match[2] or len(data) - 1), len(data) - 1)
            self.send(data[first : last + 1], 206, {**headers, "Content-Range": f"bytes {first}-{last}/{len(data)}"})
        else:
            self.send(data, 200, {**headers, "ETag": f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'})

    head_key = get_key

    def put_key(self, held: dict[str, bytes], key: str, body: bytes) -> None:
        if self.server.store.trouble == "cut":
            self.connection.close()  # the line breaks before the store says yes: it keeps nothing
            return
        if "partNumber" in self.query:
            self.server.store.uploads[self.query["uploadId"]][int(self.query["partNumber"])] = body
        else:
            held[key] = body
        self.send(headers={"ETag": f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'})

    def post_key(self, held: dict[str, bytes], key: str, body: bytes) -> None:
        store = self.server.store
        if "uploads" in self.query:
            number = str(len(store.uploads) + 1)
            store.uploads[number] = {}
            self.send(f"<InitiateMultipartUploadResult><UploadId>{number}</UploadId></InitiateMultipartUploadResult>".encode())
        else:
            parts = store.uploads.pop(self.query["uploadId"])
            held[key] = b"".join(parts[number] for number in sorted(parts))
            self.send(b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")

    def delete_key(self, held: dict[str, bytes], key: str, body: bytes) -> None:
        if "uploadId" in self.query:
            self.server.store.uploads.pop(self.query["uploadId"], None)
        else:
            held.pop(key, None)
        self.send(status=204)

    # --- the wire ---

    def body(self) -> bytes:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "aws-chunked" not in self.headers.get("Content-Encoding", ""):
            return data
        whole, place = b"", 0  # size[;signature] CRLF data CRLF …, then the checksum
        while (end := data.find(b"\r\n", place)) >= 0 and (size := int(data[place:end].partition(b";")[0], 16)):
            whole += data[end + 2 : end + 2 + size]
            place = end + 2 + size + 2
        return whole

    def signed(self, query: str) -> bool:
        """Whether the request was signed with the secret key, as botocore itself computes it."""
        credentials = Credentials(ACCESS_KEY, SECRET_KEY)
        if "X-Amz-Signature" in self.query:
            began = datetime.strptime(self.query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
            plain = "&".join(part for part in query.split("&") if not part.startswith("X-Amz-Signature="))
            request = AWSRequest(
                "GET", f"http://{self.headers['Host']}{urlsplit(self.path).path}?{plain}", headers={"host": self.headers["Host"]}
            )
            request.context["timestamp"] = self.query["X-Amz-Date"]
            signer = S3SigV4QueryAuth(credentials, "s3", REGION)
            given = self.query["X-Amz-Signature"]
            in_time = time.time() < began + int(self.query["X-Amz-Expires"])
        else:
            match = re.search(r"SignedHeaders=([^,]+), ?Signature=(\w+)", self.headers.get("Authorization", ""))
            if match is None:
                return False
            headers = {name: self.headers[name] for name in match[1].split(";")}
            request = AWSRequest(self.command, f"http://{self.headers['Host']}{self.path}", headers=headers)
            request.context["timestamp"] = self.headers["X-Amz-Date"]
            request.context["payload_signing_enabled"] = False
            signer = S3SigV4Auth(credentials, "s3", REGION)
            signer.payload = lambda request: self.headers["X-Amz-Content-SHA256"]  # type: ignore[method-assign]
            given, in_time = match[2], True
        expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        return in_time and expected == given

    def send(self, data: bytes = b"", status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            cut = self.server.store.trouble == "cut"
            self.wfile.write(data[: len(data) // 2] if cut else data)
            if cut:
                self.close_connection = True

    def error(self, status: int, code: str) -> None:
        self.send(f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode(), status)

    def log_message(self, *_: object) -> None:
        """Nothing: the tests look at Store.asked."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, store: Store) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.store = store


@contextmanager
def serving(store: Store, port: int = 0) -> Iterator[str]:
    """The address of a server of this store; the port is closed afterwards."""
    server = Server(port, store)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
