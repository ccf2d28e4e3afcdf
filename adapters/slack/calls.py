"""Calls to Slack's Web API: one client, one shared connection pool, one try per call."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.config import SlackSettings
from adapters.slack.errors import CallFailed, call_failed
from bridge.outcomes import RetryLater

Json = dict[str, Any]

# The SDK's own loggers print whole payloads at DEBUG; people's texts do not belong into logs.
QUIET = logging.getLogger("handoff_bridge.slack_sdk")
QUIET.setLevel(logging.WARNING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who the app is in its workspace, as auth.test says (https://docs.slack.dev/reference/methods/auth.test)."""

    team: str
    bot_user: str
    bot_id: str
    scopes: frozenset[str] = frozenset()
    url: str = ""
    """Where the workspace is, with a slash at the end."""


class SlackCalls:
    """The way out to Slack. Use between `start` and `stop`."""

    def __init__(self, settings: SlackSettings) -> None:
        """Keep the settings; nothing is opened before the first call."""
        self.settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._client: AsyncWebClient | None = None
        self._identity: Identity | None = None
        self._asking = asyncio.Lock()

    def session(self) -> aiohttp.ClientSession:
        """Return the shared session; it is made inside the running loop at first use."""
        if self._session is None or self._session.closed:
            timeout = aiohttp.ClientTimeout(total=self.settings.call_timeout_s)
            self._session = aiohttp.ClientSession(timeout=timeout)
            self._client = None
        return self._session

    def client(self) -> AsyncWebClient:
        """Return the SDK's client. It never tries twice: a repeated post may be a second message."""
        session = self.session()
        if self._client is None:
            self._client = AsyncWebClient(
                token=self.settings.bot_token,
                base_url=self.settings.base_url,
                timeout=max(1, round(self.settings.call_timeout_s)),
                session=session,
                retry_handlers=[],
                logger=QUIET,
            )
            if self.settings.sandbox_origin is not None:
                self._client.proxy = None  # the SDK takes one from the environment; none leads to this machine itself
        return self._client

    async def write(self, method: str, body: Mapping[str, Any]) -> Json:
        """Call a method that takes JSON. Raises CallFailed; blocks at most `call_timeout_s`."""
        return await self._call(method, json=dict(body))

    async def read(self, method: str, **params: Any) -> Json:
        """Call a method that takes a form (all reading ones). Raises CallFailed; blocks at most `call_timeout_s`."""
        return await self._call(method, data=params)

    async def _call(self, method: str, **arguments: Any) -> Json:
        try:
            async with asyncio.timeout(self.settings.call_timeout_s):
                response = await self.client().api_call(method, **arguments)
        except CallFailed:
            raise
        except Exception as error:  # noqa: BLE001 -- the SDK raises whatever the answer's shape provokes
            raise call_failed(method, error) from None
        data = response.data
        if not isinstance(data, dict):
            raise call_failed(method, ValueError("no JSON object"))
        return data

    async def identity(self) -> Identity:
        """Return who we are, asked once. Raises CallFailed; then the next call asks again."""
        if self._identity is None:
            async with self._asking:
                if self._identity is None:
                    self._identity = await self._ask()
        return self._identity

    @property
    def known_identity(self) -> Identity | None:
        """Who we are, if that was asked already."""
        return self._identity

    async def _ask(self) -> Identity:
        try:
            async with asyncio.timeout(self.settings.call_timeout_s):
                response = await self.client().api_call("auth.test")
        except Exception as error:  # noqa: BLE001 -- as above
            raise call_failed("auth.test", error) from None
        granted = str(response.headers.get("x-oauth-scopes") or "")
        try:
            return Identity(
                team=str(response["team_id"]),
                bot_user=str(response["user_id"]),
                bot_id=str(response["bot_id"]),
                scopes=frozenset(scope.strip() for scope in granted.split(",") if scope.strip()),
                url=str(response.get("url") or ""),
            )
        except KeyError:
            later = RetryLater(after_s=0.0, reason="no_bot_token")
            raise CallFailed("auth.test", "no_bot_token", later) from None

    async def stop(self) -> None:
        """Close the connections. May be called twice."""
        if self._session is not None:
            await self._session.close()
