"""A round at the stand-in, and runs that have predicted it, written as `jobs/predict.py` writes them."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from eraflow.config import Config, load
from eraflow.config.submit import Submit
from eraflow.outcome import Outcome
from eraflow.pipeline.submitting import handled
from eraflow.progress import PlainProgress
from eraflow.rounds.predicted import ids_hash
from eraflow.rounds.sending import World, nothing_more
from eraflow.rounds.standin import StandIn, served

NUMBER, OPENS = 1100, datetime(2026, 12, 1, 12, tzinfo=UTC)
CLOSES = OPENS + timedelta(hours=1)
DATE = "2026-11-30"
ROWS = 150
CLASSIC, SIGNALS = "classic", "signals"
SLOT = {CLASSIC: "ours", SIGNALS: "ours_signals"}
KIND = {CLASSIC: 8, SIGNALS: 11}


class Killed(BaseException):
    """As a kill, no `except Exception` catches it."""


@cache
def base() -> Config:
    """Reading it takes longer than a whole round."""
    return load([], [])


@dataclass
class Clock:
    now: datetime = OPENS + timedelta(minutes=5)

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def names(tournament: str, number: int = NUMBER) -> list[str]:
    if tournament == CLASSIC:
        return [f"n{hashlib.sha256(f'{number}/{row}'.encode()).hexdigest()[:15]}" for row in range(ROWS)]
    return [f"T{row:03} US" for row in range(ROWS)]


def frame(tournament: str, number: int = NUMBER, seed: int = 1) -> pd.DataFrame:
    """Predictions that resemble the examples of `write_live`."""
    base, noise = np.random.default_rng(0).permutation(ROWS), np.random.default_rng(seed).normal(size=ROWS)
    ranks = pd.Series(base + 20 * noise).rank()
    columns = ("id", "prediction") if tournament == CLASSIC else ("numerai_ticker", "signal")
    made = pd.DataFrame({columns[0]: names(tournament, number), columns[1]: (ranks - 0.5) / ROWS})
    return made.sort_values(columns[0], ignore_index=True)


def write_live(folder: Path, number: int = NUMBER) -> dict[str, Path]:
    """The live files of both tournaments, by the names that Numerai gives them."""
    folder.mkdir(parents=True, exist_ok=True)
    base = np.random.default_rng(0).permutation(ROWS) / ROWS
    ids = pd.Index(names(CLASSIC, number), name="id")
    files = {name: folder / name.replace("/", "-") for name in (
        "v5.3/features.json", "v5.3/live.parquet", "v5.3/live_example_preds.parquet",
        "v5.3/live_benchmark_models.parquet", "signals/v2.1/live.parquet",
    )}  # fmt: skip
    files["v5.3/features.json"].write_text(json.dumps({"feature_sets": {"small": ["feature_a"]}, "targets": []}))
    pd.DataFrame({"era": "X", "feature_a": 2}, index=ids).to_parquet(files["v5.3/live.parquet"])
    pd.DataFrame({"prediction": base}, index=ids).to_parquet(files["v5.3/live_example_preds.parquet"])
    pd.DataFrame({"era": "X", "v53_lgbm": base**2}, index=ids).to_parquet(files["v5.3/live_benchmark_models.parquet"])
    tickers, draw = names(SIGNALS), np.random.default_rng(3).normal(size=(2, ROWS))
    pd.DataFrame({
        "numerai_ticker": tickers, "composite_figi": [f"BBG{row:03}" for row in range(ROWS)], "date": DATE,
        "feature_value_factor": draw[0], "feature_momentum_12w_factor": draw[1],
    }).to_parquet(files["signals/v2.1/live.parquet"], index=False)  # fmt: skip
    return files


def write_manifest(run: Path, config: Config, submission: str | None = None) -> None:
    """What a finished run says of its settings."""
    identity = {"config": {"run": {"submission": submission or config.submission}}}
    manifest = {"config": config.resolved(), "identity": identity, "tables": {}}
    (run / "run.json").write_text(json.dumps(manifest, sort_keys=True))


def write_run(runs: Path, name: str, source: str) -> None:
    """A finished run, as far as a round asks for it."""
    (runs / name).mkdir(parents=True)
    overlay = {"classic": "classic.yml", "prices": "signals.yml"}.get(source, "demo.yml")
    write_manifest(runs / name, load([overlay], [f"source={source}", "classic.dataset=v5.3"]))


def write_predicted(
    runs: Path, run: str, tournament: str, predictions: Mapping[str, pd.DataFrame], number: int = NUMBER, **changes: Any
) -> Path:
    """`<run>/rounds/<date>/` in the shape that predict and submit have agreed on; `changes` win in its manifest."""
    folder = runs / run / "rounds" / changes.get("date", DATE)
    (folder / "predictions").mkdir(parents=True, exist_ok=True)
    facts = {}
    for name, made in predictions.items():
        content = made.to_csv(index=False).encode()
        (folder / f"predictions/{name}.csv").write_bytes(content)
        facts[name] = {"file": f"predictions/{name}.csv", "sha256": hashlib.sha256(content).hexdigest(),
                       "rows": len(made), "model_sha256": "0"}  # fmt: skip
    manifest = {
        "format": 1, "run": run, "tournament": tournament, "round": number, "date": DATE, "invented": False,
        "live": {"era": 1300, "rows": ROWS, "ids_sha256": ids_hash(names(tournament, number)), "file_sha256": None},
        "features_hash": "0", "data_version": "v5.3" if tournament == CLASSIC else None, "predictions": facts,
        "submission": next(iter(predictions)), "bands": {}, "software": {}, "made_at": "2026-12-01T12:04:00+00:00",
    } | changes  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@dataclass
class Scene:
    """The stand-in with an open round of each tournament, a run for each, and a clock that both sides see."""

    folder: Path
    state: StandIn
    clock: Clock
    models: dict[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def ledger(self) -> Path:
        return self.folder / "rounds/ledger.jsonl"

    def config(self, tournaments: Sequence[str], *settings: str) -> Config:
        submit = base().submit.model_dump() | {
            "dir": f"{self.folder}/rounds", "api": self.state.address, "timeout": 5.0, "pause": 1.0, "margin": 30.0,
            "slots": {SLOT[each]: {"run": each} for each in tournaments},
        }  # fmt: skip
        for setting in settings:
            key, _, value = setting.partition("=")
            submit[key.removeprefix("submit.")] = yaml.safe_load(value)
        run = base().run.model_copy(update={"dir": str(self.runs)})
        return base().model_copy(update={"run": run, "submit": Submit.model_validate(submit)})

    def call(
        self, tournament: str, *settings: str, send: bool = True, at: Callable[[str], None] = nothing_more, **more: Any
    ) -> Outcome:
        config = self.config([tournament], *settings)
        return handled(config, PlainProgress(), send, world=World(lambda: self.clock.now, self.clock.sleep, at), **more)

    def held(self, tournament: str) -> list[tuple[int, bytes | None]]:
        """Round and content of all that the server has."""
        submissions = self.state.of_model(self.models[tournament])
        return [(one["round"]["number"], one["content"]) for one in submissions]

    def content(self, tournament: str) -> bytes:
        return frame(tournament).to_csv(index=False).encode()

    def events(self) -> list[str]:
        if not self.ledger.exists():
            return []
        return [json.loads(line)["event"] for line in self.ledger.read_text().splitlines() if line.startswith("{")]

    def asked(self, name: str) -> int:
        return sum(asked == name for asked, _, _ in self.state.asked)


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    clock = Clock()
    state = StandIn(now=lambda: clock.now)
    state.files |= write_live(folder / "live")
    made = Scene(folder, state, clock)
    for tournament in (CLASSIC, SIGNALS):
        data_date = DATE if tournament == SIGNALS else None
        state.add_round(tournament, NUMBER, OPENS, CLOSES, data_date)
        state.universes[KIND[tournament], NUMBER] = frozenset(names(tournament))
        made.models[tournament] = state.add_model(tournament, SLOT[tournament])
        write_run(made.runs, tournament, "classic" if tournament == CLASSIC else "prices")
        write_predicted(made.runs, tournament, tournament, {"lightgbm": frame(tournament)})
    with served(state):
        yield made


def killing(point: str) -> Callable[[str], None]:
    """Kills at a point, the first time that it is passed."""

    def at(passed: str) -> None:
        if passed == point:
            raise Killed(point)

    return at


@dataclass
class Halted:
    """A call in a thread of its own that stands still at a point until it is let go, or killed."""

    point: str
    run: Callable[[Callable[[str], None]], Outcome]
    reached: threading.Event = field(default_factory=threading.Event)
    freed: threading.Event = field(default_factory=threading.Event)
    dies: bool = False
    outcome: Outcome | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        assert self.reached.wait(20), f"{self.point} was never passed"

    def end(self, dies: bool) -> None:
        self.dies = dies
        self.freed.set()
        self._thread.join()

    def _work(self) -> None:
        with suppress(Killed):
            self.outcome = self.run(self._at)

    def _at(self, passed: str) -> None:
        if passed == self.point and not self.reached.is_set():
            self.reached.set()
            self.freed.wait(20)
            if self.dies:
                raise Killed(passed)


def holding(folder: Path, *needles: str) -> list[Path]:
    """The files below a folder, whatever they are, in which one of the words stands."""
    words = [needle.encode() for needle in needles]
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if any(word in path.read_bytes() for word in words)]
