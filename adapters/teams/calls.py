"""Calls to Teams' connector, by Microsoft's library, and to Graph. One try per call; plain dicts in and out.

The library's calls block, so they run on threads of their own. It would try a PUT or DELETE again after a 429 or a 5xx,
and with urllib3 before 2 a POST too, which is a second message: all its tries are switched off. It drops every field
that its models do not know, a mention's above all, so mentions are made as what it knows.
https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-api-reference
"""

import asyncio
import base64
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import urljoin, urlsplit

import aiohttp
import requests
import urllib3
from botframework.connector import ConnectorClient
from botframework.connector.models import (
    Activity,
    ChannelAccount,
    ConversationParameters,
    ErrorResponseException,
    Mention,
)
from msrest.authentication import Authentication
from msrest.exceptions import ClientRequestError

from adapters.teams import known
from adapters.teams.config import TeamsSettings
from adapters.teams.errors import CallFailed, answered, is_gone, unclear, unreachable
from adapters.teams.refs import is_thread, split_thread
from adapters.teams.tokens import GRAPH, Tokens
from bridge import log as logs
from bridge.errors import TooLarge
from bridge.facts import DeskFacts
from bridge.outcomes import Refused

Json = dict[str, Any]
T = TypeVar("T")

log = logs.get("teams.calls")

THREADS = 16
PER_SECOND: Final = 40
"""Calls for one app and tenant; Teams allows 50:
https://learn.microsoft.com/microsoftteams/platform/bots/how-to/rate-limit.
"""
MEMBERS_PAGE = 200
MEMBERS_MAX = 5_000
MAX_GET_BYTES = 25 * 1024 * 1024
FILE_HOSTS = (".sharepoint.com", ".sharepoint.us", ".sharepoint-mil.us", ".svc.ms")
"""Where Microsoft keeps the files of teams."""


class _Moved(CallFailed):
    """What was asked for lies elsewhere."""

    def __init__(self, method: str, to: str) -> None:
        super().__init__(method, "redirected", Refused(reason="redirected", remedy=""))
        self.to = to


