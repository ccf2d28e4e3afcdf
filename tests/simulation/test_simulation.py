"""Whole lives of the bridge in virtual time: kills, freezes, a bad vendor, people who do everything at once.

One world again, alone: SIM_SEED=1234 .venv/bin/python -m pytest tests/simulation -k one_seed
"""

import re
import subprocess
import sys
from collections import Counter

import pytest

from tests.settings import CACHE, ROOT, TestSettings
from tests.simulation.crash import OWN_POINTS
from tests.simulation.mutants import MUTANTS, OverStore, Stubborn
from tests.simulation.process import Made
from tests.simulation.world import Plan, World, live

KILLS = 20
SQLITE_SEEDS = 10_000
CHUNK = 50
CHUNKS = [("memory", part * CHUNK) for part in range(8)]
CHUNKS += [("sqlite", SQLITE_SEEDS + part * CHUNK) for part in range(2)]
"""500 worlds of 20 kills each: 10,000. On the store that people run a world takes three times as long, so one in five
lives there. In parts, so that several workers can share them.
"""


def promise(world: World) -> None:
    """Fail, with the way to see it again, if this world broke a promise."""
    seed, problems = world.plan.seed, "\n  ".join(world.problems)
    again = f"SIM_SEED={seed} .venv/bin/python -m pytest tests/simulation -k one_seed"
    assert not world.problems, f"the world of seed {seed} broke:\n  {problems}\nsee it again with: {again}"


def live_all(seeds: range, store: str) -> tuple[Counter[str], Counter[str]]:
    """Live through these seeds; return how often each point was passed, and how often it was the end."""
    passed: Counter[str] = Counter()
    killed: Counter[str] = Counter()
    for seed in seeds:
        world = live(Plan(seed=seed, kills=KILLS), store=store)
        promise(world)
        assert world.reaper.kills >= KILLS
        passed += world.reaper.passed
        killed += world.reaper.killed
    return passed, killed


def all_struck(passed: Counter[str], killed: Counter[str], chunk: int) -> None:
    """Fail if a point was never passed, or often and never struck. Leaves the counts in .cache/simulation."""
    table = "\n".join(f"{killed[point]:6} kills of {times:8}  {point}" for point, times in passed.most_common())
    report = CACHE / "simulation" / f"points-{chunk}.txt"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(f"{table}\n", encoding="utf-8")
    missed = OWN_POINTS - set(passed) | {point for point, times in passed.items() if times > 250} - set(killed)
    assert not missed, f"never killed at {sorted(missed)}:\n{table}"
    assert len(killed) >= 40, table


@pytest.mark.timeout(300)
@pytest.mark.parametrize("store, first", CHUNKS)
def test_nothing_is_lost_doubled_or_out_of_order(store: str, first: int) -> None:
    """Killed or frozen at any point, with every fault a vendor has, the bridge keeps every promise."""
    passed, killed = live_all(range(first, first + CHUNK), store)

    all_struck(passed, killed, first)
    assert killed.total() >= CHUNK * KILLS


@pytest.mark.parametrize("point", sorted(OWN_POINTS))
def test_each_point_can_be_the_end(point: str) -> None:
    """Killed at this point and at no other, however rarely it comes, the bridge keeps every promise."""
    for seed in range(20_000, 20_020):
        world = live(Plan(seed=seed, kills=3, freezes=0.0, only=point, lines=4))
        promise(world)
        assert set(world.reaper.killed) <= {point}
        if world.reaper.kills:
            return
    pytest.fail(f"20 worlds did not come to {point}")


@pytest.mark.parametrize("name", MUTANTS)
def test_a_bridge_that_is_wrong_is_caught(name: str) -> None:
    """The simulation can fail: each of these bridges breaks one promise, and some seed shows it."""
    mutant = MUTANTS[name]
    for seed in range(mutant.first, mutant.first + mutant.worlds):
        world = live(Plan(seed=seed, freezes=mutant.freezes), mutant.made)
        if any(re.search(mutant.caught_by, problem) for problem in world.problems):
            return
    pytest.fail(f"{mutant.worlds} worlds did not notice a bridge that {name}")


def test_a_run_that_is_never_told_to_stop_is_fenced_all_the_same() -> None:
    """Telling the agent to stop is a courtesy: what it says after a takeover reaches nobody even without it."""
    for seed in range(30_000, 30_010):
        promise(live(Plan(seed=seed), Made(store=lambda store: OverStore(store, Stubborn))))


HISTORY = """
from tests.simulation.world import Plan, live
world = live(Plan(seed=77))
print([(held.ref, held.at, held.key) for held in world.vendor.messages])
print(sorted(world.reaper.passed.items()), sorted(world.reaper.killed.items()), world.loop.time())
"""


def test_one_seed_gives_one_history() -> None:
    """A world can be lived again in another process, kill for kill and message for message."""
    histories = {
        subprocess.run(
            [sys.executable, "-c", HISTORY], cwd=ROOT, env={"PYTHONHASHSEED": salt}, check=True, capture_output=True
        ).stdout
        for salt in ("1", "2")
    }

    assert len(histories) == 1
    assert len(histories.pop()) > 1000


def test_one_seed() -> None:
    """The world of `SIM_SEED` keeps every promise, on the store that its chunk used."""
    seed = TestSettings().sim_seed
    promise(live(Plan(seed=seed, kills=KILLS), store="sqlite" if seed >= SQLITE_SEEDS else "memory"))
