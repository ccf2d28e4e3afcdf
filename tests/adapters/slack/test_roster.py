"""Who may act: facts from Slack, fresh, with a reason in plain words."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sandbox.client import Workspace
from adapters.sandbox.slack.people import (
    BILLING_TEAM,
    DANA,
    GUEST,
    LEE,
    OTHER_BOT,
    OUTSIDER,
    PARTNERS,
    SAM,
    SUPPORT,
    default_cast,
)
from adapters.slack.calls import SlackCalls
from adapters.slack.roster import SlackRoster, public_name
from bridge.conversation import Standing
from bridge.fakes.clock import ManualClock
from bridge.ids import ChannelId, OperatorId, QueueName
from bridge.routing import Queue
from tests.adapters.slack.conftest import settings_for
from tests.adapters.slack.rig import DESK, person

PLAIN = Queue(name=QueueName("support"), label="Support", desk=DESK, channels=(ChannelId(SUPPORT),))
LEE_MAIL = next(one.email for one in default_cast().people if one.id == LEE)


class Desk:
    """A roster whose queue can be changed, with a clock that stands still."""

    def __init__(self, url: str, max_age_s: float) -> None:
        self.clock = ManualClock()
        self.queues = {"support": PLAIN}
        self.calls = SlackCalls(settings_for(url, roster_max_age_s=max_age_s))
        self.roster = SlackRoster(calls=self.calls, queues=self.queues, clock=self.clock)

    def queue(self, **changes: Any) -> None:
        self.queues["support"] = replace(PLAIN, **changes)

    async def standing(self, user: str, queue: str = "support") -> tuple[Standing, str]:
        found = await self.roster.operator(person(user), queue)
        return found.standing, found.why


@pytest.fixture
async def desk(slack: Workspace) -> AsyncIterator[Desk]:
    """A roster that keeps facts for 30 s."""
    one = Desk(slack.url, 30.0)
    yield one
    await one.calls.stop()


async def test_a_member_of_the_channel_is_allowed(desk: Desk) -> None:
    """A full member in the queue's channel may act, and customers see the real name."""
    found = await desk.roster.operator(person(DANA), "support")

    assert (found.id, found.name, found.standing, found.why) == (person(DANA), "Dana Ruiz", Standing.ALLOWED, "")


REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("a guest", GUEST, {}, "Guests"),
    ("a bot", OTHER_BOT, {}, "bots"),
    ("another company's", OUTSIDER, {"channels": (ChannelId(PARTNERS),)}, "other organisations"),
    ("not in the channel", DANA, {"channels": (ChannelId(PARTNERS),)}, "members of the channel of Support"),
    ("not on the list", DANA, {"operators": frozenset({LEE})}, "listed for Support"),
    ("not in the group", DANA, {"user_group": BILLING_TEAM}, "user group of Support"),
    ("neither listed nor in the group", DANA, {"user_group": BILLING_TEAM, "operators": frozenset({"x@y.z"})}, "group"),
    ("unknown", "U0NOBODY00", {}, "does not know"),
]


@pytest.mark.parametrize("name, user, changes, words", REFUSED, ids=[case[0] for case in REFUSED])
async def test_others_are_not_and_read_why(
    desk: Desk, name: str, user: str, changes: dict[str, Any], words: str
) -> None:
    """Each reason against somebody is a sentence."""
    desk.queue(**changes)
    standing, why = await desk.standing(user)

    assert standing is Standing.NONE
    assert words in why
    assert why.endswith(".")


ALLOWED: list[tuple[str, str, dict[str, Any], Standing]] = [
    ("listed by id", LEE, {"operators": frozenset({LEE})}, Standing.ALLOWED),
    ("listed by our id", LEE, {"operators": frozenset({str(person(LEE))})}, Standing.ALLOWED),
    ("listed by e-mail", LEE, {"operators": frozenset({LEE_MAIL.upper()})}, Standing.ALLOWED),
    ("in the group", LEE, {"user_group": BILLING_TEAM}, Standing.ALLOWED),
    ("listed beside a group", DANA, {"user_group": BILLING_TEAM, "operators": frozenset({DANA})}, Standing.ALLOWED),
    ("a supervisor", SAM, {"supervisors": frozenset({SAM})}, Standing.SUPERVISOR),
    (
        "a supervisor not on the list",
        SAM,
        {"supervisors": frozenset({SAM}), "operators": frozenset({LEE})},
        Standing.SUPERVISOR,
    ),
    ("in one of several channels", DANA, {"channels": (ChannelId(PARTNERS), ChannelId(SUPPORT))}, Standing.ALLOWED),
]


