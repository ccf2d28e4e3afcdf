"""Eight processes on one PostgreSQL, and many people at once."""

from pathlib import Path

import pytest

from tests.chaos.crowd import crowd

LINES, TALKS = 400, 40
FAIR = 0.2
"""The least part of an equal share that a process must have had. A balancer spreads connections, not the work on them.
"""


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("storm")
async def test_lines_over_eight_processes_arrive_once_in_order(tmp_path: Path, postgres_url: str) -> None:
    """Of 400 lines, each to any of eight processes, none is lost, doubled or out of its thread's order, and each
    process has had its share. (`make chaos` says 5,000.)
    """
    result = await crowd(tmp_path, postgres_url, lines=LINES, talks=TALKS)
    print(result)  # noqa: T201 -- a failing run is judged by it

    assert result.clean, result
    assert result.customers.said + result.operators.said >= LINES
    for shares in (result.posted, result.received):
        assert min(shares) > FAIR * sum(shares) / len(shares), shares
