"""Every setting of the bridge, read once. `load` is the only place that looks at the environment.

A setting is an environment variable (`HANDOFF_PORT`, nested with two underscores: `HANDOFF_SLACK__BOT_TOKEN`) or a key
of `handoff.toml` (`port`, `slack.bot_token`). The environment wins. Queues, routes, triggers, ladders and notices live
in the file only.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, Field, PrivateAttr, ValidationError, field_serializer, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, InitSettingsSource, NoDecode, SettingsConfigDict
from pydantic_settings import PydanticBaseSettingsSource as Source

from bridge.errors import SettingsError
from bridge.sections import (
    SLACK_API_URL,
    SLACK_CHANNEL,
    AgentSection,
    ApiKey,
    DirectLineSection,
    LogSection,
    Name,
    QueueSection,
    RouteSection,
    RungSection,
    Secrets,
    SlackSection,
    TeamsSection,
    TriggersSection,
    WebAddress,
    is_loopback,
    split,
)

PREFIX = "HANDOFF_"
CONFIG_VARIABLE = "HANDOFF_CONFIG"
DEFAULT_FILE = Path("handoff.toml")
FILE_ONLY = ("queues", "routes", "triggers", "ladders", "notices")

# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_KUBERNETES_NAME = re.compile(r"_SERVICE_(HOST|PORT)(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$")
_KUBERNETES_VALUE = re.compile(r"^(tcp|udp|sctp)://")


class Settings(BaseSettings):
    """All settings of one process. Made by `load`; secrets do not show in its repr."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=True, extra="forbid", frozen=True
    )
    _ignored: tuple[str, ...] = PrivateAttr(())

    site: Name = Field("main", description="short name of your company's installation; every row is kept under it")
    public_label: str = Field("Support", description="how customers read where your people sit")
    host: str = Field("127.0.0.1", description="address to listen on; behind a proxy in a container: 0.0.0.0")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8080, description="port to listen on; 0 picks a free one")
    base_url: WebAddress = Field(
        "", description="how the world reaches the bridge, as in https://bridge.example.com; empty: http://HOST:PORT"
    )
    database_url: Annotated[str, Field(pattern=r"^(sqlite:///.+|postgres(ql(\+psycopg)?)?://.*)")] = Field(
        "sqlite:///handoff.db",
        repr=False,
        description="where everything is kept: sqlite:///PATH, or postgresql://USER:PASSWORD@HOST/DATABASE",
    )
    files_url: str = Field("", description="folder for files; empty: `files` beside the database, or in PostgreSQL")
    secret_key: Secrets = Field(
        (),
        description="signs tokens and links, 32 characters or more; of several, with commas between, the first signs",
    )
    api_keys: Annotated[tuple[ApiKey, ...], NoDecode] = Field(
        (), description="keys of the control API as role:key, with commas between; roles: agent, backend, admin"
    )
    unclear_grace_s: Annotated[float, Field(ge=1, le=120)] = Field(
        15,
        description="how long an unclear post rests before the thread is read back; a call may take two thirds of it",
    )
    slack: SlackSection = SlackSection()
    teams: TeamsSection = TeamsSection()
    directline: DirectLineSection = DirectLineSection()
    agent: AgentSection = AgentSection()
    log: LogSection = LogSection()
    queues: tuple[QueueSection, ...] = ()
    routes: tuple[RouteSection, ...] = ()
    triggers: TriggersSection = TriggersSection()
    ladders: Mapping[str, tuple[RungSection, ...]] = Field(default_factory=dict)
    notices: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)

    @field_validator("api_keys", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        items = split(value)
        if not isinstance(items, list | tuple):
            raise ValueError("must be role:key, with commas between")  # noqa: TRY004 -- pydantic reports ValueError
        pairs = [item.partition(":") if isinstance(item, str) else item for item in items]
        if any(isinstance(pair, tuple) and not pair[2] for pair in pairs):
            raise ValueError("must be role:key, with commas between; make a key with: openssl rand -hex 32")
        return [{"role": pair[0], "key": pair[2]} if isinstance(pair, tuple) else pair for pair in pairs]

    @field_serializer("database_url")
    def _without_password(self, value: str) -> str:
        return re.sub(r"(?<=://)[^/@]*@", "", value)

    @property
    def ignored(self) -> tuple[str, ...]:
        """Names of variables that Kubernetes set for a service called `handoff...` and that were passed over."""
        return self._ignored

    @property
    def public_url(self) -> str:
        """`base_url`, or where the process listens; without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (self.base_url or f"http://{host}:{self.port}").rstrip("/")

    @property
    def files_folder(self) -> Path | None:
        """Where files are kept; None: in the database itself."""
        if self.files_url:
            return Path(self.files_url.removeprefix("file://"))
        if not self.database_url.startswith("sqlite:///"):
            return None
        return Path(self.database_url.removeprefix("sqlite:///").split("?")[0]).parent / "files"

    @property
    def call_timeout_s(self) -> float:
        """How long one call to a desk may take: always less than `unclear_grace_s`, so that no send is read back while
        it may still be on its way.
        """
        return self.unclear_grace_s * 2 / 3


def load(environ: Mapping[str, str] | None = None, file: Path | None = None, *, for_: str = "serve") -> Settings:
    """Read environment and file. Blocks for one small file; may be called again.

    Args:
        environ: variables; None means those of this process.
        file: the TOML file, which must exist if named; None means `HANDOFF_CONFIG`, else `handoff.toml` if it is here.
        for_: `serve` asks for all that production needs; any other word only for what is given to be right.

    Raises:
        SettingsError: one line for each mistake, each naming the setting and the remedy.
    """
    variables = os.environ if environ is None else environ
    ours = {name: value for name, value in variables.items() if name.startswith(PREFIX) and value}
    named = ours.pop(CONFIG_VARIABLE, None)
    path = file or (Path(named) if named else None)
    document = _read_file(path or DEFAULT_FILE, must_exist=path is not None)
    ignored = tuple(sorted(name for name, value in ours.items() if _from_kubernetes(name, value)))
    for name in ignored:
        del ours[name]
    mistakes = list(_unclaimed(ours))
    claimed = {name.lower(): value for name, value in ours.items() if name in variables_by_name()}

    class Read(Settings):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Source, **__: Source
        ) -> tuple[Source, ...]:
            environment = EnvSettingsSource(settings_cls)
            environment.env_vars = claimed
            return environment, InitSettingsSource(settings_cls, document)

    try:
        settings = Read()
    except ValidationError as error:
        mistakes += [_line(item, claimed, str(path or DEFAULT_FILE)) for item in error.errors()]
    else:
        settings._ignored = ignored  # noqa: SLF001 -- the one who makes it
        mistakes += _contradictions(settings, serve=for_ == "serve")
        if not mistakes:
            return settings
    raise SettingsError("\n".join(mistakes))


def variables_by_name() -> Mapping[str, FieldInfo]:
    """Return every environment variable that is a setting, with its field: what the README's table is made of."""
    found = {
        CONFIG_VARIABLE: FieldInfo(annotation=str, default="", description="the file to read instead of `handoff.toml`")
    }
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if name in FILE_ONLY:
            continue
        if isinstance(section, type) and issubclass(section, BaseModel):
            found |= {f"{PREFIX}{name}__{key}".upper(): item for key, item in section.model_fields.items()}
        else:
            found[f"{PREFIX}{name}".upper()] = field
    return found


def _read_file(path: Path, *, must_exist: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if must_exist:
            raise SettingsError(f"{path}: there is no such file; correct --config or {CONFIG_VARIABLE}") from None
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read as TOML: {error}") from None


def _from_kubernetes(name: str, value: str) -> bool:
    return bool(_KUBERNETES_NAME.search(name) or _KUBERNETES_VALUE.match(value))


def _nearest(name: str, known: list[str]) -> str:
    short = {entry.removeprefix(PREFIX): entry for entry in known}
    [*match] = difflib.get_close_matches(name.removeprefix(PREFIX), list(short), n=1, cutoff=0.6)
    return f"; did you mean {short[match[0]]}?" if match else "; remove it"


def _unclaimed(ours: Mapping[str, str]) -> Iterator[str]:
    known = variables_by_name()
    for name in sorted(set(ours) - set(known)):
        section = name.removeprefix(PREFIX).split("__")[0].lower()
        if section in FILE_ONLY:
            yield f"{name}: this is set in the file only, as [{section}] in {DEFAULT_FILE}"
        else:
            yield f"{name}: there is no such setting{_nearest(name, [*known])}"


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    """Names of the keys that a table at this place may have."""
    table: Any = Settings
    for part in location:
        if isinstance(part, str) and table is not None and part in table.model_fields:
            table = _table_in(table.model_fields[part].annotation)
    return [] if table is None else [*table.model_fields]


def _table_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _table_in(part))), None)


