"""The composition root: from settings to adapters to one aiohttp application. The only file that sees every adapter."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from adapters import agents, desks, directline, wiring
from adapters.shelf import Shelf, open_shelf
from adapters.store.gauges import schema_of
from adapters.store.schema import REVISIONS
from adapters.web import control, draining, files, health, listening, openapi, operations
from adapters.web.answers import Access
from adapters.web.instruments import Instruments
from adapters.web.metered import MeteredDesk, MeteredStore
from bridge import log as logs
from bridge import routing
from bridge.conversation import Conversation, Customer, FileRef
from bridge.engine import Engine, EngineParts
from bridge.envelope import HandoffEnvelope
from bridge.ids import ConversationId, CustomerId, SiteId
from bridge.judging import House
from bridge.ports import Agent, Clock, Roster
from bridge.settings import Settings
from bridge.storage import Store

log = logs.get(__name__)
MAX_BODY_BYTES = 64 * 1024 * 1024
HUSH_WITHIN_S = 4.0
"""How long to wait for what the desks' vendors sent before a stop; they deliver again what was not acknowledged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bridge:
    """A bridge that listens."""

    url: str
    port: int
    engine: Engine
    store: Store
    directline: directline.DirectLine


def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Blocks."""
    logs.configure(level=settings.log.level, form=settings.log.format, secrets=wiring.secrets(settings))
    run_loop(until_stopped(serving(settings)))


def run_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where it installs."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


async def until_stopped(context: contextlib.AbstractAsyncContextManager[Any]) -> None:
    """Hold the context open until the process is asked to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(name, stop.set)
    async with context:
        await stop.wait()
        log.info("stopping")


@contextlib.asynccontextmanager
async def serving(
    settings: Settings,
    *,
    more_routes: Callable[[web.Application, "Bridge"], None] | None = None,
    agent: Agent | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Bridge]:
    """Open everything in the order of need, listen, and undo it in the reverse order.

    The server listens before a desk's vendor is asked anything, so that customers are served while Slack or Teams is
    away. `clock` tells another time than the machine's or the database's. Raises SettingsError, in one line, for an
    address that cannot be listened on, a store that cannot be opened and a rule that cannot be read.
    """
    async with contextlib.AsyncExitStack() as stack:
        door = stack.enter_context(listening.door(settings.host, settings.port))
        settings = settings.model_copy(update={"port": door.getsockname()[1]})
        shelf = await open_shelf(settings, stack)
        if clock is not None:
            shelf = replace(shelf, clock=clock)
        joined = _join(settings, shelf, agent)
        if (close := getattr(joined.agent, "close", None)) is not None:
            stack.push_async_callback(close)
        if more_routes is not None:
            more_routes(joined.app, joined.bridge)
        stack.push_async_callback(joined.desks.stop)
        stack.push_async_callback(joined.bridge.engine.stop)
        joined.bridge.engine.start([MeteredDesk(parts.desk, joined.instruments.sent) for parts in joined.desks.all])
        await stack.enter_async_context(listening.listening(joined.app, door))
        _collect_garbage_from_here_on()
        stack.push_async_callback(_drain, joined)
        await asyncio.to_thread(joined.house.triggers.read_rules)
        await joined.desks.start()
        log.info("listening", url=settings.public_url, desks=[parts.desk.name for parts in joined.desks.all])
        yield joined.bridge


async def _drain(joined: "_Joined") -> None:
    """Let the world see that this process stops, and others take over; then what is at hand is finished.

    At most 10 s in all: 4 for the vendors' payloads and the agent's runs, 1 for requests under way, 4 for posts, and 1
    for
    the rest. The address is listened on until then, so that all is answered.
    """
    loop = asyncio.get_running_loop()
    hushed_at = loop.time() + HUSH_WITHIN_S
    joined.bridge.engine.say_draining()
    hushing = asyncio.create_task(joined.desks.hush())
    await asyncio.gather(joined.bridge.directline.close(), joined.bridge.engine.drain())
    _, late = await asyncio.wait({hushing}, timeout=max(0.0, hushed_at - loop.time()))
    for task in late:
        task.cancel()
    await asyncio.gather(hushing, return_exceptions=True)
    await joined.gate.quiet(listening.FINISH_WITHIN_S)
    await joined.bridge.engine.stop()


def _collect_garbage_from_here_on() -> None:
    """Undo what `serve` does at its start. What is there by now stays, so no collection has to look at it again."""
    if not gc.isenabled():
        gc.freeze()
        # Each line makes hundreds of objects that live as long as it does. The usual 700 look at them while most are
        # still in use, and move them on to where looking takes longest.
        gc.set_threshold(5_000, 20, 50)
        gc.enable()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Joined:
    bridge: Bridge
    app: web.Application
    gate: draining.Gate
    house: House
    desks: desks.Desks
    instruments: Instruments
    agent: Agent


