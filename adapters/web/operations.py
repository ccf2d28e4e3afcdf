"""What those who run the bridge look at, put together: `/healthz`, `/readyz`, `/metrics`."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from aiohttp import web

from adapters.web import health, metrics
from adapters.web.answers import Access
from adapters.web.instruments import Instruments
from adapters.web.metered import MeteredStore
from bridge.engine import Engine, Trouble
from bridge.errors import StoreUnavailable
from bridge.ports import Clock

Told = Callable[[], Awaitable[Mapping[str, object]]]
YOUNG_S = 30.0
"""How long a process that has not reached Slack, or is not let in by Teams, is kept from work; customers are served
without them too.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Schema:
    """A database's schema: its revision, and from which revision on code may serve it."""

    revision: str
    serves_from: str


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What is looked at. `slack` and `teams` return what `health` of their parts does (None: not configured), `sockets`
    the number of customers' windows, `schema` that of the database (raises StoreUnavailable); `known` are the revisions
    of this version, oldest first.
    """

    engine: Engine
    store: MeteredStore
    clock: Clock
    slack: Told | None
    teams: Told | None
    sockets: Callable[[], int]
    schema: Callable[[], Awaitable[Schema]]
    known: Sequence[str]
    config: str


def add_routes(app: web.Application, watched: Watched, *, instruments: Instruments, access: Access) -> None:
    """Add the three pages."""
    began = time.monotonic()
    seen = Schema(revision=watched.known[-1], serves_from=watched.known[-1])

    async def store() -> str:
        nonlocal seen
        try:
            seen = await watched.schema()
        except StoreUnavailable:
            return watched.store.trouble or "the database does not answer"
        return watched.store.trouble or too_new(seen, watched.known)

    async def ahead() -> str:
        return newer(seen, watched.known)

    async def slack() -> str:
        return "" if watched.slack is None else slack_trouble(await watched.slack())

    async def slack_at_start() -> str:
        return await slack() if time.monotonic() - began < YOUNG_S else ""

    async def teams() -> str:
        return "" if watched.teams is None else teams_trouble(await watched.teams())

    async def teams_at_start() -> str:
        told = {} if watched.teams is None else await watched.teams()
        return sign_in_trouble(told) if time.monotonic() - began < YOUNG_S else ""

    async def readings() -> Mapping[str, float | None]:
        slack = {} if watched.slack is None else await watched.slack()
        teams = {} if watched.teams is None else await watched.teams()
        return {
            "widget_sockets": watched.sockets(),
            "slack_connections": _number(slack.get("connections")),
            "slack_last_event_age_seconds": _number(slack.get("last_event_age_s")),
            "teams_last_event_age_seconds": _number(teams.get("last_event_age_s")),
        }

    def troubles() -> list[Trouble]:
        return watched.engine.troubles()

    health.add_routes(
        app,
        probes={"store": store, "slack": slack_at_start, "teams": teams_at_start},
        watches={"slack": slack, "teams": teams, "schema": ahead},
        troubles=troubles,
        config=watched.config,
        schema=watched.known[-1],
    )
    metrics.add_routes(
        app, store=watched.store, clock=watched.clock, access=access, instruments=instruments, readings=readings
    )
    instruments.about(version=version("handoff-bridge"), config=watched.config, schema=watched.known[-1])


def slack_trouble(told: Mapping[str, object]) -> str:
    """Return what is wrong with the connection to Slack, or "". A process that is no listener needs none."""
    if told["connections"] == 0 and told.get("is_listener") is not False:
        return "no Socket Mode connection to Slack: posts wait, and what is said there is read when it is back"
    return ""


def teams_trouble(told: Mapping[str, object]) -> str:
    """Return what keeps the bridge from Teams, or from a team or channel, or ""; where nothing is signed, say so."""
    found = [sign_in_trouble(told)]
    removed = told.get("removed")
    if isinstance(removed, Sequence) and removed:
        places = len(removed)
        found.append(
            f"the app was removed from {places} teams or channels, or they were deleted: what is for them waits"
        )
    if told.get("is_unsigned"):
        found.append("calls of this machine are taken unsigned: for trying out, never to serve people")
    return "; ".join(filter(None, found))


def sign_in_trouble(told: Mapping[str, object]) -> str:
    """Return why the bot cannot sign in to Teams, with the remedy, or ""."""
    why = told.get("sign_in")
    return f"the bot cannot sign in to Teams, so posts wait: {why}" if why else ""


def newer(found: Schema, known: Sequence[str]) -> str:
    """Say that the database's schema is ahead of this version, if it is."""
    if found.revision in known:
        return ""
    return f"the database has schema {found.revision}, this version knows up to {known[-1]}: update it soon"


def too_new(found: Schema, known: Sequence[str]) -> str:
    """Say that this version may not serve the database any more, if so."""
    if found.revision in known or found.serves_from <= known[-1]:
        return ""
    return (
        f"the database has schema {found.revision}, which is served from {found.serves_from} on, but this version "
        f"knows only up to {known[-1]}: update handoff-bridge"
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