@pytest.mark.parametrize("name, user, changes, expected", ALLOWED, ids=[case[0] for case in ALLOWED])
async def test_each_way_to_be_allowed(
    desk: Desk, name: str, user: str, changes: dict[str, Any], expected: Standing
) -> None:
    """Lists work by id and e-mail, groups by membership, supervisors without either."""
    desk.queue(**changes)

    assert await desk.standing(user) == (expected, "")


async def test_a_guest_on_the_list_is_still_a_guest(desk: Desk) -> None:
    """No list lifts a guest."""
    desk.queue(operators=frozenset({GUEST}), supervisors=frozenset({GUEST}))

    assert (await desk.standing(GUEST))[0] is Standing.NONE


async def test_people_of_other_desks_and_queues_that_are_gone(desk: Desk) -> None:
    """What cannot be verified has no standing."""
    assert (await desk.roster.operator(OperatorId("teams:x:y"), "support")).why
    assert "no queue billing" in (await desk.standing(DANA, "billing"))[1]


async def test_a_person_is_asked_about_once_within_the_age(desk: Desk, slack: Workspace) -> None:
    """Facts are kept for their time and not longer, and a deactivation counts then."""
    before = len(await slack.calls("users.info"))
    for _ in range(3):
        assert (await desk.standing(LEE))[0] is Standing.ALLOWED
    assert len(await slack.calls("users.info")) == before + 1

    await slack.act(LEE, "deactivate")
    desk.clock.set(desk.clock.now() + 29_000)
    still = await desk.standing(LEE)
    desk.clock.set(desk.clock.now() + 2_000)
    after = await desk.standing(LEE)
    await slack.act(LEE, "reactivate")

    assert still[0] is Standing.ALLOWED
    assert after == (Standing.NONE, "This account is deactivated.")


async def test_news_about_somebody_count_at_once(desk: Desk, slack: Workspace) -> None:
    """What Slack tells about a person is not hidden by what was kept."""
    assert (await desk.standing(LEE))[0] is Standing.ALLOWED
    await slack.act(LEE, "leave", channel=SUPPORT)
    desk.roster.forget(user=LEE, channel=SUPPORT)
    after = await desk.standing(LEE)
    await slack.act(LEE, "join", channel=SUPPORT)

    assert after[0] is Standing.NONE


@pytest.mark.parametrize("method", ["users.info", "conversations.members", "usergroups.users.list"])
async def test_what_slack_does_not_say_is_no_standing(desk: Desk, slack: Workspace, method: str) -> None:
    """A failing question refuses for now, says so, and is asked again next time."""
    desk.queue(user_group=BILLING_TEAM)
    await slack.fault(method, "error_before", error="internal_error")
    first = await desk.standing(LEE)

    assert first[0] is Standing.NONE
    assert "Try again" in first[1]
    assert (await desk.standing(LEE))[0] is Standing.ALLOWED


async def test_it_works_without_the_email_scope(desk: Desk, slack: Workspace) -> None:
    """An e-mail list matches nobody then, ids still do, and nothing breaks."""
    scopes = (await slack.request("GET", "/sandbox/app"))["scopes"]
    await slack.configure(scopes=[scope for scope in scopes if scope != "users:read.email"])
    desk.queue(operators=frozenset({LEE_MAIL, DANA}))
    by_mail, by_id = await desk.standing(LEE), await desk.standing(DANA)
    await slack.configure(scopes=scopes)

    assert by_mail[0] is Standing.NONE
    assert by_id[0] is Standing.ALLOWED


NAMES = [
    ({"profile": {"display_name": "dana", "real_name": "Dana Ruiz"}}, "Dana Ruiz"),
    ({"profile": {"display_name": "dana", "real_name": " "}, "real_name": "Dana Ruiz"}, "Dana Ruiz"),
    ({"profile": {"display_name": "dana", "real_name": ""}}, "dana"),
    ({"name": "dana.r"}, "dana.r"),
    ({"profile": {"real_name": "a\u202eb\nc"}}, "a b c"),
    ({}, ""),
]


@pytest.mark.parametrize("info, expected", NAMES)
def test_public_names(info: dict[str, Any], expected: str) -> None:
    """The real name, else what there is; one line, nothing that steers."""
    assert public_name(info) == expected


@given(st.text(max_size=300))
def test_any_name_becomes_one_short_line(name: str) -> None:
    """No name breaks a line or a limit."""
    shown = public_name({"profile": {"display_name": name}})

    assert "\n" not in shown
    assert len(shown) <= 80
