"""What `jobs/submit.py` does: for each slot the run's prediction of the open round is found, checked and sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from eraflow.causes import first_line, refusal
from eraflow.config import Config
from eraflow.config.submit import Slot
from eraflow.errors import InputError
from eraflow.locks import BusyError, locked
from eraflow.monitoring.champions import run_of
from eraflow.outcome import Code, Outcome, together
from eraflow.pipeline.finished import settings_of
from eraflow.pipeline.live import FINAL
from eraflow.pipeline.watching import Watch, Watched
from eraflow.progress import Progress
from eraflow.rounds.api import CLASSIC, SIGNALS, Numerai, numerai
from eraflow.rounds.calendar import Round, Stage
from eraflow.rounds.credentials import STAND_IN, Credentials, credentials, environment
from eraflow.rounds.ledger import Event, Ledger
from eraflow.rounds.live import LiveFiles, bring
from eraflow.rounds.predicted import Predicted
from eraflow.rounds.scores import COMPARED, SCORES, Scores
from eraflow.rounds.sending import Parcel, Rules, Sending, World
from eraflow.rounds.slots import Checked, Desk
from eraflow.rounds.smoothing import limits
from eraflow.rounds.trouble import RefusedError, UnreachableError
from eraflow.rounds.webhook import tell
from eraflow.session import local_path

Predict = Callable[[str, LiveFiles], None]  # a run predicts a round's live rows
Ask = Callable[[str, Predicted], Watched]  # the monitor, of what a slot's run has predicted


def submit(_: object, config: Config, progress: Progress, send: bool, slots: Sequence[str] | None = None) -> Outcome:
    """What `handled` does, of rounds that runs have predicted already; no Spark is started."""
    return handled(config, progress, send, slots, ask=Watch(config, progress))


def scores(_: object, config: Config, progress: Progress) -> Outcome:
    """Scores of resolved rounds into a table; beside ours where Classic's validation.parquet has their rows by now."""
    rules, folder = config.submit, local_path(config.submit.dir, "submit.dir")
    tables = Scores(Ledger(folder))
    wanted = {tournament for tournament, _ in tables.models()}
    if not wanted:
        return Outcome(Code.NOTHING_TO_DO, (f"{tables.ledger.path}: nothing was sent yet",))
    progress.stage("asking Numerai for scores")
    clients = {tournament: numerai(tournament, None, rules.api, rules.timeout) for tournament in wanted}
    found, faults = tables.fetch(clients)
    lines = [f"{slot}: Numerai gives no scores ({why}); the same command tries again" for slot, why in faults.items()]
    lines += [f"{len(found):,} scores of {found['round'].nunique()} rounds: {folder / SCORES}"]
    validation = local_path(config.classic.path, "classic.path") / "validation.parquet" if config.classic.path else None
    if validation is not None and validation.exists():
        both = tables.compare(found, validation, config.classic.paid_target)
        apart = f", at most {both['difference'].abs().max():.2g} apart" if len(both) else ""
        lines.append(f"{len(both)} of them scored here too{apart}: {folder / COMPARED}")
    return Outcome(Code.FAILED if faults else Code.DONE, tuple(lines))


def handled(
    config: Config,
    progress: Progress,
    send: bool,
    slots: Sequence[str] | None = None,
    predict: Predict | None = None,
    world: World | None = None,
    ask: Ask | None = None,
) -> Outcome:
    """Checks, and with `send` sends, what the slots name; those of conf, or some of them by name.

    With `predict` a run that has not predicted the open round is made to, and with `ask` the monitor may block a slot.
    A slot that fails costs only itself.
    InputError, before anything is done: no such slots, no key to send with.
    """
    desk = _Call(config, progress, send, chosen(config, slots), predict, world or World(), ask)
    try:
        with locked(desk.folder, "submit.dir"):
            found = desk.outcome()
    except BusyError:
        return Outcome(Code.NOTHING_TO_DO, (f"another call is at work below {desk.folder}",))
    if send and config.submit.webhook and _is_news(desk, found):
        if fault := tell(config.submit.webhook, found, environment()):
            progress.note(fault)
        elif found.code == Code.BLOCKED:
            desk.books.add(Event.NOTIFIED, desk.world.now(), lines=_facts(found))
    return found


