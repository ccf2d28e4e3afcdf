"""Tokens of both directions are checked as Microsoft checks them, and MSAL and botbuilder can be pointed here."""

import asyncio
from typing import Any

import pytest
import requests
from botframework.connector.auth import ChannelValidation, SimpleCredentialProvider

from adapters.sandbox.teams.client import TeamsClient
from adapters.sandbox.teams.keys import ISSUER
from adapters.sandbox.teams.people import BILLING, DANA, SUPPORT, TEAM_GROUP, TENANT
from adapters.sandbox.teams.sandbox import Sandbox
from tests.adapters.sandbox.teams.rig import Bot, with_card


@pytest.mark.parametrize(
    "secret,status,code",
    [("invalid", 401, "AADSTS7000215"), ("expired", 401, "AADSTS7000222"), ("unknown_app", 400, "AADSTS700016")],
)
async def test_a_bad_secret_is_named_in_entra_s_words(
    bot: Bot, teams: TeamsClient, secret: str, status: int, code: str
) -> None:
    """Whatever is wrong with the secret or the app is answered with Entra's code for it."""
    await teams.rules(secret=secret)
    answer = await bot.sign_in()
    assert (answer["status"], answer["error_description"].split(":")[0]) == (status, code)


async def test_only_the_right_secret_tenant_and_scope_get_a_token(bot: Bot, teams: TeamsClient) -> None:
    """Another secret, tenant or scope is refused; the log of calls holds no secret."""
    assert (await bot.sign_in(secret="guess"))["error_codes"] == [7000215]
    assert (await bot.sign_in(tenant="elsewhere"))["error_codes"] == [90002]
    assert (await bot.sign_in(tenant="botframework.com"))["error_codes"] == [700016]
    assert (await bot.sign_in(scope="https://vault.azure.net"))["error_codes"] == [70011]
    await teams.rules(authority="botframework.com")
    assert (await bot.sign_in(tenant="botframework.com"))["status"] == 200
    assert bot.app["app_password"] not in str(await teams.calls())


async def test_calls_need_a_token_of_the_right_kind_and_age(bot: Bot, teams: TeamsClient) -> None:
    """No token, a made-up one, an old one, a revoked one and one for Graph are all refused by the connector."""
    good = bot.token
    for bad in ("", "made.up.token"):
        bot.token = bad
        assert (await bot.open(with_card()))[0] == 401
    await bot.sign_in(scope="https://graph.microsoft.com")
    assert (await bot.open(with_card()))[0] == 401
    await teams.rules(token_life_s=0.01)
    await bot.sign_in()
    await asyncio.sleep(0.02)
    assert (await bot.open(with_card()))[0] == 401
    bot.token = good
    assert (await bot.open(with_card()))[0] == 201
    await teams.act(DANA, "revoke_tokens")
    assert (await bot.open(with_card()))[0] == 401


async def test_signing_in_can_fail_as_anything_else(bot: Bot, teams: TeamsClient) -> None:
    """The token endpoint has outages too, and is well afterwards."""
    await teams.fault("token", "http_before", status=503)
    async with bot.session.post(f"{bot.app['authority_url']}/{TENANT}/oauth2/v2.0/token", data={}) as answer:
        assert answer.status == 503
    assert (await bot.sign_in())["status"] == 200


class _Plainly(requests.Session):
    """What MSAL sends by, in this test: to the same address without TLS."""

    def request(self, method: str, url: str, *given: Any, **more: Any) -> requests.Response:  # type: ignore[override]
        return super().request(method, url.replace("https://", "http://", 1), *given, **more)


async def test_msal_gets_a_token(sandbox: Sandbox, bot: Bot) -> None:
    """Microsoft's own library signs in here, by the tenant's metadata."""
    import msal

    def ask() -> dict[str, Any]:
        with _Plainly() as plainly:
            app = msal.ConfidentialClientApplication(
                bot.app["app_id"],
                client_credential=bot.app["app_password"],
                authority=f"{bot.app['authority_url'].replace('http:', 'https:')}/{TENANT}",
                instance_discovery=False,
                http_client=plainly,
            )
            return dict(app.acquire_token_for_client(scopes=["https://api.botframework.com/.default"]))

    bot.token = (await asyncio.to_thread(ask))["access_token"]
    assert (await bot.open(with_card()))[0] == 201


