"""Small fits that run at once: each learns by one thread, and Spark gives each a task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

from pyspark.sql import SparkSession

from eraflow.session import fixed_partitions

P = ParamSpec("P")
T = TypeVar("T")


class Begin(Protocol):
    """Takes a call now; what it returns gives the outcome, once it is there."""

    def __call__(self, call: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> Callable[[], T]: ...


@contextmanager
def side_by_side(spark: SparkSession, at_once: int) -> Iterator[Begin]:
    """Calls of which so many run `at_once`, in the order in which they are begun; a single one when it is asked for.

    Where asking for an outcome fails, calls that have not started never do. Spark's settings for fits hold for all of
    them together, since one fit would take back those of another.
    """
    if at_once == 1:
        yield partial
        return
    with fixed_partitions(spark), ThreadPoolExecutor(at_once) as pool:

        def begin(call: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> Callable[[], T]:
            return pool.submit(call, *arguments, **named).result

        try:
            yield begin
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
