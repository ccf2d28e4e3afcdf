"""The bridge as real processes, killed again and again while people talk and Slack misbehaves."""

from pathlib import Path

import pytest

from tests.chaos.storm import storm
from tests.chaos.traffic import Count, count
from tests.postgres import Postgres

KILLS = 10


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("storm")
async def test_ten_kills_lose_double_and_swap_nothing(tmp_path: Path) -> None:
    """Ten times kill -9 under faults: each acknowledged line is in its thread, each reply shown, once and in order."""
    result = await storm(tmp_path, KILLS)

    assert result.customers.said > KILLS
    assert result.operators.said > KILLS
    assert result.clean, result


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("storm")
async def test_ten_kills_of_a_fleet_and_a_crash_of_its_database_lose_double_and_swap_nothing(tmp_path: Path) -> None:
    """Ten kills among three processes, PostgreSQL ended at once in between: each line arrives once, in order."""
    with Postgres(durable=True) as server:
        result = await storm(tmp_path, KILLS, processes=3, server=server, database_restarts=1)

    assert (result.kills, result.database_restarts) == (KILLS, 1)
    assert result.customers.said > KILLS
    assert result.operators.said > KILLS
    assert result.clean, result


@pytest.mark.parametrize(
    "seen, found",
    [
        (["a", "b", "c"], Count(said=3)),
        (["a", "c"], Count(said=3, lost=1)),
        (["a", "b", "b", "c"], Count(said=3, doubled=1)),
        (["b", "a", "c", "c", "c"], Count(said=3, doubled=2, out_of_order=1)),
    ],
)
def test_what_is_missing_double_or_swapped_is_counted(seen: list[str], found: Count) -> None:
    """The count can fail: a line that lacks, comes twice or comes too early is seen."""
    assert count(["a", "b", "c"], seen) == found
