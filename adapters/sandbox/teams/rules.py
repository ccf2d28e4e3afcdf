"""How the tenant is set up, as long as it is told to be. Rules do not count down: `PUT /sandbox/rules`, `DELETE`."""

from dataclasses import asdict, dataclass

from adapters.sandbox.teams.records import ActRefused, Json

CHOICES = {
    "secret": ("valid", "invalid", "expired", "unknown_app"),
    "authority": ("tenant", "botframework.com"),
    "edit_events": ("all", "mentioned", "none"),
}


@dataclass(kw_only=True, slots=True)
class Rules:
    """The switches.

    `rsc`: the bot hears every message of the team's channels, else only those that mention it. `graph`: it may read
    messages and files through Graph. `limits`: Teams' numbers of calls per channel and tenant hold. `retry_after`: an
    answer 429 says how long to wait. `updates_count`: changing a message spends the channel's budget like a new one.
    `window_scale`: multiplies the windows of the limits. `secret`: what becomes of the bot's client secret.
    `authority`: which one knows the app. `token_life_s`: how long a token is good. `edit_events`: which edits and
    deletes the bot hears of. `old_client`:
    people's clients know no Action.Execute and use its fallback. `writes_blocked`: the bot may not write.
    `redeliver`: what was not answered with 2xx comes again. `slash`: targeted messages keep the thread they were typed
    in.
    """

    rsc: bool = True
    graph: bool = False
    limits: bool = True
    retry_after: bool = False
    updates_count: bool = True
    window_scale: float = 1.0
    secret: str = "valid"  # noqa: S105 - a state, no secret
    authority: str = "tenant"
    token_life_s: float = 3600.0
    edit_events: str = "all"
    old_client: bool = False
    writes_blocked: bool = False
    redeliver: bool = True
    slash: bool = False

    def update(self, body: Json) -> None:
        """Take over what a JSON body names, or nothing. Raises `ActRefused("invalid_rule")` with what is wrong."""
        known = {name: type(value) for name, value in Rules().as_json().items()}
        for name, value in body.items():
            if name not in known:
                raise ActRefused("invalid_rule", f"no rule {name!r}; there are: {', '.join(known)}")
            numeric = known[name] is float and type(value) is int
            if type(value) is not known[name] and not numeric:
                raise ActRefused("invalid_rule", f"{name} must be of type {known[name].__name__}")
            if name in CHOICES and value not in CHOICES[name]:
                raise ActRefused("invalid_rule", f"{name} must be one of: {', '.join(CHOICES[name])}")
            if known[name] is float and value <= 0:
                raise ActRefused("invalid_rule", f"{name} must be over 0")
        for name, value in body.items():
            setattr(self, name, known[name](value))

    def reset(self) -> None:
        """Be as at the start."""
        self.update(Rules().as_json())

    def as_json(self) -> Json:
        """Return them as `GET /sandbox/rules` shows them."""
        return asdict(self)
