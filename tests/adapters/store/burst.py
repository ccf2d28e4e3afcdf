"""A process that keeps lines as fast as it can and says which it acknowledged, until it is killed.

`python -m tests.adapters.store.burst <database URL> <first number>`
"""

import asyncio
import sys
from dataclasses import replace
from itertools import count

from adapters.store.opening import open_store
from bridge.ids import ConversationId, SourceId
from bridge.storage import Tx
from tests.contracts import store_samples as make
from tests.contracts.store_samples import SITE, T0

CONVERSATIONS = 5


def accept(tx: Tx, number: int) -> None:
    """Keep line `number`, as the front door does."""
    key = ConversationId(f"c{number % CONVERSATIONS}")
    tx.remember(SITE, SourceId(f"line-{number}"), T0)
    found = tx.conversation(SITE, key)
    if found is None:
        found = make.conversation(key)
        tx.insert_conversation(found)
    tx.append(SITE, key, make.entry(found.next_n, text=f"line-{number}"))
    tx.save_conversation(replace(found, next_n=found.next_n + 1), was_epoch=found.epoch)


async def main(url: str, first: int) -> None:
    """Run until killed."""
    store = await open_store(url)
    numbers = count(first)

    async def sender() -> None:
        for number in numbers:
            await store.run(lambda tx, number=number: accept(tx, number))  # type: ignore[misc]
            print(number, flush=True)  # noqa: T201 -- the acknowledgement that the test reads

    await asyncio.gather(*(sender() for _ in range(20)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
