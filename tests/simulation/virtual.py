"""An event loop whose time is virtual: when everybody waits, time jumps to the next thing that is due.

No thread, no socket and no real clock takes part, and sets of tasks have an order of their own, so that one seed gives
one history.
"""

import asyncio
import contextvars
import selectors
from collections.abc import Callable, Coroutine, Generator, Mapping
from itertools import count
from typing import Any, TypeVar

from bridge.ids import Millis

T = TypeVar("T")
START_MS = 1_767_600_000_000
"""Monday, 5 January 2026, 08:00 UTC."""


class Stuck(Exception):
    """Everybody waits for something that nothing will bring."""


class _Selector(selectors.BaseSelector):
    """Sees no file ever; waiting is what moves time."""

    def __init__(self) -> None:
        self.time = 0.0
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(fileobj, fileobj if isinstance(fileobj, int) else fileobj.fileno(), events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck("nothing is due and nobody can run")
        self.time += max(0.0, timeout)
        return []


class _Task(asyncio.Task[Any]):
    """A task that hashes by its number, not by its address: asyncio keeps tasks in sets, and iterates over them."""

    _numbers = count(1)

    def __init__(self, *arguments: Any, **more: Any) -> None:
        self.number = next(self._numbers)
        super().__init__(*arguments, **more)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class VirtualLoop(asyncio.SelectorEventLoop):
    """See above. `on_task` is told of every task that is made, and of the context that it runs in."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        self.on_task: Callable[[asyncio.Task[Any], contextvars.Context], None] = lambda _, __: None
        self.set_task_factory(self._make)

    def time(self) -> float:
        return self._virtual.time

    def _make(
        self,
        loop: asyncio.AbstractEventLoop,
        work: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        *,
        context: contextvars.Context | None = None,
    ) -> "asyncio.Task[Any]":
        if context is None:
            context = contextvars.copy_context()
        task = _Task(work, loop=loop, context=context)
        self.on_task(task, context)
        return task


class LoopClock:
    """A `ports.Clock` on a loop's time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> Millis:
        return Millis(START_MS + round(self._loop.time() * 1000))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run(work: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run to the end on a virtual loop of its own."""
    loop = VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(work(loop))
