"""Who gets in at `/api/messages`: the library's real check of tokens, with the sandbox's keys as Microsoft's."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from adapters.sandbox.teams.people import DANA, OTHER_TENANT, SUPPORT, TENANT
from adapters.teams import known
from adapters.teams.activity import read_activity
from adapters.teams.auth import Auth, NotAdmitted
from adapters.teams.config import Local, TeamsSettings
from adapters.teams.keys import AGAIN_AFTER_MS, MAX_AGE_MS
from bridge.errors import SettingsError
from bridge.events import OperatorSaid
from bridge.fakes.clock import ManualClock
from tests.adapters.teams.in_rig import Stage, root, staged


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A desk and its team."""
    async with staged() as one:
        yield one


async def activity(stage: Stage, **changes: Any) -> dict[str, Any]:
    """Return what Teams sends when Dana replies in a thread of ours."""
    one = await stage.opened()
    await stage.teams.say(DANA, "Hello", root=root(one))
    sent = (await stage.teams.delivered("message", 1))[0]["activity"]
    assert isinstance(sent, dict)
    await stage.door.first(OperatorSaid)
    stage.door.events.clear()
    return {**sent, "id": str(int(sent["id"]) + 1), **changes}


TOKENS = {
    "valid": 200,
    "expired-within-leeway": 200,
    "none": 401,
    "not-bearer": 401,
    "garbage": 401,
    "expired": 401,
    "not-yet": 401,
    "wrong-audience": 401,
    "wrong-issuer": 401,
    "wrong-service-url": 401,
    "no-service-url": 401,
    "hs256": 401,
    "unsigned": 401,
    "unknown-key": 401,
    "unpublished-key": 401,
    "unendorsed": 401,
}


@pytest.mark.parametrize("token, status", TOKENS.items())
async def test_only_a_token_of_microsofts_for_this_bot_opens_the_door(stage: Stage, token: str, status: int) -> None:
    """A bad token is answered 401, never 500, and nothing of what came with it is kept."""
    sent = await activity(stage)

    answered, _ = await stage.teams.deliver(sent, token=token)

    assert answered == status
    assert len(stage.door.of(OperatorSaid)) == (1 if status == 200 else 0)


BODIES: dict[str, tuple[dict[str, Any], int]] = {
    "a foreign tenant": ({"channelData": {"tenant": {"id": OTHER_TENANT}}}, 403),
    "no tenant": ({"channelData": {}}, 403),
    "only the conversation's tenant": ({"channelData": None, "conversation": {"id": "x", "tenantId": TENANT}}, 403),
    "another channel": ({"channelId": "webchat"}, 403),
    "no serviceUrl": ({"serviceUrl": None}, 400),
    "an empty serviceUrl": ({"serviceUrl": ""}, 400),
    "a serviceUrl that is not the token's": ({"serviceUrl": "https://smba.trafficmanager.net/emea/"}, 401),
    "no type": ({"type": None}, 400),
    "a field of the wrong kind": ({"entities": "many"}, 400),
}


@pytest.mark.parametrize("name", BODIES)
async def test_what_does_not_belong_here_is_refused(stage: Stage, name: str) -> None:
    """The token proves neither the tenant nor that the body is whole; nothing is kept, the address stays as it was."""
    changes, status = BODIES[name]
    sent = await activity(stage)
    before = dict(await stage.facts.all())

    answered, _ = await stage.teams.deliver({**sent, **changes}, token="valid")

    assert answered == status
    assert stage.door.events == []
    assert await stage.facts.all() == before


async def test_an_address_outside_the_list_is_refused_even_if_signed(stage: Stage) -> None:
    """Microsoft's own signature does not make us send the bot's token anywhere."""
    sent = await activity(stage)
    stage.sandbox.team.base_url = "http://127.0.0.1:1"
    foreign = stage.sandbox.team.service_url

    answered, text = await stage.teams.deliver({**sent, "serviceUrl": foreign}, token="valid")

    assert (answered, text) == (403, "service_url_not_trusted")
    assert (await stage.facts.all()).get(known.SERVICE_URL) != foreign