class TeamsCalls:
    """The way out to Teams. Use between `warm` and `stop`; `warm` may be left out."""

    def __init__(self, settings: TeamsSettings, facts: DeskFacts) -> None:
        """Keep what is needed; nothing is opened before the first call."""
        self.settings = settings
        self.facts = facts
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="teams")
        self.tokens = Tokens(settings, facts, self._executor)
        self._clients: dict[str, ConnectorClient] = {}
        self._bearer = _Bearer()
        self._session: aiohttp.ClientSession | None = None
        self._next_at = 0.0
        for name in ("msal", "msrest", "urllib3"):
            # They print whole requests at DEBUG; people's texts and tokens do not belong into logs.
            logging.getLogger(name).setLevel(logging.WARNING)

    @property
    def service_url(self) -> str:
        """Where the connector is: as Teams last said, else as the settings say."""
        said = self.facts.known.get(known.SERVICE_URL, "")
        return said if said and self.settings.trusts(said) else self._default_url

    @property
    def _default_url(self) -> str:
        return self.settings.local.service_url if self.settings.local is not None else self.settings.service_url

    async def warm(self) -> None:
        """Read what is remembered and get the first token, so that the first message waits for neither. Never raises;
        what is wrong is logged with its remedy.
        """
        try:
            await self.facts.all()
            await self.tokens.get()
        except CallFailed as failed:
            remedy = failed.outcome.remedy if isinstance(failed.outcome, Refused) else ""
            log.error("teams_not_signed_in", reason=failed.code, remedy=remedy)  # noqa: TRY400 -- no trace helps here
        except Exception as error:  # noqa: BLE001 -- the store may be away for a moment; each call reads it again
            log.warning("teams_not_warm", reason=type(error).__name__)

    # --- messages

    async def create_thread(self, channel: str, activity: Json) -> tuple[str, str]:
        """Post an activity as the root of a new thread; return (thread id, id of the root). Raises CallFailed.

        The activity must be a card without text: Teams makes two messages of text and card, and returns no id
        (https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/channel-and-group-conversations).
        """
        if activity.get("text") and activity.get("attachments"):
            raise CallFailed("create", "text_and_card", Refused(reason="text_and_card", remedy="Report this."))
        tenant = self.facts.known.get(known.TENANT) or self.settings.tenant_id
        place: Json = {"channel": {"id": channel}, **({"tenant": {"id": tenant}} if tenant else {})}
        bot = self.facts.known.get(known.BOT_ID) or f"28:{self.settings.app_id}"
        parameters = ConversationParameters(
            is_group=True,
            bot=ChannelAccount(id=bot),
            tenant_id=tenant or None,
            channel_data=place,
            activity=_activity(activity),
        )
        made = await self._connector("create", lambda client: client.conversations.create_conversation(parameters))
        thread, root = str(made.id or ""), str(made.activity_id or "")
        found, in_thread = split_thread(thread)
        if not is_thread(thread) or not root.isdigit() or in_thread != root or found != channel:
            raise unclear("create", "no_thread_id")
        return thread, root

    async def send(self, thread: str, activity: Json) -> str:
        """Post an activity into a thread; return its id, "" if Teams named none. Raises CallFailed.

        Without `;messageid=` it would open a post of its own for all to read: refused.
        """
        self._check(thread, "send")
        sent = _activity(activity)
        made = await self._connector("send", lambda client: client.conversations.send_to_conversation(thread, sent))
        return str(getattr(made, "id", None) or "")

    async def update(self, thread: str, activity_id: str, activity: Json) -> None:
        """Make a message of ours read like this, for everybody. Raises CallFailed."""
        self._check(thread, "update")
        sent = _activity(activity)
        sent.id = activity_id
        await self._connector("update", lambda client: client.conversations.update_activity(thread, activity_id, sent))

    async def delete(self, thread: str, activity_id: str) -> None:
        """Remove a message of ours; what is gone already is no error. Raises CallFailed."""
        self._check(thread, "delete")
        try:
            await self._connector("delete", lambda client: client.conversations.delete_activity(thread, activity_id))
        except CallFailed as failed:
            if not is_gone(failed):
                raise

    def _check(self, thread: str, method: str) -> None:
        if not is_thread(thread):
            raise CallFailed(method, "no_thread", Refused(reason="no_thread", remedy="Report this: it has no thread."))

    # --- people

    async def member(self, team: str, person: str) -> Json:
        """Return a member of a team by Entra's object id or Teams' id. Raises CallFailed; `is_gone`: is none."""
        found = await self._connector(
            "member", lambda client: client.conversations.get_conversation_member(team, person)
        )
        return _plain(found)

    async def members(self, team: str) -> list[Json]:
        """Return the members of a team, at most 5,000. Raises CallFailed."""
        out: list[Json] = []
        token: str | None = None
        while len(out) < MEMBERS_MAX:
            page = await self._connector("members", partial(_page, team, token))
            out += [_plain(person) for person in page.members or []]
            token = page.continuation_token
            if not token:
                break
        return out

    # --- reading

    async def get_bytes(self, url: str, *, max_bytes: int = MAX_GET_BYTES) -> bytes:
        """Return what lies at an address of the connector, as an inline image. Raises CallFailed, TooLarge.

        The bot's token goes along, so nothing but a trusted address is asked, and no redirect is followed.
        """
        if not self.settings.trusts(url):
            raise CallFailed("get_bytes", "foreign_address", Refused(reason="foreign_address", remedy=""))
        token = await self.tokens.get()
        headers = {"Authorization": f"Bearer {token}"}
        return await self._read("get_bytes", url, headers, max_bytes)

    async def graph(self, path: str) -> Json:
        """Return what Graph answers to a GET of this path ("teams/..." , or the rest of a `@odata.nextLink`). Raises
        CallFailed.
        """
        base = self.settings.local.graph_url if self.settings.local is not None else GRAPH
        url = urljoin(f"{base.rstrip('/')}/v1.0/", path.lstrip("/"))
        if urlsplit(url).netloc != urlsplit(base).netloc:
            raise CallFailed("graph", "foreign_address", Refused(reason="foreign_address", remedy=""))
        token = await self.tokens.get(GRAPH)
        raw = await self._read("graph", url, {"Authorization": f"Bearer {token}"}, MAX_GET_BYTES)
        return _object("graph", raw)

    async def shared_file(self, address: str, *, max_bytes: int = MAX_GET_BYTES) -> bytes:
        """Return a file of the team's SharePoint, where Graph is granted. Raises CallFailed, TooLarge.

        Graph answers with a short-lived address that needs no token, and gets none
        (https://learn.microsoft.com/graph/api/driveitem-get-content).
        """
        share = base64.urlsafe_b64encode(address.encode()).decode().rstrip("=")
        base = self.settings.local.graph_url if self.settings.local is not None else GRAPH
        url = f"{base.rstrip('/')}/v1.0/shares/u!{share}/driveItem/content"
        headers = {"Authorization": f"Bearer {await self.tokens.get(GRAPH)}"}
        try:
            return await self._read("graph_file", url, headers, max_bytes)
        except _Moved as moved:
            to = urlsplit(moved.to)
            if to.scheme != "https" or not (to.hostname or "").endswith(FILE_HOSTS):
                raise CallFailed(
                    "graph_file", "foreign_address", Refused(reason="foreign_address", remedy="")
                ) from None
            return await self._read("graph_file", moved.to, {}, max_bytes)

    async def _read(self, method: str, url: str, headers: Mapping[str, str], max_bytes: int) -> bytes:
        try:
            async with self.web().get(url, headers=headers, allow_redirects=False) as answer:
                if answer.status in {301, 302, 303, 307, 308} and headers:
                    raise _Moved(method, str(answer.headers.get("Location") or ""))
                if answer.status != 200:
                    code = error_code(await answer.content.read(20_000))
                    raise answered(method, answer.status, code, answer.headers.get("Retry-After"))
                content = bytearray()
                async for piece in answer.content.iter_chunked(64 * 1024):
                    content += piece
                    if len(content) > max_bytes:
                        raise TooLarge(f"The file is over {max_bytes} bytes.")
                return bytes(content)
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise unreachable(method) from None

    def web(self) -> aiohttp.ClientSession:
        """Return the session for what the library has no call for."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self.settings.call_timeout_s), auto_decompress=True
            )
        return self._session

    # --- one call of the library

    async def _connector(self, method: str, call: Callable[[Any], T]) -> T:
        """Run one call on a thread. Raises CallFailed; blocks at most `call_timeout_s`, and so long for a token."""
        self._bearer.token = await self.tokens.get()
        client = self._client(self.service_url)
        await self.slot()
        running = self._executor.submit(call, client)
        try:
            async with asyncio.timeout(self.settings.call_timeout_s):
                return await asyncio.shield(asyncio.wrap_future(running))
        except TimeoutError:
            raise (unreachable(method, "busy") if running.cancel() else unclear(method, "timeout")) from None
        except ErrorResponseException as error:
            failed = _refused(method, error)
            if error.response.status_code == 401:
                self.tokens.forget()
            raise failed from None
        except (ClientRequestError, requests.RequestException) as error:
            raise _broken(method, error) from None
        except (CallFailed, asyncio.CancelledError, CancelledError):
            running.cancel()
            raise
        except Exception as error:  # noqa: BLE001 -- the library raises whatever the answer's shape provokes
            log.warning("teams_answer_unreadable", method=method, error=type(error).__name__)
            raise unclear(method, "unreadable_answer") from None

    def _client(self, service_url: str) -> ConnectorClient:
        client = self._clients.get(service_url)
        if client is None:
            client = ConnectorClient(self._bearer, base_url=service_url)
            client.config.retry_policy.retries = 0
            client.config.redirect_policy.allow = False
            client.config.connection.timeout = self.settings.call_timeout_s
            client.config.keep_alive = True
            client.config.enable_http_logger = False  # it writes whole messages, and the token
            client.config.proxies.use_env_settings = self.settings.local is None
            self._clients[service_url] = client
        return client

    async def slot(self) -> None:
        """Keep under what Teams takes of one app in a second, all channels together."""
        now = asyncio.get_running_loop().time()
        at = max(self._next_at, now - 0.25)
        self._next_at = at + 1 / PER_SECOND
        if at > now:
            await asyncio.sleep(at - now)

    async def stop(self) -> None:
        """Close the connections. May be called twice; a call that is under way ends by its time-out."""
        if self._session is not None:
            await self._session.close()
        for session in list(self._bearer.sessions):
            session.close()
        self._clients.clear()
        self.tokens.close()
        self._executor.shutdown(wait=False, cancel_futures=True)


def _page(team: str, token: str | None, client: Any) -> Any:
    return client.conversations.get_conversation_paged_members(team, page_size=MEMBERS_PAGE, continuation_token=token)


class _Bearer(Authentication):
    """Signs the library's calls with the token that was got before."""

    def __init__(self) -> None:
        self.token = ""
        self.sessions: set[requests.Session] = set()
        """The library makes one for each thread and closes only that of the thread it is closed from."""

    def signed_session(self, session: requests.Session | None = None) -> requests.Session:
        session = session or requests.Session()
        if session not in self.sessions:
            session.hooks["response"].append(_read_whole)
            self.sessions.add(session)
        session.headers["Authorization"] = f"Bearer {self.token}"
        return session


