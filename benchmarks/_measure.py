"""Runs a command and measures it from outside: wall seconds, and peak memory as the summed PSS of its process tree.

PSS shares a page among the processes that map it, so that forked workers are not counted twice as RSS would.
"""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

INTERVAL = 0.2
GB = 1e9


@dataclass(frozen=True)
class Measured:
    seconds: float
    peak_gb: float
    exit_code: int
    output: str


def measure(command: list[str], log: Path) -> Measured:
    log.parent.mkdir(parents=True, exist_ok=True)
    started, peak = time.monotonic(), 0
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        while process.poll() is None:
            peak = max(peak, sum(map(_pss, _tree(process.pid))))
            time.sleep(INTERVAL)
    return Measured(time.monotonic() - started, peak / GB, process.returncode, log.read_text(errors="replace"))


def _tree(root: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue  # it ended while we looked
            parents.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += parents.get(pid, [])
    return found


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
