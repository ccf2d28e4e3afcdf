"""What is kept, and what those who share it agree on: store, files, time, hints. Chosen by the database's address."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from adapters import wiring
from adapters.clock import StoreClock, SystemClock
from adapters.store.files import open_files
from adapters.store.opening import open_store
from bridge.engine import Trouble
from bridge.hints import Hints
from bridge.ids import SiteId
from bridge.ports import Clock, Files
from bridge.settings import Settings
from bridge.storage import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Shelf:
    """The ports that go together. `shared`: other processes may work on the same store."""

    store: Store
    files: Files
    clock: Clock
    shared: bool = False
    hints: Hints | None = None
    reports: tuple[Callable[[], Trouble | None], ...] = ()
    when_lost: Callable[[Callable[[], None]], None] | None = None
    """Lets this be called when the store turns out to have been away, though no unit failed; None: it cannot be."""


async def open_shelf(settings: Settings, stack: contextlib.AsyncExitStack) -> Shelf:
    """Open the store and what goes with it; the stack closes it all. Raises SettingsError, in one line."""
    store = await open_store(settings.database_url)
    stack.push_async_callback(store.close)
    kept = await open_files(settings.files_folder, store, SiteId(settings.site))
    stack.push_async_callback(kept.close)
    if not wiring.is_shared(settings.database_url):
        return Shelf(store=store, files=kept, clock=SystemClock())
    from adapters.store.hints import PostgresHints
    from adapters.store.postgres import PostgresStore

    if not isinstance(store, PostgresStore):
        raise TypeError("a database that several processes share is PostgreSQL")
    clock, hints = StoreClock(store.store_time), PostgresHints(store)
    await clock.measure()
    keeping = asyncio.create_task(clock.keep())
    stack.callback(keeping.cancel)
    stack.push_async_callback(hints.close)
    hints.start()

    def clock_is_off() -> Trouble | None:
        return Trouble(name="clock", says=clock.trouble(), serves=True) if clock.trouble() else None

    def hints_are_lost() -> Trouble | None:
        return Trouble(name="hints", says=hints.trouble, serves=True) if hints.trouble else None

    return Shelf(
        store=store,
        files=kept,
        clock=clock,
        shared=True,
        hints=hints,
        reports=(clock_is_off, hints_are_lost),
        when_lost=store.when_lost,
    )