def _read_whole(response: requests.Response, **_given: object) -> None:
    """The library asks for a stream and leaves some answers unread, and their connections open."""
    _ = response.content


def _activity(plain: Json) -> Activity:
    made = Activity.deserialize({key: value for key, value in plain.items() if key != "entities"})
    mentions = [entity for entity in plain.get("entities") or [] if entity.get("type") == "mention"]
    if mentions:
        made.entities = [
            Mention(
                type="mention",
                text=entity["text"],
                mentioned=ChannelAccount(id=entity["mentioned"]["id"], name=entity["mentioned"]["name"]),
            )
            for entity in mentions
        ]
    return made


def _plain(person: ChannelAccount) -> Json:
    """Return a person as Teams told of them, with the fields that the library's model does not know."""
    return {**(person.additional_properties or {}), **person.as_dict(key_transformer=_wire_names)}


def _wire_names(_key: str, description: Mapping[str, Any], value: Any) -> tuple[str, Any]:
    return str(description["key"]), value


def _refused(method: str, error: ErrorResponseException) -> CallFailed:
    response = error.response
    said = getattr(getattr(error, "error", None), "error", None)
    headers = getattr(response, "headers", None) or {}
    return answered(method, int(response.status_code), str(getattr(said, "code", "") or ""), headers.get("Retry-After"))


def _broken(method: str, error: Exception) -> CallFailed:
    """Tell what never left from what may have arrived."""
    inner = getattr(error, "inner_exception", None) or error
    reason = getattr(inner.args[0], "reason", None) if inner.args else None
    never = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    if isinstance(reason, never) or isinstance(
        inner, requests.exceptions.ConnectTimeout | requests.exceptions.SSLError
    ):
        return unreachable(method)
    return unclear(method, "timeout" if isinstance(inner, requests.exceptions.Timeout) else "connection_broke")


def _object(method: str, raw: bytes) -> Json:
    try:
        found = json.loads(raw)
    except ValueError:
        raise unclear(method, "unreadable_answer") from None
    if not isinstance(found, dict):
        raise unclear(method, "unreadable_answer")
    return found


def error_code(raw: bytes) -> str:
    """Return the code in an error's body, "" if there is none."""
    try:
        return str((_object("graph", raw).get("error") or {}).get("code") or "")
    except (CallFailed, AttributeError):
        return ""
