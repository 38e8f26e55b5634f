"""The folder of a round: there whole or not at all, and of two writers the first one's."""

import os
from pathlib import Path

import pytest

from eraflow.pipeline.round_folder import LEFT, RoundFolder


def test_a_round_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = RoundFolder(tmp_path / "rounds/2026-11-28")

    def breaks(place: Path) -> None:
        (place / "half").write_text("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.write(breaks, False)
    assert list((tmp_path / "rounds").iterdir()) == []

    old, young = tmp_path / "rounds/.2026-11-27-a.part", tmp_path / "rounds/.2026-11-28-b.part"
    for left, age in ((old, LEFT + 60), (young, 60)):
        left.mkdir()
        os.utime(left, (left.stat().st_atime, left.stat().st_mtime - age))
    assert folder.write(lambda place: place.joinpath("one").touch(), False)
    assert sorted(path.name for path in (tmp_path / "rounds").iterdir()) == [young.name, "2026-11-28"]


def test_of_two_writers_the_first_has_it(tmp_path: Path) -> None:
    folder = RoundFolder(tmp_path / "rounds/2026-11-28")

    def slow(place: Path) -> None:
        assert folder.write(lambda first: first.joinpath("first").touch(), False)
        place.joinpath("second").touch()

    assert not folder.write(slow, False)
    assert [path.name for path in folder.path.iterdir()] == ["first"]
    assert folder.write(lambda place: place.joinpath("third").touch(), True)
    assert [path.name for path in folder.path.iterdir()] == ["third"]
    assert [path.name for path in folder.path.parent.iterdir()] == ["2026-11-28"]