async def test_what_the_bot_hears_is_signed_for_it(sandbox: Sandbox, bot: Bot, teams: TeamsClient) -> None:
    """An activity bears a token of the connector for this app and this service URL, also after a change of keys."""
    await teams.say(DANA, "hello")
    await teams.delivered("message", 1)
    claims = await bot.claims(sandbox)
    assert (claims["iss"], claims["aud"], claims["serviceurl"]) == (
        ISSUER, bot.app["app_id"], bot.heard[0]["serviceUrl"],
    )  # fmt: skip
    await teams.act(DANA, "roll_keys")
    await teams.act(DANA, "move", region="emea")
    await teams.say(DANA, "again")
    await teams.delivered("message", 2)
    assert (await bot.claims(sandbox))["serviceurl"].endswith("/emea/")


async def _identity(header: str | None, bot: Bot) -> bool:
    """Tell whether botbuilder's validation accepts a header; it blocks, so beside the loop that serves the keys."""
    credentials = SimpleCredentialProvider(bot.app["app_id"], "")
    validating = ChannelValidation.authenticate_channel_token_with_service_url(
        header or "", credentials, bot.app["service_url"], "msteams"
    )
    try:
        return bool((await asyncio.to_thread(asyncio.run, validating)).is_authenticated)
    except Exception:  # noqa: BLE001 - botbuilder raises whatever comes to hand, as this product has learned
        return False


@pytest.mark.parametrize(
    "token,is_good",
    [("valid", True), ("expired-within-leeway", True), ("none", False), ("garbage", False), ("expired", False),
     ("not-yet", False), ("wrong-audience", False), ("wrong-issuer", False), ("wrong-service-url", False),
     ("hs256", False), ("unsigned", False), ("unknown-key", False), ("unpublished-key", False), ("unendorsed", False)],
)  # fmt: skip
async def test_botbuilder_s_own_validation_judges_the_tokens(
    sandbox: Sandbox, bot: Bot, monkeypatch: pytest.MonkeyPatch, token: str, is_good: bool
) -> None:
    """With its metadata address pointed here, the real code accepts the good tokens and no broken one."""
    monkeypatch.setattr(ChannelValidation, "open_id_metadata_endpoint", bot.app["metadata_url"])
    header = sandbox.keys.header(token, audience=bot.app["app_id"], service_url=bot.app["service_url"])
    assert await _identity(header, bot) is is_good


async def test_graph_needs_its_grant(bot: Bot, teams: TeamsClient, root: str) -> None:
    """Replies can be read where the admin granted it, newest first and in pages, with cards and files as Graph has
    them.
    """
    said = await teams.say(DANA, "one **two**", root=root)
    shared = await teams.attach(DANA, "plan.txt", b"plan", "see this", root=root)
    path = f"{bot.app['graph_url']}/v1.0/teams/{TEAM_GROUP}/channels/{SUPPORT}/messages/{root}"
    assert (await bot.call("GET", f"{path}/replies"))[0] == 401
    await bot.sign_in(scope="https://graph.microsoft.com")
    status, answer = await bot.call("GET", f"{path}/replies")
    assert (status, answer["error"]["code"]) == (403, "Forbidden")
    await teams.rules(graph=True)
    _, page = await bot.call("GET", f"{path}/replies?$top=1")
    assert [each["id"] for each in page["value"]] == [shared]
    assert page["value"][0]["attachments"][0]["name"] == "plan.txt"
    _, rest = await bot.call("GET", page["@odata.nextLink"])
    assert [(each["id"], each["body"]["content"]) for each in rest["value"]] == [
        (said, "<p>one <strong>two</strong></p>")
    ]
    _, first = await bot.call("GET", path)
    assert first["from"]["application"]["id"] == bot.app["app_id"]
    assert (await bot.call("GET", path.replace(SUPPORT, BILLING)))[0] == 404
