"""The bot's tokens, by Microsoft's own library MSAL, off the loop. A token never leaves this process but to Microsoft.

Scopes and authorities:
https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication
"""

import asyncio
import time
from concurrent.futures import Executor
from typing import Any, Final
from urllib.parse import urlsplit

import msal
import requests

from adapters.teams.config import Local, TeamsSettings
from adapters.teams.errors import ELSEWHERE, CallFailed, not_signed_in, sign_in_code, unreachable
from adapters.teams.known import AUTHORITY
from bridge import log as logs
from bridge.facts import DeskFacts
from bridge.outcomes import Refused

log = logs.get("teams.tokens")
CONNECTOR: Final = "https://api.botframework.com"
GRAPH: Final = "https://graph.microsoft.com"
LOGIN = "https://login.microsoftonline.com"
MANY_TENANTS = "botframework.com"
"""The authority of bots that serve many tenants."""
RENEW_BEFORE_S = 300.0
NONE: Final = "none"
"""What stands for a token where nobody wants one."""
UNREACHABLE = "Microsoft's sign-in cannot be reached; it is tried again and again."


class Tokens:
    """Gets tokens and keeps them for as long as they are good."""

    def __init__(self, settings: TeamsSettings, facts: DeskFacts, executor: Executor) -> None:
        """Keep the settings; nothing is asked before the first call."""
        self._settings, self._facts, self._executor = settings, facts, executor
        self.trouble = ""
        """Why there is no token to be had for messages, in plain words with the remedy; "" while there is."""
        self._kept: dict[str, tuple[str, float]] = {}
        self._apps: dict[str, Any] = {}
        self._asking = asyncio.Lock()
        self._http = _Requests(settings.call_timeout_s, settings.local)

    async def get(self, resource: str = CONNECTOR) -> str:
        """Return a token for a resource. Raises CallFailed; blocks at most `call_timeout_s` for each try."""
        if self._settings.is_unsigned:
            return NONE
        kept = self._kept.get(resource)
        if kept is not None and time.monotonic() < kept[1]:
            return kept[0]
        async with self._asking:
            kept = self._kept.get(resource)
            if kept is None or time.monotonic() >= kept[1]:
                kept = await self._renewed(resource)
                self._kept[resource] = kept
        return kept[0]

    async def _renewed(self, resource: str) -> tuple[str, float]:
        try:
            answer = await self._ask(resource)
        except CallFailed as failed:
            self._note(resource, _words(failed))
            raise
        self._note(resource, "")
        return answer

    def _note(self, resource: str, trouble: str) -> None:
        """Graph is asked for more than messages need: what keeps it shut keeps no message back."""
        if resource == CONNECTOR and trouble != self.trouble:
            self.trouble = trouble
            log.info("teams_sign_in_changed", trouble=trouble)

    def forget(self) -> None:
        """Ask anew at the next call: a token was not accepted."""
        self._kept.clear()
        self._apps.clear()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    async def _ask(self, resource: str) -> tuple[str, float]:
        """Ask the authority that worked last, then, where it does not know the app, the other one."""
        first, *others = self._authorities()
        answer = await self._acquire(first, resource)
        used = first
        for other in others:
            if sign_in_code(str(answer.get("error_description"))) in ELSEWHERE:
                second = await self._acquire(other, resource)
                answer, used = (second, other) if "access_token" in second else (answer, used)
        if "access_token" not in answer:
            raise not_signed_in(f"{answer.get('error')} {answer.get('error_description')}")
        await self._facts.put(**{AUTHORITY: "" if used == self._own else used})
        lives_s = float(answer.get("expires_in") or 0)
        return str(answer["access_token"]), time.monotonic() + max(lives_s - RENEW_BEFORE_S, lives_s / 2)

    @property
    def _login(self) -> str:
        local = self._settings.local
        return LOGIN if local is None else f"https://{urlsplit(local.authority_url).netloc}"

    @property
    def _own(self) -> str:
        """The authority that the settings name."""
        return MANY_TENANTS if self._settings.app_type == "MultiTenant" else self._settings.tenant_id

    def _authorities(self) -> list[str]:
        if self._settings.app_type == "UserAssignedMsi":
            return [""]
        known = [name for name in (self._settings.tenant_id, MANY_TENANTS) if name]
        preferred = self._facts.known.get(AUTHORITY) or self._own
        return sorted(known, key=lambda name: name != preferred)

    async def _acquire(self, authority: str, resource: str) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._settings.call_timeout_s):
                return await loop.run_in_executor(self._executor, self._acquire_now, authority, resource)
        except CallFailed:
            raise
        except Exception:  # noqa: BLE001 -- MSAL passes on whatever the network and the answer's shape provoke
            raise unreachable("sign_in", "sign_in_unreachable") from None

    def _acquire_now(self, authority: str, resource: str) -> dict[str, Any]:
        if not authority:
            return dict(self._managed().acquire_token_for_client(resource=resource))
        app = self._apps.get(authority)
        if app is None:
            try:
                app = msal.ConfidentialClientApplication(
                    self._settings.app_id,
                    client_credential=self._settings.app_password,
                    authority=f"{self._login}/{authority}",
                    http_client=self._http,
                    instance_discovery=False,
                )
            except ValueError as error:
                # MSAL's words for an authority that does not exist; a broken network raises something else.
                return {"error": "invalid_tenant", "error_description": f"AADSTS90002: {error}"}
            self._apps[authority] = app
        return dict(app.acquire_token_for_client(scopes=[f"{resource}/.default"]))

    def _managed(self) -> Any:
        app = self._apps.get("")
        if app is None:
            # The library's own class hands MSAL a plain dict with the wrong key for a client id.
            identity = msal.UserAssignedManagedIdentity(client_id=self._settings.app_id)
            app = self._apps[""] = msal.ManagedIdentityClient(identity, http_client=self._http)
        return app


def _words(failed: CallFailed) -> str:
    outcome = failed.outcome
    return f"{outcome.remedy} ({failed.code})" if isinstance(outcome, Refused) else UNREACHABLE


class _Requests:
    """What MSAL sends by: with a time-out, which it has not by itself, and to this machine where Teams is local."""

    def __init__(self, timeout_s: float, local: Local | None) -> None:
        self._timeout_s, self._local = timeout_s, local
        self._session = requests.Session()
        if local is not None:
            self._session.trust_env = False  # a proxy of the environment does not lead to this machine itself

    def get(self, url: str, **given: Any) -> Any:
        return self._send("GET", url, given)

    def post(self, url: str, **given: Any) -> Any:
        return self._send("POST", url, given)

    def close(self) -> None:
        self._session.close()

    def _send(self, method: str, url: str, given: dict[str, Any]) -> Any:
        given = {"timeout": self._timeout_s, "allow_redirects": False, **given}
        if self._local is None:
            return self._session.request(method, url, **given)
        # MSAL takes no authority but one with https; the local one is the same address without it.
        here = urlsplit(self._local.authority_url)
        return self._session.request(
            method, url.replace(f"https://{here.netloc}/", f"{here.scheme}://{here.netloc}/", 1), **given
        )
