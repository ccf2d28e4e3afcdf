"""The ownership rule, searched exhaustively within stated bounds; and the search itself, tried on wrong rules."""

from dataclasses import dataclass

import pytest

from tests.model.moves import Bounds
from tests.model.mutants import MUTANTS, Mutant
from tests.model.search import search

MAX_CPU_S = 60.0
"""For all scopes together, on one core."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """A part of what can happen, searched to its end, and how many different worlds that is at least."""

    bounds: Bounds
    states: int


SCOPES: dict[str, Scope] = {
    "runs": Scope(
        bounds=Bounds(
            handoffs=2,
            lines=1,
            claims=2,
            crashes=1,
            messages=(),
            acts={"takes": "D", "returns": "D"},
            runs_can=frozenset({"streams", "speaks", "finishes", "escalates"}),
        ),
        states=50_000,
    ),
    "ends of runs": Scope(
        bounds=Bounds(
            handoffs=1,
            lines=2,
            claims=2,
            crashes=1,
            messages=(),
            acts={"returns": "D"},
            runs_can=frozenset({"speaks", "ends", "breaks"}),
        ),
        states=12_000,
    ),
    "lines": Scope(
        bounds=Bounds(
            handoffs=1,
            lines=3,
            claims=1,
            crashes=0,
            messages=(("m1", "D", False),),
            acts={"takes": "D", "returns": "D"},
            runs_can=frozenset({"speaks", "finishes"}),
            withdraws=True,
            rungs=True,
        ),
        states=75_000,
    ),
    "people": Scope(
        bounds=Bounds(
            handoffs=2,
            lines=0,
            claims=0,
            messages=(),
            acts={"takes": "DBS", "releases": "D", "returns": "DG", "closes": "D", "reopens": "B", "leaves": "B"},
            gives=(("D", "B"),),
            refusals=frozenset({"takes"}),
        ),
        states=10_000,
    ),
    "speech": Scope(
        bounds=Bounds(
            handoffs=2,
            lines=0,
            claims=0,
            messages=(("m1", "D", False), ("m2", "B", False)),
            acts={"takes": "DB", "returns": "D", "reopens": "B"},
            edits=(("m1", True), ("m1", False)),
            deletes=("m1",),
            sends=(("D", "m2", True), ("B", "m2", False)),
        ),
        states=25_000,
    ),
}
"""D and B are operators, S a supervisor, G a stranger; see `Bounds`."""


@pytest.mark.parametrize("name", SCOPES)
def test_no_history_within_the_bounds_breaks_an_invariant(name: str) -> None:
    """Every order of at most two handoffs, three lines, two runs (and one kill) and two messages of operators keeps
    I1-I10, I12, I17 and I18, whatever was delivered coming again at any later time.
    """
    scope = SCOPES[name]

    found = search(scope.bounds)

    print(f"{name}: {found}")  # noqa: T201 -- how far the search went is its result
    assert not found.breach, str(found)
    assert found.states >= scope.states
    assert found.cpu_s < MAX_CPU_S


def test_the_scopes_are_worth_their_name() -> None:
    """Together the searches visit more than a hundred thousand different worlds."""
    assert sum(scope.states for scope in SCOPES.values()) > 100_000
    assert len({repr(scope.bounds) for scope in SCOPES.values()}) == len(SCOPES)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.rules.name)
def test_each_mistake_is_caught(mutant: Mutant) -> None:
    """A rule with one mistake is caught by the invariant that is about it, with the shortest history; the product's own
    rules keep it within the same bounds.
    """
    found = search(mutant.bounds, mutant.rules)

    print(f"{mutant.rules.name}: {found}")  # noqa: T201 -- the history explains the mistake
    assert found.breach.startswith(mutant.breaks), str(found)
    assert len(found.trace) == mutant.steps
    assert not search(mutant.bounds).breach


def test_the_mistakes_are_many_and_different() -> None:
    """At least twelve different wrong rules are tried."""
    assert len({mutant.rules.name for mutant in MUTANTS}) == len(MUTANTS) >= 12
