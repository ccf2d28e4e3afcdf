"""`python -m tests.bench`: measure everything, print it beside its baselines, write and draw it in `results/`.

Every figure is the median of several rounds; the rounds of all measurements take turns, so that a busy moment of the
machine does not fall on one of them alone.
"""

import argparse
import json
import pkgutil
import statistics
from importlib import import_module
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import tests.bench
from tests.bench import _plots
from tests.chaos.__main__ import machine

RESULTS = Path(__file__).parent / "results" / "latest.json"


def modules(chosen: list[str]) -> list[ModuleType]:
    """Return the measurements, or only those that are chosen."""
    there = [found.name for found in pkgutil.iter_modules(tests.bench.__path__)]
    names = [name for name in there if not name.startswith(("_", "test_"))]
    unknown = set(chosen) - set(names)
    if unknown:
        raise SystemExit(f"no such measurement: {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
    return [import_module(f"tests.bench.{name}") for name in names if not chosen or name in chosen]


def measure(found: list[ModuleType], rounds: int, console: Console) -> dict[str, float]:
    """Run them in turn, so many rounds; return the median of each figure."""
    figures: dict[str, list[float]] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        turns = [(turn, module) for turn in range(1, rounds + 1) for module in found if turn == 1 or not _same(module)]
        bar = progress.add_task("measuring", total=sum(module.PARTS for _, module in turns))
        for turn, module in turns:

            def step(label: str, turn: int = turn) -> None:
                progress.update(bar, advance=1, description=f"round {turn}: {label}")

            for name, figure in module.measure(step).items():
                figures.setdefault(name, []).append(figure)
        progress.update(bar, description="done")
    return {name: round(statistics.median(values), 3) for name, values in figures.items()}


def _same(module: ModuleType) -> bool:
    return bool(getattr(module, "SAME_EACH_ROUND", False))


def show(found: list[ModuleType], figures: dict[str, float], console: Console) -> None:
    """Print the figures, and how they compare."""
    table = Table("figure", "median")
    for name, figure in figures.items():
        table.add_row(name, f"{figure:,.1f}")
    console.print(table)
    ratios = Table("compared", "ratio")
    for label, figure, baseline in (ratio for module in found for ratio in module.RATIOS):
        ratios.add_row(label, f"{figures[figure] / figures[baseline]:.2f} x")
    console.print(ratios)


def show_hottest(functions: list[tuple[str, float]], console: Console) -> None:
    """Print where the time of the whole path goes, by a run of its own under a profiler."""
    table = Table("hottest functions of the whole path, by themselves", "share")
    for name, percent in functions:
        table.add_row(escape(name), f"{percent:.1f} %")
    console.print(table)


def keep(figures: dict[str, float], results: Path) -> list[Path]:
    """Add the figures to those that are there, and draw them; return what was written."""
    results.parent.mkdir(exist_ok=True)
    earlier = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    every = {name: figure for name, figure in {**earlier, **figures}.items() if isinstance(figure, int | float)}
    told = json.dumps({**every, "machine": machine()}, indent=2, sort_keys=True)
    results.write_text(told + "\n", encoding="utf-8")
    return [results, *_plots.draw(every, results.parent)]


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("only", nargs="*", help="names of measurements; all, if none is named")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    console = Console()
    found = modules(arguments.only)
    figures = measure(found, arguments.rounds, console)
    show(found, figures, console)
    for module in found:
        if hasattr(module, "hottest"):
            show_hottest(module.hottest(), console)
    for path in keep(figures, RESULTS):
        console.print(f"written to {path}")


if __name__ == "__main__":
    main()