def _join(settings: Settings, shelf: Shelf, agent: Agent | None) -> _Joined:
    """Make the engine and the adapters around it. Opens nothing."""
    clock, kept, site, instruments = shelf.clock, shelf.files, SiteId(settings.site), Instruments()
    # What another process heard meanwhile comes again later: it must not come after what this one hears next.
    store = MeteredStore(shelf.store, instruments.unit, on_failure=lambda: there.doubt() if shelf.shared else None)
    # Their library loads for a quarter of a second: that comes after the first answer.
    house = wiring.house(settings, rules_later=True)
    gate = draining.Gate(lambda: engine.draining)
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[gate.middleware])
    links = files.Links(site=site, base_url=settings.public_url, keys=wiring.keys(settings), clock=clock)
    link = files.add_routes(app, links=links, files=kept, store=store)
    speaker = agent or _agent(settings, link, clock)
    engine = Engine(
        EngineParts(
            store=store,
            clock=clock,
            house=house,
            agent=speaker,
            grace_ms=int(settings.unclear_grace_s * 1000),
            paces=desks.PACES,
            site=site,
            hints=shelf.hints,
            shared=shelf.shared,
            reports=shelf.reports,
            meter=instruments.note,
        )
    )
    there = desks.create(
        settings, engine=engine, store=store, files=kept, link=link, directory=house.directory, clock=clock
    )
    if shelf.when_lost is not None:
        shelf.when_lost(there.doubt)
    widget = directline.create(
        _directline(settings),
        site=site,
        receive=engine.receive,
        feed=engine.showing,
        lookup=engine.lookup,
        files=kept,
        link=link,
        clock=clock,
    )
    app.add_routes([*widget.routes, *there.routes])
    roster = desks.RosterByQueue(there, house.directory)
    _add_control(app, settings, engine=engine, roster=roster, clock=clock, directory=house.directory)
    _add_operations(app, settings, instruments, engine=engine, store=store, there=there, widget=widget, shelf=shelf)
    bridge = Bridge(url=settings.public_url, port=settings.port, engine=engine, store=store, directline=widget)
    return _Joined(bridge=bridge, app=app, gate=gate, house=house, desks=there, instruments=instruments, agent=speaker)


def _add_operations(
    app: web.Application,
    settings: Settings,
    instruments: Instruments,
    *,
    engine: Engine,
    store: MeteredStore,
    there: desks.Desks,
    widget: directline.DirectLine,
    shelf: Shelf,
) -> None:
    async def schema() -> operations.Schema:
        revision, serves_from = await schema_of(shelf.store)
        return operations.Schema(revision=revision, serves_from=serves_from)

    watched = operations.Watched(
        engine=engine,
        store=store,
        clock=shelf.clock,
        slack=None if there.slack is None else there.slack.health,
        teams=None if there.teams is None else there.teams.health,
        sockets=widget.sockets,
        schema=schema,
        known=REVISIONS,
        config=health.config_version(settings),
    )
    operations.add_routes(app, watched, instruments=instruments, access=_access(settings))


def _add_control(
    app: web.Application,
    settings: Settings,
    *,
    engine: Engine,
    roster: Roster,
    clock: Clock,
    directory: routing.Directory,
) -> None:
    site = SiteId(settings.site)

    def queue_for(envelope: HandoffEnvelope) -> str:
        nobody = Conversation(
            site=site, id=ConversationId(envelope.conversation_id), widget="", customer=Customer(id=CustomerId(""))
        )
        return routing.route(envelope, nobody, directory, clock.now()).queue.name

    calls = control.Control(
        site=site, receive=engine.receive, lookup=engine.lookup, clock=clock, roster=roster, queue_for=queue_for
    )
    control.add_routes(app, calls, _access(settings))

    def documents() -> dict[str, Mapping[str, Any]]:
        return openapi.schemas(turn=agents.turn_schema(), event=agents.replies_schema(), tool=agents.hand_off_tool())

    openapi.add_routes(app, base_url=settings.public_url, documents=documents)


def _access(settings: Settings) -> Access:
    return Access([(key.role, key.key.get_secret_value()) for key in settings.api_keys])


def _agent(settings: Settings, link: Callable[[FileRef], str], clock: Clock) -> Agent:
    section = settings.agent
    return agents.create(
        section.kind,
        url=section.url,
        secret=section.secret.get_secret_value() if section.secret else "",
        name=section.name,
        link=link,
        now_s=lambda: clock.now() / 1000,
    )


def _directline(settings: Settings) -> directline.DirectLineSettings:
    section = settings.directline
    return directline.DirectLineSettings(
        signing_secrets=wiring.keys(settings),
        secret=section.secret.get_secret_value() if section.secret else None,
        base_url=settings.base_url or None,
        trusted_origins=tuple(section.trusted_origins),
        anonymous_tokens=section.anonymous,
        agent_name=settings.agent.name,
        public_label=settings.public_label,
    )