def _line(item: ErrorDetails, claimed: Mapping[str, str], file: str) -> str:
    """One mistake, named as the one who made it wrote it. What was given is never repeated: it may be a secret."""
    location = item["loc"]
    names = [str(part) for part in location if isinstance(part, str)]
    variable = next((name for i in (2, 1) if (name := PREFIX.lower() + "__".join(names[:i])) in claimed), "")
    dotted = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    where = variable.upper() or f"{dotted} in {file}"
    if item["type"] == "extra_forbidden":
        return f"{where}: there is no such setting{_nearest(names[-1], _fields_at(location[:-1]))}"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "string_pattern_mismatch":
        message = _PATTERNS.get(names[-1], message)
    return f"{where}: {message[0].lower() + message[1:]}"


_PATTERNS = {
    "channels": (
        "must be a channel's ID such as C0123456789; it stands at the end of the channel's details in Slack "
        "(in Teams 19:...@thread.tacv2, in the channel's link)"
    ),
    "database_url": "must be sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE",
    "command": "must look like /return: lower-case letters, digits, - and _",
    "name": "must be lower-case letters, digits, - and _",
    "site": "must be lower-case letters, digits, - and _",
}


def _contradictions(settings: Settings, *, serve: bool) -> Iterator[str]:
    """Mistakes that no single field shows."""
    slack = settings.slack
    if slack.api_url != SLACK_API_URL and not is_loopback(slack.api_url) and not slack.allow_api_url:
        yield (
            "HANDOFF_SLACK__API_URL: the bot token would be sent to another host than Slack's; "
            "if that is meant, set HANDOFF_SLACK__ALLOW_API_URL=true"
        )
    teams = settings.teams
    is_local = bool(teams.metadata_url or teams.authority_url or teams.graph_url)
    if teams.unsigned:
        yield from _unsigned(settings, is_local=is_local)
    elif is_local and not (is_loopback(teams.service_url) and teams.metadata_url and teams.authority_url):
        yield (
            "HANDOFF_TEAMS__SERVICE_URL: a local Teams needs it, HANDOFF_TEAMS__METADATA_URL and "
            "HANDOFF_TEAMS__AUTHORITY_URL, all of this machine; for Microsoft's own set none of them"
        )
    yield from _names(settings)
    yield from _desks(settings)
    if serve:
        yield from _missing(settings)