def _is_news(desk: _Call, found: Outcome) -> bool:
    """Whether somebody is to hear of it: what is blocked stays so call after call, and is told once."""
    heard = [line["lines"] for line in desk.books.lines() if line["event"] == Event.NOTIFIED]
    is_repeated = found.code == Code.BLOCKED and heard[-1:] == [_facts(found)]
    return found.code != Code.NOTHING_TO_DO and not is_repeated


def _facts(found: Outcome) -> list[str]:
    """What became of each slot, without the figures of its checks."""
    return [line for line in found.lines if not line.startswith(" ")]


def chosen(config: Config, names: Sequence[str] | None) -> Mapping[str, Slot]:
    """The slots of conf, or those of these names. InputError: there are none."""
    slots = config.submit.slots
    if not slots:
        raise InputError(
            "submit.slots names none; say which model gets what, e.g. {MODEL: {run: classic}}, in a file for --config."
        )
    if unknown := [name for name in names or () if name not in slots]:
        raise InputError(f"--slots {unknown[0]}: submit.slots has no such slot; it has {', '.join(slots)}.")
    return {name: slots[name] for name in names or slots}


def of_champions(base: Path, slot: Slot) -> Slot:
    """The slot with the runs that its champions are now. InputError: there is no such champion."""
    runs = {"run": slot.run, "predecessor": slot.predecessor}
    return slot.model_copy(update={key: name and run_of(base, name) for key, name in runs.items()})


@dataclass(frozen=True)
class _Trained:
    """What a round asks of a finished run."""

    tournament: str
    dataset: str | None  # Classic's data version


