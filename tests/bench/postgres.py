"""The durable relay on PostgreSQL, which shares the two cores with it: fsync and synchronous_commit are on.

Beside it procrastinate on the same server: a job per line, `lock` keeps the order of each conversation
(https://procrastinate.readthedocs.io/en/stable/howto/advanced/locks.html). A job there is less than a line here: it has
no log, no owner, and nothing tells a line that may have been sent from one that was not.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import procrastinate

from adapters.store.opening import open_store
from bridge.storage import Store
from tests.bench import _relay as relay
from tests.bench._relay import WHOLE, Sizes
from tests.postgres import Postgres

PARTS = 3
RATIOS = (
    (
        "lines per second on PostgreSQL, against procrastinate's jobs with a lock",
        "postgres_burst_lines_per_s",
        "procrastinate_burst_lines_per_s",
    ),
)


def measure(step: Callable[[str], None], sizes: Sizes = WHOLE) -> dict[str, float]:
    """One round of each."""
    figures: dict[str, float] = {}
    with Postgres(durable=True) as server:
        step("burst through PostgreSQL")
        figures["postgres_burst_lines_per_s"] = asyncio.run(_on(server.fresh_url(), relay.burst, sizes))
        step(f"{sizes.rate_per_s} lines a second through PostgreSQL")
        figures["postgres_p99_ms_at_300"] = asyncio.run(_on(server.fresh_url(), relay.steady, sizes))
        step("burst through procrastinate")
        figures["procrastinate_burst_lines_per_s"] = asyncio.run(_procrastinate(server.fresh_url(), sizes))
    return figures


async def _on(url: str, do: Callable[[Store, Sizes], Awaitable[float]], sizes: Sizes) -> float:
    store = await open_store(url)
    try:
        await relay.prepare(store, sizes)
        return await do(store, sizes)
    finally:
        await store.close()


async def _procrastinate(url: str, sizes: Sizes) -> float:
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url, min_size=4, max_size=8))
    done, left = asyncio.Event(), sizes.rival_lines

    @app.task(name="send")
    async def send(number: int) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            done.set()

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        began = time.perf_counter()
        worker = asyncio.ensure_future(
            app.run_worker_async(concurrency=sizes.workers, install_signal_handlers=False, delete_jobs="successful")
        )
        lines = range(sizes.rival_lines)
        await asyncio.gather(
            *(send.configure(lock=f"c{number % sizes.conversations}").defer_async(number=number) for number in lines)
        )
        await done.wait()
        took_s = time.perf_counter() - began
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker
    return sizes.rival_lines / took_s
