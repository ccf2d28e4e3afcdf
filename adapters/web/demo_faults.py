"""The switches of the demo page: what a local Slack or Teams can be told to do wrong, and does until it is told not to.

They are passed on here, because browsers let no page of one origin reach the control interface of another.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

CALL_WITHIN_S = 5.0
EVENTS = "events"


class DeskAway(Exception):
    """The local Slack or Teams does not answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One switch. It hits a `share` of what the desk tells the bridge (`is_event`), or of the bridge's posts there."""

    name: str
    label: str
    hint: str
    kind: str
    is_event: bool = True
    after_s: float = 1.0
    share: float = 1.0


FAULTS = (
    Fault(name="twice", label="Twice", hint="What is said here arrives twice", kind="duplicate"),
    Fault(name="late", label="Late", hint="What is said here arrives 3 s late", kind="delay", after_s=3.0),
    Fault(name="order", label="Out of order", hint="Much of what is said here is overtaken", kind="reorder", share=0.5),
    Fault(
        name="limit",
        label="Rate limit",
        hint="Every other post is refused for 3 s",
        kind="rate_limited",
        is_event=False,
        after_s=3.0,
        share=0.5,
    ),
    Fault(
        name="cut",
        label="Cut off",
        hint="Every other post is made, but never confirmed",
        kind="drop_after",
        is_event=False,
        share=0.5,
    ),
)


def switches(on: Collection[str]) -> list[dict[str, Any]]:
    """Return the switches for the page."""
    return [{"name": each.name, "label": each.label, "hint": each.hint, "on": each.name in on} for each in FAULTS]


def settings(on: Sequence[str], posts: str) -> list[dict[str, Any]]:
    """Return what to tell the control interface, where `posts` is the desk's call that posts.

    Of the switches for events the last one counts: events that are late and others that are not could come in an order
    that nobody can mend.
    """
    chosen = [each for name in on for each in FAULTS if each.name == name]
    last = next((each for each in reversed(chosen) if each.is_event), None)
    return [
        {
            "target": EVENTS if each.is_event else posts,
            "kind": each.kind,
            "times": -1,
            "after_s": each.after_s,
            "probability": each.share,
        }
        for each in chosen
        if each is last or not each.is_event
    ]


async def read(url: str, posts: str) -> frozenset[str]:
    """Return the names of the switches that are on at the desk at this address. Raises DeskAway."""
    document = await _call("GET", url)
    found = {(fault["target"], fault["kind"]) for fault in document["faults"] if fault["times"] < 0}
    return frozenset(each.name for each in FAULTS if (EVENTS if each.is_event else posts, each.kind) in found)


async def write(url: str, posts: str, on: Sequence[str]) -> None:
    """Switch these on, as `settings` reads them, and all others off. May be called again. Raises DeskAway."""
    await _call("DELETE", url)
    for told in settings(on, posts):
        await _call("POST", url, told)


async def _call(method: str, url: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    timeout = aiohttp.ClientTimeout(total=CALL_WITHIN_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.request(method, f"{url}/sandbox/faults", json=body) as answer,
        ):
            answer.raise_for_status()
            return dict(await answer.json())
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise DeskAway(str(error)) from None
