"""`python -m tests.chaos --kills 200`: a long storm over one process on SQLite, another over a fleet on PostgreSQL,
then
a crowd over eight processes without any fault. All is counted, and written to results/sqlite.json, postgres.json and
crowd.json. Fails if a line is lost, doubled or out of order.
"""

import argparse
import asyncio
import json
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.chaos.crowd import Result as Crowd
from tests.chaos.crowd import crowd
from tests.chaos.storm import Result, storm
from tests.postgres import Postgres

RESULTS = Path(__file__).parent / "results"
PROCESSES = 4
KILLS_A_RESTART = 10
TALKS = 80


def machine() -> dict[str, str | int]:
    """Return what the figures were taken on."""
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text(encoding="utf-8").splitlines() if cpus.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "cpu": model or platform.machine(),
        "cores": os.cpu_count() or 0,
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def show(result: Result | Crowd, console: Console) -> None:
    """Print what became of the lines."""
    table = Table("lines of", "said", "lost", "doubled", "out of order")
    for name, found in (("customers", result.customers), ("operators", result.operators)):
        table.add_row(name, *(str(n) for n in (found.said, found.lost, found.doubled, found.out_of_order)))
    console.print(table)
    if isinstance(result, Crowd):
        console.print(f"in {result.seconds:.0f} s; posts sent by each process: {', '.join(map(str, result.posted))}")
        return
    console.print(
        f"{result.kills} kills in {result.seconds:.0f} s; ready again after {result.restart_ms_median:.0f} ms"
    )
    if result.database_restarts:
        console.print(
            f"{result.database_restarts} restarts of PostgreSQL; "
            f"{result.processes} processes ready again after {result.outage_ms_median:.0f} ms"
        )


def one(kills: int, seed: int, progress: Progress) -> Result:
    """Let it rage over one process on SQLite."""
    bar = progress.add_task("killing, on SQLite", total=kills)
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(
            storm(Path(folder), kills, seed=seed, on_kill=lambda number, _: progress.update(bar, completed=number))
        )


def fleet(kills: int, seed: int, progress: Progress) -> Result:
    """Let it rage over a fleet."""
    bar = progress.add_task("killing, on PostgreSQL", total=kills)
    with tempfile.TemporaryDirectory() as folder, Postgres(durable=True) as server:
        return asyncio.run(
            storm(
                Path(folder),
                kills,
                processes=PROCESSES,
                server=server,
                database_restarts=kills // KILLS_A_RESTART,
                seed=seed,
                on_kill=lambda number, _: progress.update(bar, completed=number),
            )
        )


def many(lines: int, seed: int, progress: Progress) -> Crowd:
    """Let a crowd talk."""
    bar = progress.add_task("talking, on PostgreSQL", total=lines)
    with tempfile.TemporaryDirectory() as folder, Postgres(durable=True) as server:
        return asyncio.run(
            crowd(
                Path(folder),
                server.ready_url(),
                lines=lines,
                talks=TALKS,
                seed=seed,
                on_line=lambda: progress.advance(bar),
            )
        )


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="of each storm; 0: none")
    parser.add_argument("--lines", type=int, default=5_000, help="of the crowd; 0: none")
    parser.add_argument("--store", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--seed", type=int, default=1, help="where the random moments come from")
    given = parser.parse_args()
    console = Console()
    console.print(f"seed {given.seed}")
    runs: dict[str, Callable[[Progress], Result | Crowd]] = {}
    if given.kills and given.store != "postgres":
        runs["sqlite"] = lambda progress: one(given.kills, given.seed, progress)
    if given.kills and given.store != "sqlite":
        runs["postgres"] = lambda progress: fleet(given.kills, given.seed, progress)
    if given.lines and given.store != "sqlite":
        runs["crowd"] = lambda progress: many(given.lines, given.seed, progress)
    clean = True
    for name, run in runs.items():
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as progress:
            result = run(progress)
        show(result, console)
        RESULTS.mkdir(exist_ok=True)
        found = result.flat() | {"machine": machine(), "seed": given.seed}
        path = RESULTS / f"{name}.json"
        path.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        console.print(f"written to {path}")
        clean = clean and result.clean
    if not clean:
        raise SystemExit("lines were lost, doubled or out of order")


if __name__ == "__main__":
    main()
