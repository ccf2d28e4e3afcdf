"""The bench itself: one tiny round of everything, so that it cannot rot unseen."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench import path, postgres, sockets, store
from tests.bench._relay import Sizes as StoreSizes

STORE = StoreSizes(conversations=20, burst_lines=60, rival_lines=20, workers=8, warm_lines=10, rate_lines=60)
TINY: dict[str, Callable[[Callable[[str], None]], dict[str, float]]] = {
    "store": lambda step: store.measure(step, STORE),
    "postgres": lambda step: postgres.measure(step, STORE),
    "path": lambda step: path.measure(step, path.Sizes(chats=60, workers=4, warm_s=0.3, measured_s=0.7)),
    "sockets": lambda step: sockets.measure(
        step, sockets.Sizes(windows=20, warm=5, crowd=50, settle_s=0.1, idle_s=0.2)
    ),
}


@pytest.mark.parametrize("name", TINY)
def test_each_measurement_gives_every_figure_that_it_compares(name: str) -> None:
    """A tiny round of a measurement ends, and has the figures and steps that its table promises."""
    [module] = bench.modules([name])
    steps: list[str] = []

    figures = TINY[name](steps.append)

    assert len(steps) == module.PARTS
    assert all(figure > 0 for key, figure in figures.items() if not key.endswith(("percent", "_each"))), figures
    assert {key for _, *keys in module.RATIOS for key in keys} <= figures.keys()


def test_the_hottest_functions_are_those_of_the_bridge_under_load() -> None:
    """The profiled run sees all threads of the bridge while lines pass, and nothing else."""
    shares = dict(path.hottest(path.Sizes(chats=60, workers=4, warm_s=1.0, measured_s=2.0), count=500))

    assert 50 < sum(shares.values()) <= 100.001
    assert any(name.startswith("bridge/switchboard.py") for name in shares), "the writer's thread"
    assert any(name.startswith("adapters/slack/events.py") for name in shares), "the loop"


def test_a_name_that_is_no_measurement_is_refused() -> None:
    """A mistyped name ends in one line that lists what there is."""
    with pytest.raises(SystemExit, match=r"no such measurement: stoer; there are: .*path.*store"):
        bench.modules(["stoer"])


def test_figures_are_added_to_earlier_ones_and_drawn(tmp_path: Path) -> None:
    """Measuring one thing keeps the other figures, says on which machine, and draws all of them in readable SVG."""
    results = tmp_path / "results" / "latest.json"
    bench.keep({"path_events_per_s": 700.0, "bolt_plain_events_per_s": 1300.0}, results)

    bench.keep({"path_events_per_s": 900.0, "path_p99_ms": 40.0}, results)

    kept = json.loads(results.read_text(encoding="utf-8"))
    assert (kept["path_events_per_s"], kept["bolt_plain_events_per_s"], kept["path_p99_ms"]) == (900.0, 1300.0, 40.0)
    assert kept["machine"]["cores"] >= 1
    drawn = {file.stem: ET.parse(file).getroot() for file in results.parent.glob("*.svg")}
    assert drawn.keys() == {"throughput", "latency"}
    words = [text for node in drawn["throughput"].iter() if (text := node.text) and node.tag.endswith("text")]
    assert {"900", "1,300"} <= set(words)


def test_each_measurement_is_tried_here_or_in_the_simulation() -> None:
    """No measurement is left out of the tiny rounds. Pacing is virtual: `tests/simulation/test_pacing.py` tries it."""
    assert {module.__name__.rpartition(".")[2] for module in bench.modules([])} == {*TINY, "pacing"}