def _unsigned(settings: Settings, *, is_local: bool) -> Iterator[str]:
    """Where nothing is signed, nobody but this machine may have a way in, nor a secret a way out."""
    says = "HANDOFF_TEAMS__UNSIGNED: is for trying things out on this machine"
    if is_local:
        yield f"{says}, with no keys and no tokens: remove HANDOFF_TEAMS__METADATA_URL, __AUTHORITY_URL and __GRAPH_URL"
    if not is_loopback(settings.teams.service_url):
        yield f"{says}: set HANDOFF_TEAMS__SERVICE_URL to the Playground's, as in http://127.0.0.1:56150/_connector"
    if settings.teams.app_password is not None:
        yield f"{says}, where no secret is needed: remove HANDOFF_TEAMS__APP_PASSWORD"
    if not is_loopback(f"http://[{settings.host}]/" if ":" in settings.host else f"http://{settings.host}/"):
        yield f"{says}: set HANDOFF_HOST to 127.0.0.1, so that no other machine is listened to"
    if settings.base_url and not is_loopback(settings.base_url):
        yield f"{says}: remove HANDOFF_BASE_URL, by which the world would reach it"


def _names(settings: Settings) -> Iterator[str]:
    queues = [queue.name for queue in settings.queues]
    for name in sorted({name for name in queues if queues.count(name) > 1}):
        yield f"queues: two are called {name}; rename one"
    for place, name in _queues_named(settings):
        if name not in queues:
            yield f"{place}: there is no queue {name}; the queues are: {', '.join(queues) or 'none'}"
    ladders = {*settings.ladders, "standard", "none"}
    for queue in settings.queues:
        if queue.ladder not in ladders:
            known = ", ".join(sorted(ladders))
            yield f"queues.{queue.name}.ladder: there is no ladder {queue.ladder}; known are: {known}"


