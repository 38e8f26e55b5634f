"""Fits that run at once: how many, in what order, and what a failure leaves."""

import time
from threading import Barrier, get_ident

import pytest
from pyspark.sql import SparkSession

from eraflow.pipeline.side_by_side import side_by_side
from eraflow.session import fixed_partitions

SETTING = "spark.sql.adaptive.enabled"


def test_a_single_one_runs_in_its_caller_when_it_is_asked_for(spark: SparkSession) -> None:
    ran: list[str] = []
    with side_by_side(spark, 1) as begun:
        first, second = begun(ran.append, "first"), begun(get_ident)
        assert ran == []
        first()
        assert ran == ["first"]
        assert second() == get_ident()


def test_two_run_at_once_and_leave_the_settings_of_before(spark: SparkSession) -> None:
    both, before = Barrier(2, timeout=20), spark.conf.get(SETTING)

    def meet(number: int) -> tuple[int, str | None]:
        with fixed_partitions(spark):  # as a fit does
            both.wait()
        return number, spark.conf.get(SETTING)

    with side_by_side(spark, 2) as begun:
        found = [begun(meet, number) for number in range(4)]
        assert [outcome() for outcome in found] == [(number, "false") for number in range(4)]
    assert before == "true"
    assert spark.conf.get(SETTING) == before


def test_after_a_failure_none_begins_that_has_not(spark: SparkSession) -> None:
    started: list[int] = []

    def work(number: int) -> None:
        started.append(number)
        if number == 0:
            raise ValueError("the first")
        time.sleep(1)

    def run() -> None:
        with side_by_side(spark, 2) as begun:
            for outcome in [begun(work, number) for number in range(9)]:
                outcome()

    with pytest.raises(ValueError, match="the first"):
        run()

    assert set(started) <= {0, 1, 2}
