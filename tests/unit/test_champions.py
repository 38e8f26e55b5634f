"""Champions: a folder of decisions, of which the newest holds."""

from pathlib import Path
from typing import Any

import pytest

from eraflow.config import load
from eraflow.errors import InputError
from eraflow.monitoring.champions import Champion, run_of
from eraflow.monitoring.promotion import Ruling


def ruled(ruling: Ruling, run: str, **more: Any) -> dict[str, Any]:
    return {
        "ruling": str(ruling), "why": "a test", "champion": run, "challenger": None, "compared": {},
        "rules": {"confidence": 0.95}, "clock": {"decided": "2026-01-01T00:00:00Z"}, **more,
    }  # fmt: skip


def champion(base: Path, *steps: tuple[Ruling, str]) -> Champion:
    made = Champion.of(base, "main")
    for number, (ruling, run) in enumerate(steps, 1):
        made.decide(number, ruled(ruling, run))
    return made


def test_the_newest_decision_says_who_is_the_champion(tmp_path: Path) -> None:
    made = champion(tmp_path, (Ruling.INSTALL, "first"), (Ruling.KEEP, "first"), (Ruling.REFIT, "second"))

    assert (made.run, made.runs, made.next) == ("second", ["first", "second"], 4)
    assert run_of(tmp_path, "champion:main") == "second"
    assert run_of(tmp_path, "third") == "third"


def test_going_back_goes_back_further_each_time(tmp_path: Path) -> None:
    steps = [(Ruling.INSTALL, "first"), (Ruling.REFIT, "second"), (Ruling.PROMOTE, "third")]
    back = [(Ruling.ROLL_BACK, "second"), (Ruling.ROLL_BACK, "first"), (Ruling.REFIT, "fourth")]

    assert champion(tmp_path / "a", *steps, *back[:1]).runs == ["first", "second"]
    assert champion(tmp_path / "b", *steps, *back[:2]).runs == ["first"]
    assert champion(tmp_path / "c", *steps, *back).runs == ["first", "fourth"]


def test_an_attempt_that_was_decided_is_none_any_more(tmp_path: Path) -> None:
    made = champion(tmp_path, (Ruling.INSTALL, "first"))
    made.begin({"refit": "main-0002"})
    assert made.attempt == {"refit": "main-0002", "number": 2}

    (made.folder / "attempt.json").write_text("{")
    with pytest.raises(InputError, match=r"attempt.json is no whole attempt; remove it, and the next call begins anew"):
        _ = made.attempt
    made.begin({"refit": "main-0002"})

    made.decide(2, ruled(Ruling.REFIT, "main-0002"))  # and killed before it could tidy up

    assert made.attempt is None


def test_a_champion_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no champion main below .* none yet.*--install RUN"):
        run_of(tmp_path, "champion:main")
    champion(tmp_path, (Ruling.INSTALL, "first"))
    with pytest.raises(InputError, match=r"no champion other below .*\(there are main\)"):
        run_of(tmp_path, "champion:other")


@pytest.mark.parametrize("name", ["../main", "", ".hidden", "a/b", "a b"])
def test_a_name_that_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="a champion cannot be called"):
        run_of(tmp_path, f"champion:{name}")


@pytest.mark.parametrize("content", ["{", "{}", '{"number": 1, "ruling": "crown", "champion": "first", "format": 1}'])
def test_a_decision_that_cannot_be_read_is_told_and_nothing_guessed(tmp_path: Path, content: str) -> None:
    made = champion(tmp_path, (Ruling.INSTALL, "first"), (Ruling.REFIT, "second"))
    (made.folder / "decisions/0002.json").write_text(content)

    with pytest.raises(InputError, match=r"0002.json is no whole decision .* the decision before it holds"):
        _ = made.run


def test_a_slot_can_name_a_champion() -> None:
    slots = load([], ["submit.slots={a: {run: 'champion:main', predecessor: 'champion:other'}}"]).submit.slots

    assert (slots["a"].run, slots["a"].predecessor) == ("champion:main", "champion:other")
    for wrong in ("champion:", "champion:../x", "other:main"):
        with pytest.raises(InputError, match=r"submit.slots.a.run"):
            load([], [f"submit.slots={{a: {{run: '{wrong}'}}}}"])
