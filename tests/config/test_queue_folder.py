"""The embedded broker: a folder of messages, each there whole or not at all."""

import threading
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection

from config import celery


@pytest.fixture
def channel(tmp_path):
    folder = str(tmp_path)
    options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder, "processed_folder": folder}
    with Connection("filesystem://", transport_options=options) as connection:
        yield connection.channel()


def test_a_message_is_not_seen_before_it_is_written(channel, tmp_path, monkeypatch):
    seen, write = [], Path.write_text
    monkeypatch.setattr(
        Path, "write_text", lambda path, text, **more: (write(path, text[:3]), seen.append(channel._size("crawl")), write(path, text))[2]
    )
    channel._put("crawl", {"body": "x"})
    assert seen == [0]
    assert channel._size("crawl") == 1
    assert channel._get("crawl") == {"body": "x"}
    assert list(tmp_path.iterdir()) == []


def test_no_message_is_lost_or_read_in_half_beside_its_writers(channel):
    writers = [threading.Thread(target=lambda: [channel._put("crawl", {"body": "x" * 5000}) for _ in range(100)]) for _ in range(2)]
    for writer in writers:
        writer.start()
    found = []
    while any(writer.is_alive() for writer in writers) or channel._size("crawl"):
        try:
            found.append(len(channel._get("crawl")["body"]))
        except Empty:
            continue
    assert found == [5000] * 200


def test_it_is_what_the_site_uses():
    assert isinstance(Connection("filesystem://").transport, celery.FolderTransport)
