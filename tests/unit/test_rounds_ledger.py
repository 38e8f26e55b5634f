"""The books after a kill, the key's place, and what the server tells of rounds."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eraflow.config import load
from eraflow.errors import InputError
from eraflow.outcome import Code, Outcome, together
from eraflow.rounds.api import Submission, numerai
from eraflow.rounds.calendar import Stage, of_api
from eraflow.rounds.credentials import Credentials, credentials
from eraflow.rounds.ledger import Event, Ledger
from eraflow.rounds.sending import effective, same

NOW = datetime(2026, 12, 1, 12, 5, tzinfo=UTC)
KEY = {"NUMERAI_PUBLIC_ID": "PUB", "NUMERAI_SECRET_KEY": "SEC"}


def added(ledger: Ledger, *events: Event) -> None:
    for event in events:
        ledger.add(event, NOW, tournament="classic", slot="ours", round=5, sha256="a")


def test_lines_are_read_back_by_slot_and_round(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "rounds")
    assert ledger.of("classic", "ours") == []
    added(ledger, Event.SENDING, Event.CREATED)
    ledger.add(Event.MISSED, NOW, tournament="classic", slot="ours", round=6)
    assert [line["event"] for line in ledger.of("classic", "ours")] == ["sending", "created", "missed"]
    assert [line["event"] for line in ledger.of("classic", "ours", 6)] == ["missed"]
    assert ledger.of("signals", "ours") == []


@pytest.mark.parametrize("kept", range(0, 90, 15))
def test_a_line_that_was_torn_is_passed_over_and_spoils_no_other(tmp_path: Path, kept: int) -> None:
    ledger = Ledger(tmp_path)
    added(ledger, Event.SENDING)
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole + whole[:kept])  # as a kill while the second is written leaves it
    assert [line["event"] for line in ledger.lines()] == ["sending"]
    added(ledger, Event.CREATED)
    assert [line["event"] for line in ledger.lines()] == ["sending", "created"]


def test_what_is_sent_is_kept(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.keeps("ab") is None
    ledger.keep(b"id,prediction\n", "ab")
    assert ledger.keeps("ab") == tmp_path / "sent/ab.csv"
    assert [path.name for path in (tmp_path / "sent").iterdir()] == ["ab.csv"]


def test_the_key_comes_from_the_environment_or_a_file_of_ones_own(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    file = tmp_path / "key"
    file.write_text("# mine\nexport NUMERAI_PUBLIC_ID='PUB'\nNUMERAI_SECRET_KEY=SEC\n")
    file.chmod(0o600)
    assert credentials(None, KEY) == credentials(str(file), {}, project) == Credentials("PUB", "SEC")
    assert "SEC" not in repr(credentials(None, KEY))

    with pytest.raises(InputError, match="the environment has no NUMERAI_SECRET_KEY"):
        credentials(None, {"NUMERAI_PUBLIC_ID": "PUB"})
    file.chmod(0o640)
    with pytest.raises(InputError, match=r"others can read .*key \(mode 640\); say chmod 600"):
        credentials(str(file), KEY, project)
    inside = project / "key"
    inside.touch(mode=0o600)
    with pytest.raises(InputError, match="keep the key outside of the project"):
        credentials(str(inside), {}, project)
    with pytest.raises(InputError, match="cannot be read"):
        credentials(str(tmp_path / "nowhere"), {}, project)


def test_the_environment_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("NUMERAI_PUBLIC_ID=A\nNUMERAI_SECRET_KEY=B\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NUMERAI_PUBLIC_ID", raising=False)
    client = numerai("classic", None, None, 1.0)
    assert client.api.token is None
    assert "NUMERAI_PUBLIC_ID" not in os.environ


def test_without_numerapi_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numerapi", None)
    monkeypatch.delitem(sys.modules, "eraflow.rounds.transport", raising=False)
    with pytest.raises(InputError, match=r"a round needs numerapi; say pip install"):
        numerai("classic", None, None, 1.0)


def test_a_round_as_the_api_tells_it() -> None:
    config = {"displayName": "canon_corr20", "isPayout": True, "defaultMultiplier": "0.75", "clipThreshold": 0.05,
              "totalScoreDays": 20}  # fmt: skip
    answer = {
        "number": 1100, "openTime": datetime(2026, 12, 1, 12, tzinfo=UTC), "dataDatestamp": 20261130,
        "closeStakingTime": datetime(2026, 12, 1, 13, tzinfo=UTC),
        "roundScoreConfigs": [config, config | {"isPayout": False}, config | {"defaultMultiplier": 0}],
    }  # fmt: skip
    found = of_api("classic", answer)
    assert found.data_date == "2026-11-30"
    assert found.paid == "0.75 × canon_corr20 within ±0.05"
    stages = [
        found.stage(datetime(2026, 12, 1, *time, tzinfo=UTC), 60) for time in ((11, 59), (12, 0), (12, 58), (12, 59))
    ]
    assert stages == [Stage.UPCOMING, Stage.OPEN, Stage.OPEN, Stage.CLOSED]
    with pytest.raises(ValueError, match="without number"):
        of_api("classic", answer | {"openTime": None})


def test_the_effective_submission_is_the_newest_valid_one_of_the_round() -> None:
    def one(name: str, minute: int, number: int | None, error: str | None = None) -> Submission:
        return Submission(name, "f.csv", NOW.replace(minute=minute), number, None, error, {})

    held = [
        one("a", 1, 5),
        one("b", 3, 5),
        one("c", 2, 5),
        one("d", 4, 5, "invalid"),
        one("e", 9, 6),
        one("f", 9, None),
    ]
    found = effective(held, 5)
    assert found is not None
    assert found.id == "b"
    assert effective(held, 7) is None


@pytest.mark.parametrize(
    ("theirs", "is_same"),
    [
        (b"id,prediction\na,0.25\nb,0.75\n", True),
        (b"id,prediction\nb,0.750000000000001\na,0.25\n", True),
        (b"id,prediction\nb,0.25\na,0.75\n", False),
        (b"id,prediction\na,0.25\n", False),
        (b"id,prediction\na,0.25\nb,x\n", False),
        (b"id,signal\na,0.25\nb,0.75\n", False),
        (b"", False),
        (None, False),
    ],
)
def test_files_are_the_same_by_what_they_say(theirs: bytes | None, is_same: bool) -> None:
    assert same(theirs, b"id,prediction\na,0.25\nb,0.75\n") is is_same


def test_the_gravest_of_several_outcomes_counts() -> None:
    parts = [Outcome(Code.NOTHING_TO_DO, ("a",)), Outcome(Code.DONE, ("b",)), Outcome(Code.FAILED, ("c",))]
    assert together(parts) == Outcome(Code.FAILED, ("a", "b", "c"))
    assert together([*parts, Outcome(Code.BLOCKED, ())]).code == Code.BLOCKED
    assert together([]).code == Code.NOTHING_TO_DO


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("submit.api=https://example.com", "it names the stand-in, which is on this machine only"),
        ("submit.webhook=hooks.example.com", "write env:NAME"),
        ("submit.bands={examples: [0.9, 0.1]}", "name the lower end first"),
        ("submit.slots={ours: {run: a, model: x}}", "unknown config key submit.slots.ours.model"),
        ("submit.sloths={}", "unknown config key submit.sloths; did you mean submit.slots"),
        ("submit.smooth=1", "less than 1"),
    ],
)
def test_settings_that_do_not_fit(setting: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        load([], [setting])
    assert message in str(refused.value)


@pytest.mark.parametrize("setting", ["webhook=https://example.com/SECRETPATH", "credentials=[PUBLIC, SECRETPATH]"])
def test_what_may_be_a_secret_is_not_shown(tmp_path: Path, setting: str) -> None:
    key, _, value = setting.partition("=")
    overlay = tmp_path / "mine.yml"
    overlay.write_text(f"submit: {{{key}: {value}}}")
    for overlays, settings in (([], [f"submit.{setting}"]), ([str(overlay)], [])):
        with pytest.raises(InputError, match=f"submit.{key}: ") as refused:
            load(overlays, settings)
        assert "SECRETPATH" not in str(refused.value)


def test_what_is_sent_where_decides_no_run() -> None:
    assert load([], ["submit.slots.ours.run=demo"]).decisive() == load([], []).decisive()
