"""Triggers, open modals and response URLs: what an interaction leaves behind for a while. Pure."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from adapters.sandbox.slack.people import APP_ID, BOT_ID, TEAM_ID
from adapters.sandbox.slack.records import Change, Json, ResponseUrl, SlackError, Trigger, View
from adapters.sandbox.slack.validate import check_view

TRIGGER_S = 3.0
RESPONSE_URL_S = 30 * 60.0
RESPONSE_URL_USES = 5
MAX_VIEWS = 3


@dataclass(kw_only=True, slots=True)
class Modals:
    """The open modals of every person, and the short-lived permissions that interactions give."""

    now: Callable[[], float]
    on_change: Callable[[Change], None]
    triggers: dict[str, Trigger]
    views: dict[str, View]
    response_urls: dict[str, ResponseUrl]

    def trigger(self, user: str, *, view_id: str | None = None) -> str:
        """Mint a trigger id for one person's action."""
        trigger_id = f"{secrets.randbelow(10**12)}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}"
        self.triggers[trigger_id] = Trigger(user=user, expires_at=self.now() + TRIGGER_S, view_id=view_id)
        return trigger_id

    def exchange(self, trigger_id: str) -> Trigger:
        """Use a trigger up. Raises ``invalid_trigger_id``, ``trigger_expired``, ``trigger_exchanged``."""
        trigger = self.triggers.get(trigger_id)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.used:
            raise SlackError("trigger_exchanged")
        if self.now() > trigger.expires_at:
            raise SlackError("trigger_expired")
        trigger.used = True
        return trigger

    def open(self, trigger_id: str, body: object) -> View:
        """Open a modal, closing what its person had open. Raises as ``exchange`` and ``check_view`` do."""
        checked = check_view(body)
        self._free_external_id(checked, view=None)
        user = self.exchange(trigger_id).user
        for view in self.of(user):
            self._drop(view)
        return self._add(user, checked, below=None)

    def push(self, trigger_id: str, body: object) -> View:
        """Put a modal on top of the one that the trigger came from. Raises ``push_limit_reached`` beside ``open``'s."""
        checked = check_view(body)
        self._free_external_id(checked, view=None)
        trigger = self.exchange(trigger_id)
        below = self.views.get(trigger.view_id or "")
        if below is None:
            raise SlackError("invalid_trigger_id")
        return self.push_on(below, checked)

    def push_on(self, below: View, body: Json) -> View:
        """Put a modal on top of ``below``. Raises ``push_limit_reached``."""
        if len(self.of(below.user)) >= MAX_VIEWS:
            raise SlackError("push_limit_reached")
        return self._add(below.user, body, below=below)

    def update(self, view: View, body: object, *, expected_hash: str | None) -> View:
        """Replace a modal's content, keeping what was typed in fields that stay. Raises ``hash_conflict``."""
        if expected_hash and expected_hash != view.hash:
            raise SlackError("hash_conflict")
        checked = check_view(body)
        self._free_external_id(checked, view=view)
        view.body, view.hash, view.errors = checked, self._hash(), {}
        self.announce(view)
        return view

    def find(self, *, view_id: str | None, external_id: str | None) -> View:
        """Return an open modal. Raises ``not_found``."""
        for view in self.views.values():
            if view.id == view_id or (external_id and view.body.get("external_id") == external_id):
                return view
        raise SlackError("not_found")

    def of(self, user: str) -> list[View]:
        """Return the modals that a person has open, the topmost last."""
        return [view for view in self.views.values() if view.user == user]

    def close(self, view: View, *, all_of_them: bool = False) -> list[View]:
        """Close a modal, or the whole stack. Returns what was closed, topmost first."""
        closing = list(reversed(self.of(view.user))) if all_of_them else [view]
        for each in closing:
            self._drop(each)
        return closing

    def show_errors(self, view: View, errors: dict[str, str]) -> None:
        """Show an app's complaints beside the fields."""
        view.errors = errors
        self.announce(view)

    def response_url(self, base_url: str, permission: ResponseUrl) -> str:
        """Mint a URL where the app may answer for a while."""
        token = secrets.token_urlsafe(18)
        self.response_urls[token] = permission
        return f"{base_url}/response/{token}"

    def permission(self, channel: str, user: str) -> ResponseUrl:
        """Return a fresh permission to answer one person in one channel."""
        return ResponseUrl(channel=channel, user=user, expires_at=self.now() + RESPONSE_URL_S)

    def use_response_url(self, token: str) -> ResponseUrl:
        """Count one use. Raises ``expired_url``, ``used_url``."""
        permission = self.response_urls.get(token)
        if permission is None or self.now() > permission.expires_at:
            raise SlackError("expired_url")
        if permission.uses >= RESPONSE_URL_USES:
            raise SlackError("used_url")
        permission.uses += 1
        return permission

    def as_json(self, view: View) -> Json:
        """Return the view object that the app sees."""
        return view.as_json(team_id=TEAM_ID, app_id=APP_ID, bot_id=BOT_ID)

    def announce(self, view: View) -> None:
        """Tell the page about a modal."""
        shown = {"view": self.as_json(view), "user": view.user, "errors": view.errors}
        self.on_change(lambda: {"kind": "view", **shown})

    def _add(self, user: str, body: Json, *, below: View | None) -> View:
        view_id = f"V{secrets.token_hex(5).upper()}"
        view = View(
            id=view_id,
            user=user,
            body=body,
            hash=self._hash(),
            root_id=below.root_id if below else view_id,
            previous_id=below.id if below else None,
        )
        self.views[view.id] = view
        self.announce(view)
        return view

    def _drop(self, view: View) -> None:
        self.views.pop(view.id, None)
        self.on_change(lambda: {"kind": "view_closed", "view_id": view.id, "user": view.user})

    def _free_external_id(self, body: Json, *, view: View | None) -> None:
        wanted = body.get("external_id")
        if wanted and any(v is not view and v.body.get("external_id") == wanted for v in self.views.values()):
            raise SlackError("duplicate_external_id")

    def _hash(self) -> str:
        return f"{int(self.now())}.{secrets.token_hex(4)}"
