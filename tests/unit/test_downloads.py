"""Downloads from a local server that breaks on purpose."""

import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eraflow.errors import InputError
from eraflow.progress import PlainProgress
from eraflow.sources import downloads
from eraflow.sources.downloads import Remote, brought

NAMES = ("features.json", "train.parquet")


def parquet(seed: int) -> bytes:
    to = io.BytesIO()
    pq.write_table(pa.table({"x": np.random.default_rng(seed).normal(size=300_000)}), to)
    return to.getvalue()


@dataclass
class Server:
    """What the server holds, how its next answers fail, and what it was asked."""

    files: dict[str, bytes]
    faults: list[str] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # name, range
    sent: int = 0
    address: str = ""

    def remote(self) -> Remote:
        return Remote(lambda: list(self.files), lambda name: f"{self.address}/{name}")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(downloads, "WAIT", 0.01)
    monkeypatch.setattr(downloads, "PIECE", 2**16)
    state = Server({"v5.3/features.json": b'{"feature_sets": {}}', "v5.3/train.parquet": parquet(1)})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            content = state.files[name]
            tag = f'"{hash(content)}"'
            wanted = self.headers.get("Range")
            state.asked.append((name, wanted))
            fault = state.faults.pop(0) if state.faults and name.endswith("parquet") else ""
            if fault.isdigit():
                self.send_error(int(fault))
                return
            if self.headers.get("If-None-Match") == tag:
                self.send_response(304)
                self.end_headers()
                return
            begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            resumed = bool(wanted) and self.headers.get("If-Range") == tag
            body = content[begin:] if resumed else content
            if fault == "noise":
                body = b"<html>" * (len(body) // 6)
            self.send_response(206 if resumed else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", tag)
            self.end_headers()
            body = body[: len(body) // 2] if fault == "break" else body
            state.sent += len(body)
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


def bring(server: Server, folder: Path, dataset: str = "v5.3") -> None:
    brought(server.remote(), dataset, NAMES, folder, PlainProgress())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_files_are_brought_once_and_again_when_they_change(server: Server, tmp_path: Path) -> None:
    bring(server, tmp_path)
    assert names(tmp_path) == sorted(NAMES)
    assert (tmp_path / "train.parquet").read_bytes() == server.files["v5.3/train.parquet"]

    sent = server.sent
    bring(server, tmp_path)
    assert server.sent == sent

    server.files["v5.3/train.parquet"] = parquet(2)
    bring(server, tmp_path)
    assert (tmp_path / "train.parquet").read_bytes() == server.files["v5.3/train.parquet"]


def test_a_file_that_was_damaged_here_is_brought_again(server: Server, tmp_path: Path) -> None:
    bring(server, tmp_path)
    whole = (tmp_path / "train.parquet").read_bytes()
    (tmp_path / "train.parquet").write_bytes(whole[: len(whole) // 2])
    bring(server, tmp_path)
    assert (tmp_path / "train.parquet").read_bytes() == whole


def test_a_broken_transfer_goes_on_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.faults = ["break", "503", "break"]
    bring(server, tmp_path)

    size = len(server.files["v5.3/train.parquet"])
    assert (tmp_path / "train.parquet").read_bytes() == server.files["v5.3/train.parquet"]
    begins = [int(wanted[6:-1]) if wanted else 0 for name, wanted in server.asked if name.endswith("parquet")]
    assert begins[0] == 0
    assert size // 2 - downloads.PIECE < begins[1] == begins[2] <= size // 2 < begins[3] < size
    assert server.sent < size + len(server.files["v5.3/features.json"]) + 2 * downloads.PIECE


def test_halves_of_two_versions_are_never_joined(server: Server, tmp_path: Path) -> None:
    server.faults = ["break"] * downloads.ATTEMPTS
    with pytest.raises(InputError, match=r"v5.3/train.parquet could not be downloaded in 6 attempts"):
        bring(server, tmp_path)
    assert names(tmp_path) == ["features.json", "train.parquet.part"]

    server.files["v5.3/train.parquet"] = parquet(3)
    bring(server, tmp_path)
    assert (tmp_path / "train.parquet").read_bytes() == server.files["v5.3/train.parquet"]


def test_what_is_no_parquet_file_never_gets_the_name(server: Server, tmp_path: Path) -> None:
    bring(server, tmp_path)
    before = (tmp_path / "train.parquet").read_bytes()
    server.files["v5.3/train.parquet"] = parquet(4)
    server.faults = ["noise"] * downloads.ATTEMPTS

    with pytest.raises(InputError, match="what came is not readable"):
        bring(server, tmp_path)

    assert (tmp_path / "train.parquet").read_bytes() == before
    assert names(tmp_path) == sorted(NAMES)


def test_what_is_not_there_is_told(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"classic.dataset: v9.9/features.json is not at Numerai; there is v5.3\."):
        bring(server, tmp_path, "v9.9")
    server.faults = ["403"]
    with pytest.raises(InputError, match=r"v5.3/train.parquet: the server answers 403 Forbidden"):
        bring(server, tmp_path)


def test_without_an_answer_the_files_that_are_there_are_used(server: Server, tmp_path: Path) -> None:
    silent = Remote(lambda: {}["data"], server.remote().address)  # type: ignore[index]
    with pytest.raises(InputError, match="Numerai does not answer"):
        brought(silent, "v5.3", NAMES, tmp_path, PlainProgress())

    bring(server, tmp_path)
    brought(silent, "v5.3", NAMES, tmp_path, PlainProgress())
    assert json.loads((tmp_path / "features.json").read_text()) == {"feature_sets": {}}