@dataclass(frozen=True)
class _Call:
    """One call of the job."""

    config: Config
    progress: Progress
    send: bool
    slots: Mapping[str, Slot]
    predict: Predict | None
    world: World
    ask: Ask | None

    @cached_property
    def folder(self) -> Path:
        return local_path(self.config.submit.dir, "submit.dir")

    @cached_property
    def runs(self) -> Path:
        return local_path(self.config.run.dir, "run.dir")

    def outcome(self) -> Outcome:
        """Of all slots, tournament by tournament."""
        key = self._key()
        by_tournament: dict[str, dict[str, Slot]] = {CLASSIC: {}, SIGNALS: {}}
        version = self.config.classic.dataset  # without one, that which the first run of a slot was made from
        outcomes = []
        for name, asked in self.slots.items():
            try:
                slot = of_champions(self.runs, asked)
                trained = self._trained(slot)
            except InputError as error:
                outcomes.append(_blocked(name, error))
                continue
            by_tournament[trained.tournament][name] = slot
            version = version or trained.dataset
        for tournament, slots in by_tournament.items():
            if slots:
                part = partial(self._of_tournament, tournament, slots, version, key)
                outcomes.append(self._guarded(tournament, part))
        return together(outcomes)

    def _key(self) -> Credentials | None:
        """Nobody's for the stand-in; the account's only to send."""
        if self.config.submit.api is not None:
            return STAND_IN
        return credentials(self.config.submit.credentials, environment()) if self.send else None

    def _trained(self, slot: Slot) -> _Trained:
        """What a slot's run is. InputError: not finished, of another version, or of invented data for Numerai."""
        _, config = settings_of(self.runs, slot.run, "submit.slots: run")
        try:
            models = (self.runs / slot.run / "models").glob(f"*/{FINAL}/model.json")
            saved = [json.loads(model.read_text(encoding="utf-8")).get("data", {}) for model in models]
            is_invented = "synthetic" in config.source or any(data.get("invented") for data in saved)
        except (OSError, ValueError, AttributeError):
            raise InputError(f"a model.json of run {slot.run} cannot be read; train the run anew.") from None
        if is_invented and self.config.submit.api is None:
            raise InputError(f"run {slot.run} learned from invented data; its predictions are never sent to Numerai.")
        return _Trained(CLASSIC if config.is_classic else SIGNALS, config.classic.dataset)

    def _guarded(self, what: str, part: Callable[[], Outcome]) -> Outcome:
        """The part's outcome; what fails costs only the part."""
        try:
            return part()
        except (InputError, RefusedError) as error:
            return _blocked(what, error)
        except UnreachableError as error:
            return Outcome(Code.FAILED, (f"{what}: Numerai is in trouble ({error}); the same command tries again",))
        except Exception as error:
            if refused := refusal(error):
                return _blocked(what, refused)
            self.progress.failed(what, error)
            return Outcome(Code.FAILED, (f"{what}: {first_line(error)}",))

    def _of_tournament(
        self, tournament: str, slots: Mapping[str, Slot], version: str | None, key: Credentials | None
    ) -> Outcome:
        rules = self.config.submit
        client = numerai(tournament, key, rules.api, rules.timeout)
        self.progress.stage(f"asking Numerai for the {tournament} round")
        current = client.round()
        stage = current.stage(self.world.now(), rules.margin) if current else None
        if current is None or stage is Stage.UPCOMING:
            opens = f"; {current} opens at {current.opens:%Y-%m-%d %H:%M} UTC" if current else ""
            return Outcome(Code.NOTHING_TO_DO, (f"{tournament}: no round is open{opens}",))
        self.progress.note(f"{current} closes at {current.closes:%Y-%m-%d %H:%M} UTC and pays {current.paid}")
        if stage is Stage.CLOSED and not rules.queue:
            return self._after_close(current, slots, client)
        live = bring(client, current, version, self.folder / "live", self.progress)
        desk = Desk(rules, self.runs, self.books, client, live)
        models = client.models() if self.send else {}
        parts = {name: partial(self._slot, desk, name, slot, models) for name, slot in slots.items()}
        return together([self._guarded(name, part) for name, part in parts.items()])

    def _after_close(self, current: Round, slots: Mapping[str, Slot], client: Numerai) -> Outcome:
        """What became of slots whose round has closed: what was begun may have arrived, and nothing more is sent."""
        if not self.send:
            return Outcome(Code.NOTHING_TO_DO, (f"{current} has closed",))
        models = client.models()
        sending = self._sending(client, current)
        return together([self._guarded(name, partial(self._missed, sending, name, models)) for name in slots])

    def _missed(self, sending: Sending, name: str, models: Mapping[str, str]) -> Outcome:
        """By the last file that the books say was begun for the slot."""
        current = sending.round
        lines = [line for line in self.books.of(current.tournament, name, current.number) if "sha256" in line]
        copy = self.books.keeps(lines[-1]["sha256"]) if lines else None
        if copy is None:
            return self._unsent(current, name)
        facts = {"coverage": lines[-1]["coverage"]} if "coverage" in lines[-1] else {}
        parcel = Parcel(name, _model(models, name, current.tournament), copy.read_bytes(), lines[-1]["origin"], facts)
        found = sending.send(parcel)
        return Outcome(found.code, (found.said,))

    def _unsent(self, current: Round, name: str) -> Outcome:
        """Told once: a scheduler that calls every few minutes need not hear it again."""
        lines = self.books.of(current.tournament, name, current.number)
        is_noted = any(line["event"] == Event.MISSED for line in lines)
        if not is_noted:
            facts = {"tournament": current.tournament, "round": current.number, "slot": name}
            self.books.add(Event.MISSED, self.world.now(), **facts)
        code = Code.NOTHING_TO_DO if is_noted else Code.TOO_LATE
        return Outcome(code, (f"{name}: {current} closed at {current.closes:%Y-%m-%d %H:%M} UTC; nothing was sent",))

    def _slot(self, desk: Desk, name: str, slot: Slot, models: Mapping[str, str]) -> Outcome:
        """One slot: predicted where that is to be done, checked, and sent where that is asked for."""
        current = desk.live.round
        model = _model(models, name, current.tournament) if self.send else None
        self._predicted(desk, slot.run, slot.prediction)
        absent: tuple[str, ...] = ()
        if slot.predecessor is not None:  # it is only compared, so what it cannot predict stops nothing
            before = f"predecessor {slot.predecessor}"
            absent = self._guarded(before, partial(self._predicted, desk, slot.predecessor, None)).lines
        self.progress.stage(f"checking {name}")
        try:
            found = self._asked(desk, name, slot.run, desk.checked(name, slot, model))
        except InputError as error:
            if self.send:
                self._refused(current, name, error)
            raise
        if model is None:
            said = f"{name}: {found.origin} may be sent to {current}; --send sends it"
            return Outcome(Code.DONE, (said, *found.lines, *(f"  {line}" for line in absent)))
        self.progress.stage(f"sending {name}")
        sent = self._sent(desk, found, Parcel(name, model, found.content, found.origin, found.facts))
        return Outcome(sent.code, (*sent.lines, *(f"  {line}" for line in absent)))

    def _asked(self, desk: Desk, name: str, run: str, found: Checked) -> Checked:
        """The checked file, with what the monitor has to tell. InputError where it blocks the rows."""
        predicted = desk.predicted(run)
        if self.ask is None or predicted is None or not self.config.monitor.enabled:
            return found
        watched = self.ask(name, predicted)
        if watched.status.level == "block":
            raise InputError(
                f"the monitor blocks {found.origin}: {'; '.join(watched.status.reasons)}. Look at the data; to send it "
                "all the same say --set monitor.enabled=false."
            )
        return replace(found, lines=(*found.lines, *(f"  {line}" for line in watched.lines)))

    def _predicted(self, desk: Desk, run: str, prediction: str | None) -> Outcome:
        """Lets a run predict the round where it has not, or has got the model that is meant only since then."""
        if self.predict is not None:
            found = desk.predicted(run)
            is_lacking = (
                found is not None and prediction is not None and prediction not in found.manifest["predictions"]
            )
            is_newer = is_lacking and (self.runs / run / f"models/{prediction}/{FINAL}/model.json").is_file()
            if found is None or is_newer:
                self.progress.stage(f"{run} predicts {desk.live.round}")
                self.predict(run, desk.live)
        return Outcome(Code.DONE, ())

    def _refused(self, current: Round, name: str, error: InputError) -> None:
        """Into the books, unless that is the last that they say."""
        lines = self.books.of(current.tournament, name, current.number)
        facts = {"tournament": current.tournament, "round": current.number, "slot": name, "reason": str(error)}
        if not lines or lines[-1].get("reason") != str(error):
            self.books.add(Event.REFUSED, self.world.now(), **facts)

    def _sent(self, desk: Desk, found: Checked, parcel: Parcel) -> Outcome:
        sent = self._sending(desk.client, desk.live.round).send(parcel)
        says = limits(sent.submission.says) if sent.submission else ""
        return Outcome(sent.code, (sent.said, *found.lines, *([f"  {says}"] if says else [])))

    def _sending(self, client: Numerai, current: Round) -> Sending:
        rules = self.config.submit
        limits_of_sending = Rules(rules.attempts, rules.pause, rules.margin, rules.queue)
        return Sending(client, self.books, limits_of_sending, self.world, current)

    @cached_property
    def books(self) -> Ledger:
        return Ledger(self.folder)


def _model(models: Mapping[str, str], name: str, tournament: str) -> str:
    """The id of the account's model. InputError where it has none of this name."""
    if name not in models:
        present = ", ".join(sorted(models)) or "none"
        raise InputError(f"submit.slots: the account has no {tournament} model {name}; it has {present}.")
    return models[name]


def _blocked(what: str, error: Exception) -> Outcome:
    said = str(error) if isinstance(error, InputError) else f"Numerai refuses: {error}"
    return Outcome(Code.BLOCKED, (f"{what}: {said}",))
