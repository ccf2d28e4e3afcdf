"""What a courier asks desks about a parcel: where it is in its thread, since what may have been sent must be found or
certainly not be there; and where people open a thread that it speaks of.
"""

from collections.abc import Mapping
from dataclasses import replace

from bridge.effects import OutKind
from bridge.ids import DeskName, Millis, RemoteRef
from bridge.outcomes import Delivered, Outcome
from bridge.parcels import Parcel
from bridge.ports import Desk

CLOCKS_DIFFER_MS = 5_000


async def find(desk: Desk, parcel: Parcel, now: Millis) -> tuple[RemoteRef | None, int]:
    """Return the message, if all of it is there, else how many of its posts are. Raises ThreadUnreadable."""
    head, thread = parcel.head, parcel.claim.thread
    since = Millis((head.attempt_at or now) - CLOCKS_DIFFER_MS)
    ref = await desk.find(thread, head.key, since)
    if ref is not None or head.kind is not OutKind.POST:
        return ref, 0
    earlier = parcel.posts(desk.capabilities)[:-1]
    for done, (key, _) in enumerate(earlier):
        if await desk.find(thread, key, Millis(head.queued_at - CLOCKS_DIFFER_MS)) is None:
            return None, done
    return None, len(earlier)


async def complete(desk: Desk, parcel: Parcel, found: RemoteRef) -> Outcome:
    """Let its files follow a post that was found: what made it unclear may have come before them."""
    posted = parcel.transcript or tuple(part for part in parcel.parts if part.files)
    return await desk.complete(parcel.claim.thread, posted, found) if posted else Delivered()


def addressed(parcel: Parcel, desks: Mapping[DeskName, Desk]) -> Parcel:
    """Return the parcel with the addresses of threads on other desks."""
    if all(part.link_desk is None for part in parcel.parts):
        return parcel
    parts = [
        replace(part, address=desk.address(part.link))
        if part.link is not None and part.link_desk is not None and (desk := desks.get(part.link_desk)) is not None
        else part
        for part in parcel.parts
    ]
    return replace(parcel, parts=tuple(parts))
