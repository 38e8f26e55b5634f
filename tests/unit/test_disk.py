"""What is known of a full disk."""

from pathlib import Path

from eraflow import disk


def test_a_full_disk_is_known_from_what_it_broke() -> None:
    def chained(text: str) -> BaseException:
        try:
            try:
                raise OSError(28, "No space left on device")
            except OSError as error:
                raise ValueError(text) from error
        except ValueError as error:
            return error

    assert disk.is_full(chained("could not be written"))
    assert disk.is_full(RuntimeError("java.io.IOException: No space left on device\n\tat ..."))
    assert not disk.is_full(OSError(13, "Permission denied"))


def test_places_that_are_no_paths_are_not_named(tmp_path: Path) -> None:
    message = disk.message({"tables.root": "catalog.schema", "run.dir": "s3://bucket/runs", "classic.path": None})

    assert message.startswith("SPARK_LOCAL_DIRS: ")
