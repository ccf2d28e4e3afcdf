"""Units of work that share a transaction. A database on another machine asks some ways there and back of each
transaction, and a disk one wait: those of many sends are the same as those of one. A store in this process has its own
way to share commits, and needs none of this.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from bridge.errors import StoreUnavailable
from bridge.storage import Store, Tx

T = TypeVar("T")
_Waiting = tuple[Callable[[Tx], Any], "asyncio.Future[Any]"]


class Runs(Protocol):
    """Whatever runs units: a store, or what groups them for one."""

    async def run(self, unit: Callable[[Tx], T]) -> T: ...


class GroupCommit:
    """Runs units that have nothing to do with each other: those that come while one is under way share the next
    transaction. Each is answered after the commit that holds it.

    Together they hold more locks than one: where they cross with those of another process, the database undoes one of
    the two, and the store runs it again.
    """

    def __init__(self, store: Store, *, at_most: int = 16) -> None:
        """`at_most` units share a transaction: it holds the locks of all of them until its end."""
        self._store, self._at_most = store, at_most
        self._waiting: list[_Waiting] = []
        self._turn = asyncio.Lock()

    async def run(self, unit: Callable[[Tx], T]) -> T:
        """Run the unit and return what it returned. Raises StoreUnavailable, or what the unit raised; then nothing of
        it was kept. A unit may be run twice, and is kept once. Cancelled before it began, it changes nothing.
        """
        mine: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        waiting = (unit, mine)
        self._waiting.append(waiting)
        try:
            async with self._turn:
                while not mine.done():
                    group, self._waiting = self._waiting[: self._at_most], self._waiting[self._at_most :]
                    await self._run(group)
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            raise
        return mine.result()

    async def _run(self, group: list[_Waiting]) -> None:
        try:
            results = await self._store.run(lambda tx: [unit(tx) for unit, _ in group])
        except StoreUnavailable as error:
            for _, future in group:
                _fail(future, StoreUnavailable(str(error)))
        except Exception as error:  # noqa: BLE001 -- it belongs to whoever gave the unit, and only to them
            if len(group) == 1:
                _fail(group[0][1], error)
                return
            for waiting in group:
                await self._run([waiting])
        except BaseException:
            # This caller is gone; what came of the others' units is not known either.
            for _, future in group:
                _fail(future, StoreUnavailable("the unit was broken off"))
            raise
        else:
            for (_, future), result in zip(group, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _fail(future: "asyncio.Future[Any]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        # Whoever was cancelled does not ask for it.
        future.exception()
