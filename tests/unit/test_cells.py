"""Cells: made once by their key, whole or not at all, by one process at a time; removed when nobody needs them."""

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from eraflow.pipeline.cells import ABOUT, FITS, IN_USE, Cells, linked
from eraflow.progress import PlainProgress


class Noting(PlainProgress):
    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def cells(tmp_path: Path) -> Cells:
    return Cells(tmp_path / "_cells", Noting())


def making(text: str) -> Any:
    def make(folder: Path) -> Mapping[str, Any]:
        (folder / "model").mkdir()
        (folder / "model" / "trees.txt").write_text(text)
        return {"trees": len(text)}

    return make


def never(folder: Path) -> Mapping[str, Any]:
    raise AssertionError("made twice")


def old(place: Path) -> None:
    """As if nobody had taken it for two hours."""
    then = time.time() - 2 * IN_USE
    for path in (place, *place.rglob("*")):
        os.utime(path, (then, then))


def test_a_cell_is_made_once(cells: Cells) -> None:
    first = cells.taken(FITS, "key", making("abc"))
    again = cells.taken(FITS, "key", never)

    assert (first.is_new, again.is_new) == (True, False)
    assert first.facts == again.facts == {"trees": 3}
    assert (again.folder / "model/trees.txt").read_text() == "abc"
    assert cells.taken(FITS, "other", making("d")).is_new


def test_one_that_was_stopped_leaves_its_work_and_nothing_else(cells: Cells) -> None:
    def stopped(folder: Path) -> Mapping[str, Any]:
        making("half")(folder)
        cells.work(FITS, "key").mkdir(parents=True)
        (cells.work(FITS, "key") / "epoch-3").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cells.taken(FITS, "key", stopped)
    assert not (cells.root / FITS / "key").exists()

    def going_on(folder: Path) -> Mapping[str, Any]:
        assert not list(folder.iterdir())
        assert (cells.work(FITS, "key") / "epoch-3").exists()
        return {}

    assert cells.taken(FITS, "key", going_on).is_new
    assert not cells.work(FITS, "key").exists()


def test_who_wants_what_another_makes_waits_for_it(cells: Cells) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(folder: Path) -> Mapping[str, Any]:
        begun.set()
        assert go_on.wait(timeout=30)
        return making("slow")(folder)

    first = threading.Thread(target=lambda: cells.taken(FITS, "key", slow))
    first.start()
    assert begun.wait(timeout=30)
    other = Cells(cells.root, Noting())
    found: list[Any] = []
    second = threading.Thread(target=lambda: found.append(other.taken(FITS, "key", never)))
    second.start()
    assert cells.taken(FITS, "beside", making("x")).is_new  # another key is not waited for
    while not other.progress.notes:  # type: ignore[attr-defined]
        time.sleep(0.01)
    assert not found
    go_on.set()
    first.join()
    second.join()

    assert not found[0].is_new
    assert other.progress.notes == ["waiting for another run, which makes the same"]  # type: ignore[attr-defined]


def test_a_run_keeps_what_it_has_taken_when_the_cell_goes(cells: Cells, tmp_path: Path) -> None:
    cell = cells.taken(FITS, "key", making("abc"))
    place = tmp_path / "run/models/mine/fold-1"
    linked(cell.folder, place)

    assert [str(path.relative_to(place)) for path in place.rglob("*.txt")] == ["model/trees.txt"]
    assert not (place / ABOUT).exists()
    assert (place / "model/trees.txt").stat().st_ino == (cell.folder / "model/trees.txt").stat().st_ino
    old(cell.folder)
    assert cells.prune(set(), 0, dry_run=False)[0] == 1
    assert (place / "model/trees.txt").read_text() == "abc"
    linked(cells.taken(FITS, "key", making("new")).folder, place)
    assert (place / "model/trees.txt").read_text() == "new"


def test_what_is_used_or_was_taken_lately_or_is_being_made_stays(cells: Cells) -> None:
    for key in ("used", "lately", "leased", "gone"):
        cells.taken(FITS, key, making(key))
        old(cells.root / FITS / key)
    os.utime(cells.root / FITS / "lately" / ABOUT)

    with cells.leased(FITS, "leased"):
        assert cells.prune({"used"}, 0, dry_run=True)[0] == 1
        count, size = cells.prune({"used"}, 0, dry_run=False)
    assert (count, size) == (1, len("gone") + (cells.root / FITS / "used" / ABOUT).stat().st_size)
    assert sorted(path.name for path in (cells.root / FITS).iterdir()) == ["lately", "leased", "used"]
    assert cells.prune({"used"}, 1, dry_run=False)[0] == 0  # within a day of its last use
    assert not list((cells.root / "leases").iterdir())


def test_what_stopped_makers_and_removals_left_goes_but_for_what_is_being_made(cells: Cells) -> None:
    for name in (".made.part", ".free.part", ".free.work", ".made.work", ".gone.gone", "torn"):
        (cells.root / FITS / name).mkdir(parents=True)
        (cells.root / FITS / name / "rows").write_text("some")
        old(cells.root / FITS / name)
    (cells.root / FITS / ".free.work" / "epoch-3").touch()  # somebody may go on from it

    with cells.leased(FITS, "made"):
        assert cells.prune(set(), 0, dry_run=False) == (1, 3 * len("some"))

    assert {path.name for path in (cells.root / FITS).iterdir()} == {".made.part", ".made.work", ".free.work"}


def test_half_a_cell_is_made_again(cells: Cells) -> None:
    (cells.root / FITS / "torn" / "model").mkdir(parents=True)
    (cells.root / FITS / "torn" / "model" / "left.txt").touch()

    cell = cells.taken(FITS, "torn", making("whole"))

    assert cell.is_new
    assert [path.name for path in (cell.folder / "model").iterdir()] == ["trees.txt"]