def _desks(settings: Settings) -> Iterator[str]:
    for queue in settings.queues:
        for channel in queue.channels:
            its = "slack" if re.fullmatch(SLACK_CHANNEL, channel) else "teams"
            if its != queue.desk:
                yield f'queues.{queue.name}.channels: {channel} is not of the queue\'s desk; set desk = "{its}"'
        if queue.desk == "teams" and queue.user_group:
            yield f"queues.{queue.name}.user_group: Teams has none; list the people in operators"


def _queues_named(settings: Settings) -> Iterator[tuple[str, str]]:
    yield from ((f"routes[{i}].queue", route.queue) for i, route in enumerate(settings.routes, 1))
    yield from ((f"triggers.policy.{rule.name}.queue", rule.queue) for rule in settings.triggers.policy if rule.queue)
    for name, rungs in settings.ladders.items():
        yield from ((f"ladders.{name}[{i}].text", r.text) for i, r in enumerate(rungs, 1) if r.action == "queue")


def _missing(settings: Settings) -> Iterator[str]:
    if not settings.secret_key:
        yield "HANDOFF_SECRET_KEY: is not set; make one with: openssl rand -hex 32"
    yield from _missing_for_slack(settings)
    yield from _missing_for_teams(settings)
    if settings.agent.kind == "http" and not settings.agent.url:
        yield (
            "HANDOFF_AGENT__URL: is not set; give the address of your agent, or set HANDOFF_AGENT__KIND=demo for the "
            "scripted one"
        )
    if (
        settings.agent.kind == "http"
        and settings.agent.url
        and settings.agent.secret is None
        and not is_loopback(settings.agent.url)
    ):
        yield (
            "HANDOFF_AGENT__SECRET: is not set, and an agent on another machine could not know who calls; "
            "make one with: echo whsec_$(openssl rand -base64 32)"
        )
    if not settings.queues:
        yield f'queues: there is none; add to {DEFAULT_FILE}: [[queues]] name = "support" channels = ["C0123456789"]'


def _missing_for_slack(settings: Settings) -> Iterator[str]:
    slack = settings.slack
    queue = next((queue.name for queue in settings.queues if queue.desk == "slack"), "")
    if slack.bot_token is None:
        if settings.teams.app_id and not queue:
            return
        why = f"queue {queue} is on Slack, and it is not set" if settings.teams.app_id else "is not set"
        yield f"HANDOFF_SLACK__BOT_TOKEN: {why}; copy the Bot User OAuth Token of your app (api.slack.com/apps)"
    if slack.mode == "socket" and slack.app_token is None:
        yield (
            "HANDOFF_SLACK__APP_TOKEN: is not set, and Socket Mode needs it; make an app-level token with "
            "connections:write, or set HANDOFF_SLACK__MODE=http"
        )
    if slack.mode == "http" and slack.signing_secret is None:
        yield "HANDOFF_SLACK__SIGNING_SECRET: is not set, and HTTP mode needs it; copy it from Basic Information"


def _missing_for_teams(settings: Settings) -> Iterator[str]:
    teams = settings.teams
    if not teams.app_id:
        if queue := next((queue.name for queue in settings.queues if queue.desk == "teams"), ""):
            yield (
                f"HANDOFF_TEAMS__APP_ID: queue {queue} is on Teams, and it is not set; copy the Microsoft App ID of "
                "your Azure Bot, Configuration"
            )
        return
    if teams.app_type != "UserAssignedMsi" and teams.app_password is None and not teams.unsigned:
        yield "HANDOFF_TEAMS__APP_PASSWORD: is not set; make a client secret for the app of your Azure Bot"
    if teams.app_type != "MultiTenant" and not teams.tenant_id:
        yield "HANDOFF_TEAMS__TENANT_ID: is not set; copy the App Tenant ID of your Azure Bot, Configuration"
    if not teams.tenant_id and not teams.tenants:
        yield "HANDOFF_TEAMS__TENANTS: is not set, so nobody may speak to the bot; name your tenant's id"
