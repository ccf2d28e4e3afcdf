"""The tables that settings are made of, field by field. Bytes from the environment and the file become these."""

import base64
import binascii
import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import NoDecode

SLACK_API_URL = "https://slack.com/api/"
TEAMS_SERVICE_URL = "https://smba.trafficmanager.net/teams/"
"""Where to begin before Teams has told its own address:
https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/send-proactive-messages.
"""
MIN_SECRET_CHARS = 32

_HOURS = re.compile(
    r"^(?P<first>[a-z]{3})(-(?P<last>[a-z]{3}))? (?P<start>\d\d:\d\d)-(?P<end>\d\d:\d\d)$", re.IGNORECASE
)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def split(value: object) -> object:
    """Read `a, b` as a list; leave anything else as it is."""
    return [part for raw in value.split(",") if (part := raw.strip())] if isinstance(value, str) else value


def _long_enough(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < MIN_SECRET_CHARS:
        raise ValueError(f"is shorter than {MIN_SECRET_CHARS} characters; make one with: openssl rand -hex 32")
    return value


def _webhook_secret(value: SecretStr) -> SecretStr:
    # https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    text = value.get_secret_value()
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith("whsec_") or not 24 <= len(key) <= 64:
        raise ValueError(
            "must be whsec_ and the base64 of 24 to 64 bytes; make one with: echo whsec_$(openssl rand -base64 32)"
        )
    return value


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in {"http", "https"} or not parts.hostname):
        raise ValueError("must be an address that starts with https:// (or http:// on this machine)")
    return value


def _origin(value: str) -> str:
    if (parts := urlsplit(_web_address(value))).path or parts.query or parts.fragment:
        raise ValueError(f"holds {value!r}; an origin ends after host and port, as in https://www.example.com")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{value!r} is no time zone known here; write it as in Europe/Berlin") from None
    return value


def is_loopback(url: str) -> bool:
    """Tell whether an address stays on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


Secret = Annotated[SecretStr, AfterValidator(_long_enough)]
Secrets = Annotated[tuple[Secret, ...], NoDecode, BeforeValidator(split)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
SLACK_CHANNEL = r"[CG][A-Z0-9]{5,20}"
TEAMS_CHANNEL = r"19:[A-Za-z0-9_-]{8,128}@thread\.(tacv2|skype)"
_GUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"


class Section(BaseModel):
    """Common ground of the tables: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ApiKey(Section):
    """One key of the control API and what it may do."""

    role: Literal["agent", "backend", "admin"]
    key: Secret


class DirectLineSection(Section):
    """Bot Framework Web Chat and other Direct Line clients."""

    secret: Secret | None = Field(None, description="what your server shows to get tokens for your customers' pages")
    trusted_origins: Annotated[
        tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode, BeforeValidator(split)
    ] = Field((), description="origins whose pages may chat, with commas between; empty: every page that has a token")
    anonymous: bool = Field(default=False, description="let pages fetch a token without the secret")


