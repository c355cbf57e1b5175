"""A line to a server that a test may cut, and a PostgreSQL that it may crash and bring up elsewhere."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from tests.servers import as_postgres, binary, free_port, wait_for_port

CHUNK = 65536


class Proxy:
    """Passes bytes from its own port to `target`; cut() drops every connection, None as the target refuses new ones."""

    def __init__(self, target: int | None) -> None:
        self.target = target
        self.ends: set[socket.socket] = set()
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.door.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                client, _ = self.door.accept()
                try:
                    if self.target is None:
                        raise ConnectionRefusedError
                    server = socket.create_connection(("127.0.0.1", self.target), timeout=30)
                except OSError:
                    client.close()
                    continue
                server.settimeout(None)
                self.ends |= {client, server}
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                target.sendall(data)
        self._drop(source, target)

    def _drop(self, *ends: socket.socket) -> None:
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
            self.ends.discard(end)

    def cut(self) -> int:
        ends = list(self.ends)
        self._drop(*ends)
        return len(ends) // 2

    def close(self) -> None:
        self.door.close()
        self.cut()


class Postgres:
    """One data folder; started on a new port each time, as the machine that takes over would be."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="emotions-postgres-"))
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        self._run(binary("initdb"), "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8", self._data)
        self.port = 0

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def start(self) -> int:
        self.port = free_port()
        options = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self.folder}"  # with fsync: a crash must lose nothing
        self._run(binary("pg_ctl"), "-D", self._data, "-w", "-l", str(self.folder / "log"), "-o", options, "start")
        wait_for_port(self.port)
        return self.port

    def crash(self) -> None:
        """No goodbye to anybody, no checkpoint."""
        self._run(binary("pg_ctl"), "-D", self._data, "-m", "immediate", "stop")

    def remove(self) -> None:
        subprocess.run([*as_postgres(), binary("pg_ctl"), "-D", self._data, "-m", "immediate", "stop"], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, *command: str) -> None:
        subprocess.run([*as_postgres(), *command], check=True, capture_output=True, cwd=self.folder)
