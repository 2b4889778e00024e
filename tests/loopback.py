# SPDX-License-Identifier: Apache-2.0
"""A server on the loopback interface that answers as told: wrong bytes, too few, errors, or slowly."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """One response. After `sent` bytes of body the connection breaks, or waits for `resume` and goes on."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    sent: int | None = None
    resume: threading.Event | None = None


@dataclass
class Loopback:
    """The server's address, its answers by path, and the requests it got as "METHOD /path"."""

    url: str
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def serve(self, path: str, answer: Answer) -> str:
        self.answers[path] = answer
        return self.url + path

    def serve_hub_file(self, repo: str, file: str, answer: Answer) -> None:
        digest = hashlib.sha256(answer.body).hexdigest()
        answer.headers |= {"ETag": f'"{digest}"', "X-Repo-Commit": "a" * 40}
        self.serve(f"/{repo}/resolve/main/{file}", answer)

    def serve_npm_package(self, name: str, version: str, tarball: Answer) -> None:
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(tarball.body).digest()).decode()
        url = self.serve(f"/{name}/-/{name}-{version}.tgz", tarball)
        entry = {"name": name, "version": version, "dist": {"tarball": url, "integrity": integrity}}
        index = {"name": name, "dist-tags": {"latest": version}, "versions": {version: entry}}
        self.serve(f"/{name}", Answer(json.dumps(index).encode(), headers={"Content-Type": "application/json"}))


@contextmanager
def loopback() -> Iterator[Loopback]:
    """Run a server for the length of the context."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            server.requests.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = server.answers.get(self.path.partition("?")[0], Answer(status=404))
            self.close_connection = True
            try:
                self.send_response(answer.status)
                for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                    self.send_header(name, value)
                self.send_header("Connection", "close")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body[: answer.sent])
                    if answer.resume is not None:
                        self.wfile.flush()
                        answer.resume.wait(60)
                        self.wfile.write(answer.body[answer.sent :])
            except OSError:
                return  # the client was killed, as some tests want

        do_GET = do_HEAD = do_POST = _answer  # noqa: N815 - the base class names them

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = Loopback(f"http://127.0.0.1:{http.server_address[1]}")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            for answer in server.answers.values():
                if answer.resume is not None:
                    answer.resume.set()
            http.shutdown()
            thread.join()
