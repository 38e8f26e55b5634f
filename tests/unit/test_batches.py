"""Arrow batches cut where a key changes, and put together again."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from eraflow.batches import groups, joined, packed, unpacked


def batch(*rows: tuple[str, int]) -> pa.RecordBatch:
    names, eras = pa.array([name for name, _ in rows], pa.string()), pa.array([era for _, era in rows], pa.int32())
    return pa.record_batch([names, eras], ["name", "era"])


def rows_of(parts: list[pa.RecordBatch]) -> list[list[tuple[str, int]]]:
    return [list(zip(*part.to_pydict().values(), strict=True)) for part in parts]


def test_a_group_goes_on_in_the_next_batch_and_a_change_of_any_key_ends_it() -> None:
    batches = [batch(("a", 1), ("a", 1), ("a", 2)), batch(), batch(("a", 2), ("b", 2)), batch(("b", 2))]

    found = rows_of(list(groups(batches, "name", "era")))

    assert found == [[("a", 1), ("a", 1)], [("a", 2), ("a", 2)], [("b", 2), ("b", 2)]]


def test_no_rows_have_no_groups() -> None:
    assert list(groups([], "era")) == list(groups([batch()], "era")) == []


@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 7))
def test_groups_and_joined_batches_hold_all_rows_in_their_order(eras: list[int], size: int) -> None:
    table = pa.table({"era": pa.array(sorted(eras), pa.int32()), "row": np.arange(len(eras))})

    found = list(groups(table.to_batches(max_chunksize=size), "era"))
    together = list(joined(found, rows=size))

    assert [part.column("era")[0].as_py() for part in found] == sorted(set(eras))
    assert [row for part in together for row in part.column("row").to_pylist()] == list(range(len(eras)))
    assert all(part.num_rows >= size for part in together[:-1])


def test_packed_rows_are_lists_by_key_and_come_back() -> None:
    rows = batch(("b", 3), ("a", 1), ("b", 2), ("a", 5))

    found = packed(rows, "name")

    assert found.to_pydict() == {"name": ["b", "a"], "era": [[3, 2], [1, 5]]}
    assert rows_of([unpacked(found)]) == [[("b", 3), ("b", 2), ("a", 1), ("a", 5)]]
    assert packed(batch(), "name").num_rows == unpacked(packed(batch(), "name")).num_rows == 0


def test_batches_are_cut_by_their_bytes_where_rows_are_wide() -> None:
    parts = [pa.record_batch([pa.array([b"x" * 1000] * 10)], names=["value"]) for _ in range(9)]

    assert [batch.num_rows for batch in joined(parts, rows=10_000, size=25_000)] == [30, 30, 30]
    assert [batch.num_rows for batch in joined(parts, rows=10_000)] == [90]
