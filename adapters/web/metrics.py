"""`/metrics` for Prometheus: what waits, asked of the store at each scrape, and what happened in this process."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adapters.web.answers import Access, Handler, guarded
from adapters.web.instruments import PREFIX, Instruments
from bridge.errors import StoreUnavailable
from bridge.ids import ChannelId, DeskName
from bridge.ports import Clock
from bridge.storage import Store, Tx

# https://prometheus.io/docs/instrumenting/exposition_formats/
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STORE_WITHIN_S = 2.0
MAX_CHANNELS = 50
"""Channels that get labels of their own: those that rest the longest."""
SHARED = "Asked of the store, so the same from each process; do not sum."
HERE = "Of this process; sum over processes."
LANES = {"new_thread": "new", "line": "line", "cosmetic": "cosmetic"}

Samples = Mapping[tuple[()], float | None] | Mapping[tuple[str], float] | Mapping[tuple[str, str, str], float]
Rests = Mapping[tuple[DeskName, ChannelId], tuple[int, int]]
Readings = Callable[[], Awaitable[Mapping[str, float | None]]]
"""Returns what this process has open now, by a name of READINGS; None where there is nothing to tell."""

READINGS = {
    "widget_sockets": "Sockets of customers' windows.",
    "slack_connections": "Socket Mode connections.",
    "slack_last_event_age_seconds": "Since Slack last sent anything; absent before the first. The least of all counts.",
    "teams_last_event_age_seconds": "The same for Teams.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """What one scrape found. `counts` and `rests` are None while the store is away."""

    readings: Mapping[str, float | None]
    counts: Mapping[str, int] | None = None
    rests: Rests | None = None


class _Gauges(Collector):
    def __init__(self, gathered: Gathered) -> None:
        self._gathered = gathered

    def collect(self) -> Iterable[Metric]:
        found = self._gathered
        for name, value in found.readings.items():
            yield _gauge(name, f"{READINGS[name]} {HERE}", {(): value})
        yield _gauge("store_up", f"Whether the store answers (1) or not (0). {HERE}", {(): found.counts is not None})
        if found.counts is not None:
            yield from _waiting(found.counts)
        if found.rests is not None:
            yield _gauge(
                "channel_rest_seconds",
                f"For how long a channel takes no post: by its own pace, or because the vendor asked. {SHARED}",
                {
                    (str(desk), str(channel), why): ms / 1000
                    for (desk, channel), pair in found.rests.items()
                    for why, ms in zip(("pace", "vendor"), pair, strict=True)
                },
                "desk",
                "channel",
                "reason",
            )


def _waiting(counts: Mapping[str, int]) -> Iterable[Metric]:
    unsent = {(lane,): counts[f"unsent_{key}"] for lane, key in LANES.items()}
    ages = {(lane,): counts[f"oldest_{key}_ms"] / 1000 for lane, key in LANES.items()}
    yield _gauge("unsent_posts", f"What waits to leave for a desk. {SHARED}", unsent, "lane")
    yield _gauge("oldest_unsent_age_seconds", f"Age of the oldest of these, 0 if none. {SHARED}", ages, "lane")
    for name, says, key in (
        (
            "unsettled_posts",
            "Posts handed to a desk of which it is not known yet whether they arrived.",
            "sending_outs",
        ),
        ("dead_letters", "Posts that were given up; see handoff-bridge dead-letters.", "dead_outs"),
        ("suppressed_lines", "Texts of the agent that came too late and were kept from customers.", "suppressed"),
        ("live_turns", "Runs of the agent that are queued or running.", "live_turns"),
    ):
        yield _gauge(name, f"{says} {SHARED}", {(): counts[key]})
    states = {(state,): counts[f"{state}_handoffs"] for state in ("waiting", "human")}
    yield _gauge("open_handoffs", f"Handoffs that wait for a person or have one. {SHARED}", states, "state")
    says = f"How long the first of those that wait has waited, 0 if none. {SHARED}"
    yield _gauge("oldest_waiting_handoff_age_seconds", says, {(): counts["oldest_waiting_ms"] / 1000})


def _gauge(name: str, says: str, samples: Samples, *labels: str) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, says, labels=labels)
    for values, value in samples.items():
        if value is not None:
            family.add_metric(values, value)
    return family


def render(gathered: Gathered) -> bytes:
    """Return the exposition of what was gathered. Pure."""
    registry = CollectorRegistry()
    registry.register(_Gauges(gathered))
    return generate_latest(registry)


def add_routes(
    app: web.Application,
    *,
    store: Store,
    clock: Clock,
    access: Access,
    instruments: Instruments,
    readings: Readings,
    store_within_s: float = STORE_WITHIN_S,
) -> None:
    """Add `/metrics`. It holds no id of a customer and no text; once there are API keys, it wants one of role admin.

    While the store is away it answers all the same, with what this process knows itself and `store_up` 0.
    """

    async def keyed(request: web.Request, _role: str) -> web.StreamResponse:
        return await metrics(request)

    async def metrics(_request: web.Request) -> web.StreamResponse:
        now = clock.now()

        def unit(tx: Tx) -> tuple[Mapping[str, int], Rests]:
            return tx.counts(now), tx.channel_rests(now, MAX_CHANNELS)

        gathered = Gathered(readings=await readings())
        try:
            async with asyncio.timeout(store_within_s):
                counts, rests = await store.read(unit)
            gathered = Gathered(readings=gathered.readings, counts=counts, rests=rests)
        except (StoreUnavailable, TimeoutError):
            pass
        body = generate_latest(instruments.registry) + render(gathered)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    handler: Handler = guarded(keyed, access, frozenset({"admin"})) if access.is_configured else metrics
    app.router.add_get("/metrics", handler)
