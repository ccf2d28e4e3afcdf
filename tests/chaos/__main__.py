"""`python -m tests.chaos --kills 200`: a long storm, counted, written to results/latest.json. Fails if a line is lost,
doubled or out of order.
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

RESULTS = Path(__file__).parent / "results" / "latest.json"


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


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="where the random moments come from")
    arguments = parser.parse_args()
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, tempfile.TemporaryDirectory() as folder:
        bar = progress.add_task("killing", total=arguments.kills)

        def on_kill(number: int) -> None:
            progress.update(bar, completed=number)

        result = asyncio.run(storm(Path(folder), arguments.kills, seed=arguments.seed, on_kill=on_kill))
    show(result, console)
    RESULTS.parent.mkdir(exist_ok=True)
    found = result.flat() | {"machine": machine()}
    RESULTS.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    console.print(f"written to {RESULTS}")
    if not result.clean:
        raise SystemExit("lines were lost, doubled or out of order")


if __name__ == "__main__":
    main()
