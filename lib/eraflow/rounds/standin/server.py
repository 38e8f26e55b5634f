"""The stand-in's HTTP: GraphQL by POST, uploads by PUT, files by GET; on loopback only."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

from eraflow.rounds.credentials import STAND_IN
from eraflow.rounds.standin.faults import Fault
from eraflow.rounds.standin.graphql import QueryError, answered, fields
from eraflow.rounds.standin.state import StandIn

HOST = "127.0.0.1"
KEY = f"Token {STAND_IN.public_id}${STAND_IN.secret_key}"


class _Server(ThreadingHTTPServer):
    """The state, and how often each field was asked for in a minute."""

    daemon_threads = True  # one that is silent on purpose holds nobody up

    def __init__(self, state: StandIn, port: int) -> None:
        super().__init__((HOST, port), _Handler)
        self.state, self.counted = state, Counter[tuple[str, int]]()
        state.address = f"http://{HOST}:{self.server_address[1]}"


@contextmanager
def served(state: StandIn, port: int = 0) -> Iterator[None]:
    """Serves the state on a port of loopback (0: a free one) for as long as the block runs; it knows its address."""
    http = _Server(state, port)
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    @property
    def state(self) -> StandIn:
        return self.server.state

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        authorized = self.headers.get("Authorization") == KEY
        try:
            asked = fields(body.get("query", ""), body.get("variables"))
        except QueryError as error:
            self._json({"errors": [{"message": str(error)}]})
            return
        name = asked[0].name
        with self.state.lock:
            self.state.asked.append((name, dict(asked[0].arguments), authorized))
            minute = (name, int(time.monotonic() // 60))
            self.server.counted[minute] += 1
            is_over = name in self.state.limits and self.server.counted[minute] > self.state.limits[name]
        if is_over:
            self._status(429)
            return
        fault = self.state.faults.next(name)
        if fault and not self._before(fault, asked[0].asked):
            return
        try:
            data = answered(body["query"], body.get("variables"), lambda one: self.state.resolve(one, authorized))
        except QueryError as error:
            self._json({"errors": [{"message": str(error)}]})
            return
        if fault is None or self._after(fault):
            self._json({"data": data})

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        name = unquote(urlsplit(self.path).path).rpartition("/")[2]
        fault = self.state.faults.next("PUT")
        with self.state.lock:
            self.state.asked.append(("PUT", {"name": name, "bytes": len(content)}, False))
        if fault and not self._before(fault, "PUT"):
            return
        kept = content[: len(content) // 2] if fault and fault.kind == "half" else content
        if not (fault and fault.kind == "lose"):
            with self.state.lock:
                self.state.uploads[name] = kept
        if fault is None or self._after(fault):
            self._bytes(b"", {} if fault else {"ETag": f'"{_md5(kept)}"'})

    def do_GET(self) -> None:
        kind, _, name = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        fault = self.state.faults.next("GET")
        with self.state.lock:
            self.state.asked.append(("GET", {"name": f"{kind}/{name}"}, False))
        if fault and not self._before(fault, "GET"):
            return
        content = self._content(kind, name)
        if content is None:
            self._status(404)
            return
        if fault is None or self._after(fault):
            self._file(content, cut=fault is not None and fault.kind == "half")

    def _content(self, kind: str, name: str) -> bytes | None:
        with self.state.lock:
            if kind == "data" and name in self.state.files:
                return self.state.files[name].read_bytes()
            found = [one["content"] for one in self.state.submissions if kind == "submission" and one["id"] == name]
        return found[0] if found else None

    def _file(self, content: bytes, cut: bool) -> None:
        """A file with its tag, or the rest of it."""
        tag = f'"{_md5(content)}"'
        if self.headers.get("If-None-Match") == tag:
            self._status(304)
            return
        begins = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        partly = begins is not None and self.headers.get("If-Range", tag) == tag
        body = content[int(begins[1]) :] if begins and partly else content
        self.send_response(206 if partly else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)

    def _before(self, fault: Fault, asked: str) -> bool:
        """Does what a fault does before the request is acted upon; returns whether it is."""
        if fault.kind == "slow":
            time.sleep(fault.seconds)
        elif fault.kind == "break":
            self._break()
        elif fault.kind == "status":
            self._status(fault.status)
        elif fault.kind == "errors":
            self._json({"errors": [{"message": fault.message}]})
        elif fault.kind == "null":
            self._json({"data": {asked: None}})
        elif fault.kind == "noise":
            self._bytes(b"<html>", {})
        return fault.acts or fault.kind in ("lose", "half")

    def _after(self, fault: Fault) -> bool:
        """Does what a fault does once the request was acted upon; returns whether the answer is given."""
        if fault.kind == "act-then-hang":
            time.sleep(fault.seconds)
            self._break()
        elif fault.kind == "act-then-break":
            self._break()
        elif fault.kind == "act-then-status":
            self._status(fault.status)
        return not fault.kind.startswith("act-then")

    def _break(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _status(self, status: int) -> None:
        self._bytes(b"", {}, status)

    def _json(self, content: Any) -> None:
        body = json.dumps(content, default=str).encode()
        self._bytes(body, {"Content-Type": "application/json"})

    def _bytes(self, body: bytes, headers: dict[str, str], status: int = 200) -> None:
        with suppress(OSError):  # the client may have gone
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: what was asked is in the self.state."""


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
