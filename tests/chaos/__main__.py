"""`python -m tests.chaos --kills 200`: a long storm over one process on SQLite, and one over a fleet on PostgreSQL;
counted, and written to results/sqlite.json and results/postgres.json. Fails if a line is lost, doubled or out of order.
"""

import argparse
import asyncio
import json
import os
import platform
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.chaos.storm import Result, storm
from tests.postgres import Postgres

RESULTS = Path(__file__).parent / "results"
PROCESSES = 4
KILLS_A_RESTART = 10


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


def show(result: Result, console: Console) -> None:
    """Print what became of the lines."""
    table = Table("lines of", "said", "lost", "doubled", "out of order")
    for name, found in (("customers", result.customers), ("operators", result.operators)):
        table.add_row(name, *(str(n) for n in (found.said, found.lost, found.doubled, found.out_of_order)))
    console.print(table)
    console.print(
        f"{result.kills} kills in {result.seconds:.0f} s; ready again after {result.restart_ms_median:.0f} ms"
    )
    if result.database_restarts:
        console.print(
            f"{result.database_restarts} restarts of PostgreSQL; "
            f"{result.processes} processes ready again after {result.outage_ms_median:.0f} ms"
        )


def run(store: str, kills: int, *, seed: int, processes: int, progress: Progress) -> Result:
    """Let it rage over this store, with a bar."""
    bar = progress.add_task(f"killing, on {store}", total=kills)

    def on_kill(number: int, _: int) -> None:
        progress.update(bar, completed=number)

    with tempfile.TemporaryDirectory() as folder:
        if store == "sqlite":
            return asyncio.run(storm(Path(folder), kills, seed=seed, on_kill=on_kill))
        with Postgres(durable=True) as server:
            restarts = kills // KILLS_A_RESTART
            raging = storm(
                Path(folder),
                kills,
                processes=processes,
                server=server,
                database_restarts=restarts,
                seed=seed,
                on_kill=on_kill,
            )
            return asyncio.run(raging)


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--store", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--processes", type=int, default=PROCESSES, help="how many there are on PostgreSQL")
    parser.add_argument("--seed", type=int, default=1, help="where the random moments come from")
    arguments = parser.parse_args()
    console = Console()
    console.print(f"seed {arguments.seed}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    stores = ("sqlite", "postgres") if arguments.store == "both" else (arguments.store,)
    RESULTS.mkdir(exist_ok=True)
    clean = True
    for store in stores:
        with Progress(*columns, console=console) as progress:
            result = run(store, arguments.kills, seed=arguments.seed, processes=arguments.processes, progress=progress)
        show(result, console)
        found = result.flat() | {"machine": machine(), "seed": arguments.seed}
        path = RESULTS / f"{store}.json"
        path.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        console.print(f"written to {path}")
        clean = clean and result.clean
    if not clean:
        raise SystemExit("lines were lost, doubled or out of order")


if __name__ == "__main__":
    main()
