"""Slack's own framework works against the sandbox unchanged, by HTTP and by Socket Mode."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.web.async_client import AsyncWebClient

from adapters.sandbox.client import Workspace
from adapters.sandbox.slack.people import BOT_USER, DANA, SAM, SUPPORT
from adapters.sandbox.slack.sandbox import Sandbox
from adapters.sandbox.slack.settings import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET


def build_app(client: AsyncWebClient) -> AsyncApp:
    app = AsyncApp(token=BOT_TOKEN, signing_secret=SIGNING_SECRET, client=client, process_before_response=True)

    @app.event("message")
    async def on_message(event: dict[str, Any], client: AsyncWebClient) -> None:
        if event.get("user") and not event.get("bot_id") and not event.get("subtype"):
            await client.chat_postMessage(
                channel=event["channel"],
                thread_ts=event.get("thread_ts", event["ts"]),
                text=f"heard: {event['text']}",
            )

    @app.event("app_mention")
    async def on_mention(event: dict[str, Any], client: AsyncWebClient) -> None:
        await client.reactions_add(channel=event["channel"], timestamp=event["ts"], name="eyes")

    @app.command("/return")
    async def on_command(ack: Any, command: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        view = {
            "type": "modal",
            "callback_id": "give_back",
            "title": {"type": "plain_text", "text": "Return"},
            "submit": {"type": "plain_text", "text": "Return"},
            "blocks": [
                {
                    "type": "input",
                    "block_id": "note",
                    "label": {"type": "plain_text", "text": "Note"},
                    "element": {"type": "plain_text_input", "action_id": "text", "initial_value": command["text"]},
                }
            ],
        }
        await client.views_open(trigger_id=command["trigger_id"], view=view)

    @app.view("give_back")
    async def on_submit(ack: Any, view: dict[str, Any], client: AsyncWebClient) -> None:
        note = view["state"]["values"]["note"]["text"]["value"]
        if note == "bad":
            await ack(response_action="errors", errors={"note": "Say more"})
            return
        await ack()
        await client.chat_postMessage(channel=SUPPORT, text=f"note: {note}")

    return app


@pytest.fixture
async def by_socket(sandbox: Sandbox, web_client: AsyncWebClient) -> AsyncIterator[AsyncApp]:
    app = build_app(web_client)
    handler = AsyncSocketModeHandler(app, APP_TOKEN, ping_interval=1)
    await handler.connect_async()  # type: ignore[no-untyped-call]  # untyped in slack-bolt
    yield app
    await handler.client.close()  # type: ignore[no-untyped-call]  # untyped in slack-sdk
    await handler.client.aiohttp_client_session.close()


@pytest.fixture
async def by_http(sandbox: Sandbox, slack: Workspace, web_client: AsyncWebClient) -> AsyncIterator[AsyncApp]:
    app = build_app(web_client)

    async def serve(request: web.Request) -> web.Response:
        bolt = AsyncBoltRequest(body=(await request.read()).decode(), headers=dict(request.headers))
        answer = await app.async_dispatch(bolt)
        return web.Response(
            status=answer.status, body=answer.body, headers={name: values[0] for name, values in answer.headers.items()}
        )

    server = web.Application()
    server.router.add_post("/slack/events", serve)
    runner = web.AppRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    await slack.configure(request_url=f"http://{host}:{port}/slack/events")
    yield app
    await runner.cleanup()


@pytest.fixture(params=["by_http", "by_socket"])
def app(request: pytest.FixtureRequest) -> AsyncApp:
    found: AsyncApp = request.getfixturevalue(request.param)
    return found


async def test_an_app_hears_and_answers_in_the_thread(app: AsyncApp, slack: Workspace) -> None:
    """A Bolt app gets a person's message and its reply lands in that thread, with the app's names on it."""
    root = await slack.say(DANA, "Is *anybody* <here> & now?")
    reply = (await slack.wait_for(lambda state: state.thread(SUPPORT, root)[1:]))[0]
    assert reply["text"] == "heard: Is *anybody* &lt;here&gt; &amp; now?"
    assert reply["user"] == BOT_USER
    assert reply["parent_user_id"] == DANA


async def test_an_app_is_told_when_it_is_mentioned(app: AsyncApp, slack: Workspace) -> None:
    """A mention reaches a Bolt app as app_mention beside the message, and its reaction is seen."""
    ts = await slack.mention(SAM, "return all good")
    seen = await slack.wait_for(lambda state: next(m for m in state.messages() if m["ts"] == ts).get("reactions"))
    assert seen == [{"name": "eyes", "users": [BOT_USER], "count": 1}]


async def test_a_command_opens_a_modal_whose_submission_is_heard(app: AsyncApp, slack: Workspace) -> None:
    """A slash command, the modal it opens, a refused and an accepted submission all go through Bolt."""
    await slack.command(DANA, "/return", "bad")
    view = await slack.view_of(DANA)
    assert (await slack.submit(DANA, view["id"]))["errors"] == {"note": "Say more"}
    assert (await slack.state()).views(DANA)[0]["errors"] == {"note": "Say more"}
    await slack.submit(DANA, view["id"], {"text": "paid twice"})
    await slack.wait_for(lambda state: [m for m in state.messages() if m["text"] == "note: paid twice"])
    assert (await slack.state()).views(DANA) == []


async def test_slack_refuses_commands_in_threads(app: AsyncApp, slack: Workspace) -> None:
    """A slash command typed in a thread never reaches the app; the person reads Slack's sentence."""
    root = await slack.say(DANA, "hello")
    answer = await slack.command(DANA, "/return", "x", thread_ts=root)
    assert answer["refused"] == "/return is not supported in threads. Sorry!"
    assert (await slack.state()).ephemerals(DANA)[0]["text"] == answer["refused"]
    assert await slack.deliveries("slash_commands") == []