RAW = [
    (b"{", "application/json", 400),
    (b"[" * 100_000, "application/json", 400),
    (b'"x"', "application/json", 400),
    (b"\xff\xfe", "application/json", 400),
    (b"{}", "text/plain", 415),
    (b" " * 300_000, "application/json", 413),
]


@pytest.mark.parametrize("body, kind, status", RAW, ids=[f"{row[2]}-{at}" for at, row in enumerate(RAW)])
async def test_bodies_are_measured_before_they_are_read(stage: Stage, body: bytes, kind: str, status: int) -> None:
    """Too large, no JSON, no activity: told so, and nothing else happens."""
    header = stage.sandbox.delivery._header("valid")
    assert header is not None
    headers = {"Authorization": header, "Content-Type": kind}
    async with aiohttp.ClientSession() as session, session.post(stage.url, data=body, headers=headers) as answer:
        assert answer.status == status
    assert stage.door.events == []


async def test_a_change_of_keys_is_followed(stage: Stage) -> None:
    """A token of a new key is good at once; one of the key that was taken back is not."""
    sent = await activity(stage)
    old = stage.sandbox.delivery._header("valid")
    clock = ManualClock(stage.parts.clock.now())
    stage.parts.door._auth.keys._clock = clock
    clock.set(clock.now() + AGAIN_AFTER_MS)
    await stage.teams.act(DANA, "roll_keys")

    assert (await stage.teams.deliver(sent, token="valid"))[0] == 200
    headers = {"Authorization": old or ""}
    async with aiohttp.ClientSession() as session, session.post(stage.url, json=sent, headers=headers) as answer:
        assert answer.status == 401


async def test_unknown_keys_do_not_make_us_ask_again_and_again(stage: Stage) -> None:
    """Anybody can name a key that is not there: the list is fetched once a minute for that, and once a day anyway."""
    sent = await activity(stage)
    clock = ManualClock(stage.parts.clock.now())
    keys = stage.parts.door._auth.keys
    keys._clock = clock
    keys._tried_at = clock.now()
    for _ in range(5):
        assert (await stage.teams.deliver(sent, token="unknown-key"))[0] == 401
    assert keys._tried_at == keys._fetched_at or keys._tried_at == clock.now()
    before = keys._fetched_at
    clock.set(clock.now() + MAX_AGE_MS + 1)
    assert (await stage.teams.deliver(sent, token="valid"))[0] == 200
    assert keys._fetched_at == clock.now() != before


async def test_without_keys_nobody_is_let_in_and_teams_comes_again(stage: Stage) -> None:
    """Where Microsoft's list cannot be had the answer is 503, not a refusal, and nothing is kept."""
    sent = await activity(stage)
    keys = stage.parts.door._auth.keys
    keys._keys.clear()
    keys._fetched_at = keys._tried_at = None
    keys._url = "http://127.0.0.1:1/none"

    assert (await stage.teams.deliver(sent, token="valid"))[0] == 503
    assert stage.door.events == []


def ours(**changes: Any) -> TeamsSettings:
    given: dict[str, Any] = {"app_id": "a", "app_password": "s", "tenant_id": TENANT}
    return TeamsSettings(**(given | changes))


def test_a_bot_that_nobody_may_use_or_everybody_does_not_start() -> None:
    """No tenant named: refused at the start; a local Teams elsewhere than on this machine too."""
    with pytest.raises(SettingsError, match="HANDOFF_TEAMS__TENANTS"):
        Auth(ours(app_type="MultiTenant", tenant_id=""), ManualClock())
    away = Local(service_url="http://10.0.0.1/", metadata_url="", authority_url="")
    with pytest.raises(SettingsError, match="this machine"):
        Auth(ours(local=away), ManualClock())


