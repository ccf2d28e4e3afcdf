"""What a sandbox is told at its start."""

from dataclasses import dataclass, field

from adapters.sandbox.teams.people import APP_ID, TENANT

APP_PASSWORD = "sandbox-client-secret"  # noqa: S105 - the sandbox's own, on loopback only


@dataclass(kw_only=True, slots=True)
class SandboxSettings:
    """Everything fixed at the start. `endpoint` is the bot's messaging endpoint; it can be changed while it runs.

    `answer_timeout_s` is how long the bot may take to answer before the activity counts as not delivered and comes
    again after each of `retry_after_s`.
    """

    host: str = "127.0.0.1"
    port: int = 0
    endpoint: str = ""
    app_id: str = APP_ID
    app_password: str = APP_PASSWORD
    tenant: str = TENANT
    answer_timeout_s: float = 15.0
    retry_after_s: tuple[float, ...] = field(default=(1.0, 5.0))
    invoke_timeout_s: float = 15.0
