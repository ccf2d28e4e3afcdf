"""Replies that are faster than the bridge's knowledge of its own card: none is lost, none comes late."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.sandbox.client import Workspace
from adapters.sandbox.slack.people import DANA, LEE, SAM, SUPPORT
from adapters.sandbox.slack.settings import DEFAULT_SCOPES
from bridge.events import OperatorSaid
from tests.adapters.slack.conftest import SHORTCUTS, Stage, root_ts
from tests.adapters.slack.rig import until
from tests.adapters.slack.whole import GRACE_S, Office, office_at

pytestmark = pytest.mark.xdist_group("slack-whole")


@pytest.fixture
async def office(tmp_path: Path, slack: Workspace) -> AsyncIterator[Office]:
    """A bridge that no conversation has reached yet; every event but people's is lost until the test says otherwise."""
    await slack.reset_rules()
    await slack.configure(request_url=None, scopes=list(DEFAULT_SCOPES), shortcuts=SHORTCUTS)
    async with office_at(tmp_path, slack) as one:
        yield one
        await slack.clear_faults()


async def card_of_nobody(office: Office, kind: str, **details: float) -> str:
    """Let the card be posted, its echo lost and its answer too; return its `ts`, which the store does not know."""
    before = {message["ts"] for message in await office.slack.messages(SUPPORT)}
    await office.slack.fault("events", "lose")
    await office.slack.fault("chat.postMessage", kind, **details)
    await office.says("I want to talk to a person")
    shown = await office.slack.wait_for(
        lambda state: [root for root in state.roots(SUPPORT) if root["ts"] not in before and "H-" in str(root)]
    )
    assert await office.root() == ""
    return str(shown[-1]["ts"])


@pytest.mark.parametrize(
    "kind, delay_s", [("drop_after", 0.0), ("drop_after", 0.02), ("drop_after", 0.05), ("delay_after", 0.0)]
)
async def test_a_reply_before_the_card_is_settled_settles_it(office: Office, kind: str, delay_s: float) -> None:
    """Whoever answers below a card of which the bridge has not heard yet is heard, and once."""
    ts = await card_of_nobody(office, kind, after_s=GRACE_S * 3)
    await asyncio.sleep(delay_s)
    await office.slack.say(DANA, "I am on it", thread_ts=ts)
    await office.slack.say(LEE, "me too", thread_ts=ts)

    async def both() -> bool:
        return [entry.text for entry in await office.log() if entry.text in {"I am on it", "me too"}] == [
            "I am on it",
            "me too",
        ]

    await office.eventually(both)
    assert await office.root() == ts
    await office.settled()
    cards = (await office.slack.state()).roots(SUPPORT)
    assert [card["ts"] for card in cards if float(card["ts"]) >= float(ts) and "H-1001" in str(card)] == [ts]


async def test_a_reply_that_nobody_can_place_yet_comes_again(office: Office) -> None:
    """While Slack refuses to show the card the reply is not acknowledged; delivered again, it is heard once."""
    await office.slack.fault("conversations.replies", "rate_limited", after_s=1)
    ts = await card_of_nobody(office, "drop_after")
    await office.slack.say(DANA, "patience", thread_ts=ts)

    async def heard() -> int:
        return sum(entry.text == "patience" for entry in await office.log())

    assert await office.eventually(heard, within_s=15) == 1
    assert [d for d in await office.slack.deliveries("message") if d["reason"] == "timeout"]


async def test_other_peoples_threads_cost_no_call(by_http: Stage) -> None:
    """Talk in threads that are not ours is not looked up, since Slack says who began them."""
    one = await by_http.opened()
    other = await by_http.slack.say(DANA, "lunch?", channel=SUPPORT)
    for text in ("yes", "no"):
        await by_http.slack.say(LEE, text, channel=SUPPORT, thread_ts=other)
    await by_http.slack.say(SAM, "the end", thread_ts=root_ts(one))
    await until(lambda: by_http.door.of(OperatorSaid))

    assert [event.text for event in by_http.door.of(OperatorSaid)] == ["the end"]
    assert other not in [call["args"]["ts"] for call in await by_http.slack.calls("conversations.replies")]