PLAYGROUND = Local(service_url="http://127.0.0.1:56150/_connector", metadata_url="", authority_url="", unsigned=True)
HERE = {"Host": "127.0.0.1:8080"}
ELSEWHERE: dict[str, tuple[dict[str, str], str | None]] = {
    "another machine": (HERE, "10.0.0.7"),
    "no address": (HERE, None),
    "a name for an address": (HERE, "localhost"),
    "a proxy": ({**HERE, "X-Forwarded-For": "198.51.100.7"}, "127.0.0.1"),
    "a tunnel": ({"Host": "bridge.example.com"}, "127.0.0.1"),
    "a page in a browser": ({**HERE, "Origin": "http://127.0.0.1:8080"}, "127.0.0.1"),
    "a name that is made to mean this machine": ({"Host": "localhost.attacker.example"}, "127.0.0.1"),
    "no host": ({}, "127.0.0.1"),
    "a broken host": ({"Host": "[::1"}, "127.0.0.1"),
    "a token that nobody could check": ({**HERE, "Authorization": "Bearer a.b.c"}, "127.0.0.1"),
}


@pytest.mark.parametrize("headers, remote", ELSEWHERE.values(), ids=ELSEWHERE)
async def test_what_is_unsigned_is_taken_of_this_machine_only(headers: dict[str, str], remote: str | None) -> None:
    """Microsoft's playground sends no token: that is a way in for this machine, and for nobody behind it."""
    auth = Auth(ours(local=PLAYGROUND, app_password=""), ManualClock())
    sent = read_activity(
        {
            "type": "message",
            "channelId": "msteams",
            "serviceUrl": PLAYGROUND.service_url,
            "channelData": {"tenant": {"id": TENANT}},
        }
    )
    await auth.check(HERE, sent, "127.0.0.1")
    await auth.check({"Host": "localhost:8080"}, sent, "::1")
    with pytest.raises(NotAdmitted) as refused:
        await auth.check(headers, sent, remote)
    assert refused.value.status == 401


async def test_even_where_nothing_is_signed_tenant_and_address_are_asked_for() -> None:
    """Another tenant, another channel and another address to answer to stay out."""
    auth = Auth(ours(local=PLAYGROUND, app_password=""), ManualClock())
    good = {
        "type": "message",
        "channelId": "msteams",
        "serviceUrl": PLAYGROUND.service_url,
        "channelData": {"tenant": {"id": TENANT}},
    }
    for change in (
        {"channelData": {"tenant": {"id": OTHER_TENANT}}},
        {"channelId": "emulator"},
        {"serviceUrl": "http://127.0.0.1:9/_connector"},
    ):
        with pytest.raises(NotAdmitted) as refused:
            await auth.check(HERE, read_activity(good | change), "127.0.0.1")
        assert refused.value.status == 403


def test_a_local_teams_is_signed_unless_somebody_says_otherwise() -> None:
    """To leave its keys out does not switch the check off, and both at once is a mistake."""
    signed = replace(PLAYGROUND, metadata_url="http://127.0.0.1:1/meta")
    for confused in (signed, replace(PLAYGROUND, unsigned=False)):
        with pytest.raises(SettingsError, match="one of the two"):
            Auth(ours(local=confused), ManualClock())
    with pytest.raises(NotAdmitted):
        Auth(ours(local=replace(signed, unsigned=False)), ManualClock()).check_head(HERE, "127.0.0.1")


async def test_the_newest_address_of_the_connector_is_remembered(stage: Stage) -> None:
    """Teams may move a tenant: what it says now is where the next message goes."""
    sent = await activity(stage)
    await stage.teams.act(DANA, "move", region="apac")
    await stage.teams.say(DANA, "After the move", channel=SUPPORT)
    await stage.teams.delivered("message", 2)

    assert stage.parts.calls.service_url == stage.sandbox.team.service_url != sent["serviceUrl"]
