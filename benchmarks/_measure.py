"""What benchmarks share: a command measured from outside, and the real prices where this machine has them.

Measured are wall seconds, and peak memory as the summed PSS of the command's process tree. PSS shares a page among the
processes that map it, so that forked workers are not counted twice as RSS would.
"""

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

INTERVAL = 0.2
GB = 1e9


def real_prices() -> Path:
    """The file of real daily prices; where it is absent the benchmark ends and says what to set."""
    beside = Path(__file__).parents[2] / "shared/data"
    prices = Path(os.environ.get("ERAFLOW_REAL_DATA", beside)) / "sp500_daily_1999_2018.parquet"
    if not prices.is_file():
        print(f"no {prices}: set ERAFLOW_REAL_DATA to the folder that holds it")
        raise SystemExit(2)
    return prices


@dataclass(frozen=True)
class Measured:
    seconds: float
    peak_gb: float
    exit_code: int
    output: str
    over_limit: bool = False
    processor_seconds: float = 0.0  # of the process tree, when it was last looked at


def measure(command: list[str], log: Path, limit_gb: float | None = None, interval: float = INTERVAL) -> Measured:
    """What the command took. Once its tree holds more than `limit_gb` it is killed, and `over_limit` says so.

    Memory is looked at every `interval` seconds; each look at a large tree costs some hundredths of one. The limit is
    below the machine's memory, so that not the kernel chooses whom to kill.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    spent = 0.0
    started, peak, over_limit = time.monotonic(), 0, False
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        while process.poll() is None:
            tree = _tree(process.pid)
            peak = max(peak, sum(map(_pss, tree)))
            spent = max(spent, _processor_seconds(tree))
            if limit_gb is not None and peak > limit_gb * GB:
                over_limit = True
                _kill(tree)
                process.wait()
                break
            time.sleep(interval)
    seconds, output = time.monotonic() - started, log.read_text(errors="replace")
    return Measured(seconds, peak / GB, process.returncode, output, over_limit, spent)


def processor_seconds(root: int | None = None) -> float:
    """What a process and its descendants have spent on processors so far, those that ended and were waited for too."""
    return _processor_seconds(_tree(root or os.getpid()))


def _processor_seconds(tree: list[int]) -> float:
    ticks = 0
    for pid in tree:
        with suppress(OSError, IndexError):  # it ended while we looked
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _kill(tree: list[int]) -> None:
    for pid in tree:  # the root first, so that it starts no child anew
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


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
