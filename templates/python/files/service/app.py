"""The routes of the service."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

#: The word in front of the name.
GREETING = "{{ greeting }}"

MAX_NAME = 100


@dataclass(frozen=True)
class Answer:
    """What a request is answered with."""

    status: int
    body: dict[str, str]
    headers: dict[str, str] = field(default_factory=dict)


def greet(name: str) -> str:
    """Build the text for a name; nobody in particular is the world."""
    return f"{GREETING}, {name.strip() or 'world'}!"


def route(method: str, target: str) -> Answer:
    """Route one request: `/` greets, `/health` tells that the service is up."""
    url = urlsplit(target)
    if url.path == "/health":
        return Answer(200, {"status": "ok"})
    if url.path != "/":
        return Answer(404, {"error": "not found"})
    if method not in ("GET", "HEAD"):
        return Answer(405, {"error": "method not allowed"}, {"Allow": "GET, HEAD"})
    name = parse_qs(url.query).get("name", [""])[0]
    if len(name) > MAX_NAME:
        return Answer(400, {"error": "name is too long"})
    return Answer(200, {"message": greet(name)})


class Handler(BaseHTTPRequestHandler):
    """Answers with :func:`route`."""

    protocol_version = "HTTP/1.1"
    timeout = 30

    def _answer(self) -> None:
        answer = route(self.command, self.path)
        text = json.dumps(answer.body, ensure_ascii=False).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            # the body is not read, so the connection cannot be used again
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer
