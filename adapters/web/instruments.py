"""The figures of one process as Prometheus keeps them: what happened here, counted and timed.

Names and units by https://prometheus.io/docs/practices/naming/. No label holds an id of a customer or a text.
"""

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector, disable_created_metrics

from bridge.ids import DeskName
from bridge.meters import Ended, Fact, FirstWord, HandedOver, Received, Taken, TurnEnded, TurnFailed
from bridge.outcomes import Outcome

PREFIX = "handoff_"
HERE = "Counted by this process since its start; sum over processes."
CODES = frozenset(
    {"timeout_first_byte", "timeout_total", "too_large", "unreadable", "unreachable", "refused", "crashed"}
)
_PEOPLE_S = (5, 15, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600)
_TURN_S = (0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120)
_SEND_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_UNIT_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5)


class Instruments:
    """Takes what the core (`note`), the store (`unit`) and a desk (`sent`) tell. Never blocks, never raises."""

    def __init__(self) -> None:
        """Start at nought, in a registry of its own."""
        # A second sample beside each, which nobody reads here:
        # https://prometheus.github.io/client_python/instrumenting/#disabling-_created-metrics
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no annotation here
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._events = self._counter("events", "Events that the front door answered.", "kind", "status")
        self._handoffs = self._counter("handoffs", "Conversations handed over to people.", "queue", "reason")
        self._ended = self._counter("handoffs_ended", "Handoffs that ended, by outcome.", "queue", "how", "outcome")
        self._taken = self._histogram(
            "time_to_take", "From a handoff's opening to its first owner.", _PEOPLE_S, "queue"
        )
        self._first_word = self._histogram(
            "time_to_first_word",
            "From a handoff's opening to a person's first line to the customer.",
            _PEOPLE_S,
            "queue",
        )
        self._turns = self._histogram("turn_duration", "One attempt of the agent at one turn.", _TURN_S, "ending")
        self._failures = self._counter("turn_failures", "Attempts of the agent that failed.", "code")
        self._sends = self._counter("sends", "Calls that send to a desk.", "desk", "call", "outcome")
        self._send_s = self._histogram("send_duration", "One such call.", _SEND_S, "desk", "call")
        self._unit_s = self._histogram(
            "store_unit_duration", "One unit of the store, its wait included.", _UNIT_S, "kind"
        )
        self._store_failures = self._counter("store_failures", "Units that the store did not keep.", "kind")

        # Those that every event, unit and send passes: to find a label anew each time costs more than all the rest.
        self._event = cache(self._events.labels)
        self._unit = cache(self._unit_s.labels)
        self._send = cache(self._sends.labels)
        self._call_s = cache(self._send_s.labels)

    def about(self, **facts: str) -> None:
        """Say what runs: version, configuration, schema."""
        Info(PREFIX + "build", "What this process runs.", registry=self.registry).info(facts)

    def note(self, fact: Fact) -> None:
        """Take a fact of the core. A `Meter`."""
        match fact:
            case Received(kind=kind, status=status):
                self._event(kind, status).inc()
            case HandedOver(queue=queue, reason=reason):
                self._handoffs.labels(queue, reason).inc()
            case Taken(queue=queue, after_s=after_s):
                self._taken.labels(queue).observe(after_s)
            case FirstWord(queue=queue, after_s=after_s):
                self._first_word.labels(queue).observe(after_s)
            case Ended(queue=queue, how=how, outcome=outcome):
                self._ended.labels(queue, how, outcome).inc()
            case TurnEnded(ending=ending, took_s=took_s):
                self._turns.labels(ending).observe(took_s)
            case TurnFailed(code=code):
                self._failures.labels(code if code in CODES else "other").inc()

    def sent(self, desk: DeskName, call: str, outcome: Outcome, took_s: float) -> None:
        """Take a send. A `DeskMeter`."""
        self._send(desk, call, type(outcome).__name__.lower()).inc()
        self._call_s(desk, call).observe(took_s)

    def unit(self, kind: str, took_s: float, *, failed: bool) -> None:
        """Take a unit of the store. A `StoreMeter`."""
        self._unit(kind).observe(took_s)
        if failed:
            self._store_failures.labels(kind).inc()

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, f"{says} {HERE}", labels, registry=self.registry)

    def _histogram(self, name: str, says: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}{name}_seconds", f"{says} {HERE}", labels, buckets=buckets, registry=self.registry)