class SlackSection(Section):
    """The Slack workspace where operators sit."""

    bot_token: SecretStr | None = Field(None, description="Bot User OAuth Token, `xoxb-...`")
    app_token: SecretStr | None = Field(
        None, description="app-level token with `connections:write`, `xapp-...` (Socket Mode)"
    )
    signing_secret: SecretStr | None = Field(None, description="Signing Secret of the app (HTTP mode)")
    client_id: str = Field("", description="not used in this version, which serves one workspace by its bot token")
    client_secret: SecretStr | None = Field(None, description="not used in this version")
    mode: Literal["socket", "http"] = Field(
        "socket", description="`socket`: the bridge calls Slack; `http`: Slack calls the bridge"
    )
    api_url: WebAddress = Field(SLACK_API_URL, description="where Slack's Web API is; another one gets the token")
    allow_api_url: bool = Field(
        default=False, description="allow an `api_url` that is neither Slack's nor on this machine"
    )
    command: Annotated[str, Field(pattern=r"^/[a-z0-9_-]{1,31}$")] = Field(
        "/return", description="the slash command of your app"
    )

    @field_validator("bot_token", "app_token")
    @classmethod
    def _shape(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        start = {"bot_token": "xoxb-", "app_token": "xapp-"}[str(info.field_name)]
        page = {"bot_token": "OAuth & Permissions", "app_token": "Basic Information, App-Level Tokens"}[
            str(info.field_name)
        ]
        if value is not None and not value.get_secret_value().startswith(start):
            raise ValueError(f"must start with {start}; copy it from your app's page at api.slack.com/apps, {page}")
        return value

    @field_validator("api_url")
    @classmethod
    def _slash(cls, value: str) -> str:
        return value.rstrip("/") + "/"


def _guid(value: str) -> str:
    if value and not re.match(_GUID, value):
        raise ValueError("must be an id such as 0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f")
    return value.lower()


def _on_this_machine(value: str) -> str:
    if value and not is_loopback(value):
        raise ValueError("is for a local Teams only, at an address of this machine; remove it")
    return value


Guid = Annotated[str, AfterValidator(_guid)]
LocalAddress = Annotated[str, AfterValidator(_web_address), AfterValidator(_on_this_machine)]


class TeamsSection(Section):
    """The Microsoft Teams tenant where operators sit."""

    app_id: Guid = Field("", description="Microsoft App ID of your Azure Bot; empty: no Teams")
    app_password: SecretStr | None = Field(None, description="client secret of that app")
    app_type: Literal["SingleTenant", "UserAssignedMsi", "MultiTenant"] = Field(
        "SingleTenant",
        description="type of the Azure Bot: `SingleTenant`, `UserAssignedMsi` (no secret), `MultiTenant`",
    )
    tenant_id: Guid = Field("", description="App Tenant ID of the Azure Bot; its people may speak to it")
    tenants: Annotated[tuple[Guid, ...], NoDecode, BeforeValidator(split)] = Field(
        (), description="further tenants whose people may, with commas between"
    )
    service_url: WebAddress = Field(
        TEAMS_SERVICE_URL, description="where to begin before Teams has told its address; government clouds have others"
    )
    graph: bool = Field(default=False, description="the admin lets the app read channel messages and files by Graph")
    slash: bool = Field(default=False, description="the app's package offers slash commands (`manifest teams --slash`)")
    metadata_url: LocalAddress = Field("", description="a local Teams' OpenID metadata, for tests and demos")
    authority_url: LocalAddress = Field("", description="where a local Teams gives tokens")
    graph_url: LocalAddress = Field("", description="where a local Teams has its Graph")
    unsigned: bool = Field(
        default=False,
        description="take unsigned calls of this machine: for Microsoft's Agents Playground, never to serve people",
    )


class AgentSection(Section):
    """The company's AI."""

    kind: Literal["http", "demo"] = Field(
        "http", description="`http`: yours, called at `url`; `demo`: the scripted one"
    )
    url: WebAddress = Field("", description="where turns are posted to")
    secret: Annotated[SecretStr, AfterValidator(_webhook_secret)] | None = Field(
        None, description="signs what is posted (Standard Webhooks, `whsec_...`)"
    )
    name: Annotated[str, Field(min_length=1, max_length=80)] = Field(
        "Assistant", description="its public name in the chat"
    )


class LogSection(Section):
    """What the process writes to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the least important level that is written"
    )
    format: Literal["auto", "json", "console"] = Field(
        "auto", description="`auto`: console on a terminal, else one JSON object a line"
    )


class RungSection(Section):
    """One step of a ladder."""

    after_s: Annotated[int, Field(ge=1, le=604_800)]
    action: Literal["mention", "tell_customer", "queue", "return"]
    text: str = ""


class HoursSection(Section):
    """When a queue is staffed: `open = ["Mon-Fri 09:00-17:00"]` in `zone`. A span may pass midnight."""

    zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    open: tuple[str, ...]

    @field_validator("open")
    @classmethod
    def _readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for span in value:
            read_hours(span)
        return value


class QueueSection(Section):
    """A named group of people with the channels where they work."""

    name: Name
    label: str = ""
    public_label: str = ""
    desk: Literal["slack", "teams"] = "slack"
    channels: tuple[Annotated[str, Field(pattern=rf"^({SLACK_CHANNEL}|{TEAMS_CHANNEL})$")], ...]
    operators: tuple[str, ...] = ()
    user_group: str = ""
    supervisors: tuple[str, ...] = ()
    audience: Literal["owner", "anyone-in-queue", "button"] = "owner"
    first_reply: Literal["note", "takes"] = "note"
    hours: HoursSection | None = None
    when_closed: Literal["wait", "contact", "stay"] = "wait"
    ladder: str = "standard"
    idle_close_s: Annotated[int, Field(ge=60)] | None = None

    @field_validator("channels")
    @classmethod
    def _some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError('must name at least one channel, as in ["C0123456789"]')
        return value


class RouteSection(Section):
    """Envelopes that match every field that is set go to `queue`."""

    queue: str
    suggested: str = ""
    reason: str = ""
    team: str = ""
    language: str = ""
    topic: str = ""
    priority: Literal["", "low", "normal", "high", "urgent"] = ""


class PolicySection(Section):
    """A rule over what the agent collected or is about to do; `when` is an expression such as `refund_amount > 100`."""

    name: Name
    when: str
    queue: str = ""
    detail: str = ""


class TriggersSection(Section):
    """When the bridge itself escalates."""

    phrases: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    withdraw: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    low_confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    low_confidence_turns: Annotated[int, Field(ge=1, le=20)] | None = None
    tool_failures: Annotated[int, Field(ge=1, le=20)] | None = None
    never_say: tuple[str, ...] = ()
    policy: tuple[PolicySection, ...] = ()


def read_hours(span: str) -> tuple[tuple[int, ...], int, int]:
    """Read `Mon-Fri 09:00-17:00` as (weekdays from 0 = Monday, start, end); times in minutes, the end may be smaller.

    Raises ValueError with a sentence.
    """
    match = _HOURS.match(span.strip())
    days = [day.lower() for day in (match["first"], match["last"] or match["first"])] if match else []
    if not match or not set(days) <= set(WEEKDAYS):
        raise ValueError(f"{span!r} must look like: Mon-Fri 09:00-17:00")
    first, last = (WEEKDAYS.index(day) for day in days)
    minutes = []
    for word in (match["start"], match["end"]):
        hour, minute = (int(part) for part in word.split(":"))
        if minute > 59 or hour * 60 + minute > 24 * 60:
            raise ValueError(f"{word} in {span!r} is no time of day")
        minutes.append(hour * 60 + minute)
    if minutes[0] == minutes[1] or minutes[0] == 24 * 60:
        raise ValueError(f"{span!r} must end at another time than it starts; the whole day is 00:00-24:00")
    return tuple((first + i) % 7 for i in range((last - first) % 7 + 1)), minutes[0], minutes[1]
