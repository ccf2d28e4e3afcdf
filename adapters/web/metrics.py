"""`/metrics` for Prometheus: counts of what is kept and of what waits, read from the store at each scrape."""

from collections.abc import Iterable, Mapping

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adapters.web.answers import Access, Handler, guarded
from bridge.ports import Clock
from bridge.storage import Store

PREFIX = "handoff_bridge_"
# https://prometheus.io/docs/instrumenting/exposition_formats/
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HELP: Mapping[str, str] = {
    "open_handoffs": "Handoffs that wait for a person or have one.",
    "waiting_handoffs": "Those of them that wait.",
    "human_handoffs": "Those of them that have a person.",
    "oldest_waiting_ms": "How long the first of those that wait has waited, in milliseconds.",
    "unsent_outs": "Posts to desks that have not left yet.",
    "unsent_new": "Those of them whose thread is not open yet.",
    "unsent_line": "Those of them that are lines.",
    "unsent_cosmetic": "Those of them that change what is there.",
    "oldest_new_ms": "Age of the oldest of each kind in milliseconds.",
    "oldest_line_ms": "Age of the oldest of each kind in milliseconds.",
    "oldest_cosmetic_ms": "Age of the oldest of each kind in milliseconds.",
    "sending_outs": "Posts that were handed to the vendor and are not settled.",
    "dead_outs": "Posts that were given up; see handoff-bridge dead-letters.",
    "live_turns": "Runs of the agent that are queued or running.",
    "suppressed": "Texts of the agent that came too late and were kept from customers.",
}


class _Counts(Collector):
    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        for name, value in sorted(self._counts.items()):
            gauge = GaugeMetricFamily(PREFIX + name, HELP.get(name, name.replace("_", " ")))
            gauge.add_metric([], value)
            yield gauge


def render(counts: Mapping[str, int]) -> bytes:
    """Return the exposition of these counts. Pure."""
    registry = CollectorRegistry()
    registry.register(_Counts(counts))
    return generate_latest(registry)


def add_routes(app: web.Application, *, store: Store, clock: Clock, access: Access) -> None:
    """Add `/metrics`. It holds counts only, no id; once there are API keys, it wants one of role admin."""

    async def keyed(request: web.Request, _role: str) -> web.StreamResponse:
        return await metrics(request)

    async def metrics(_request: web.Request) -> web.StreamResponse:
        now = clock.now()
        counts = await store.read(lambda tx: dict(tx.counts(now)))
        return web.Response(body=render(counts), headers={"Content-Type": CONTENT_TYPE})

    handler: Handler = guarded(keyed, access, frozenset({"admin"})) if access.is_configured else metrics
    app.router.add_get("/metrics", handler)
