"""The JSON that Slack sends to an app: events, their envelope, interactions. Pure.

Shapes: https://docs.slack.dev/apis/events-api, https://docs.slack.dev/reference/interaction-payloads
"""

import secrets

from adapters.sandbox.slack.people import APP_ID, BOT_USER, OTHER_TEAM_ID, TEAM_DOMAIN, TEAM_ID, Person
from adapters.sandbox.slack.records import Channel, Json, Message

VERIFICATION_TOKEN = "sandbox-verification-token"  # noqa: S105 - deprecated field of every payload, proves nothing


def user_object(person: Person, base_url: str) -> Json:
    """Return the user object. Shape: https://docs.slack.dev/reference/objects/user-object."""
    first, _, last = person.real_name.partition(" ")
    picture = f"{base_url}/avatars/{person.id}.svg"
    profile: Json = {
        "title": person.title,
        "real_name": person.real_name,
        "real_name_normalized": person.real_name,
        "display_name": "" if person.is_bot else person.name,
        "display_name_normalized": "" if person.is_bot else person.name,
        "first_name": first,
        "last_name": last,
        "email": person.email,
        "avatar_hash": "sandbox",
        "team": person.team_id,
        "status_text": "",
        "status_emoji": "",
        **{f"image_{size}": picture for size in (24, 32, 48, 72, 192, 512)},
    }
    if person.is_bot:
        profile |= {"bot_id": person.bot_id, "api_app_id": person.app_id}
    body: Json = {
        "id": person.id,
        "team_id": person.team_id,
        "name": person.name,
        "deleted": person.deleted,
        "color": person.colour,
        "real_name": person.real_name,
        "tz": "Europe/Berlin",
        "tz_label": "Central European Time",
        "tz_offset": 3600,
        "profile": profile,
        "is_bot": person.is_bot,
        "is_app_user": False,
        "updated": 0,
    }
    if person.team_id == OTHER_TEAM_ID:
        body["is_stranger"] = True
    if not person.deleted:
        body |= {
            "is_admin": person.is_admin,
            "is_owner": False,
            "is_primary_owner": False,
            "is_restricted": person.is_guest,
            "is_ultra_restricted": False,
        }
    return body


def message_event(channel: Channel, message: Message) -> Json:
    """Return the ``message`` event of a new message."""
    body = message.as_json()
    body.pop("reactions", None)
    return body | {
        "channel": message.channel,
        "channel_type": channel.channel_type,
        "event_ts": message.ts,
        **({"upload": False, "display_as_bot": False} if message.files else {}),
        **({"user_team": message.team, "source_team": message.team} if message.team != TEAM_ID else {}),
    }


def app_mention_event(message: Message) -> Json:
    """Return the ``app_mention`` event that Slack sends beside the ``message`` event."""
    body = message.as_json()
    body.pop("subtype", None)
    return body | {"type": "app_mention", "channel": message.channel, "event_ts": message.ts}


def changed_event(channel: Channel, *, now: Json, before: Json, event_ts: str) -> Json:
    """Return a ``message_changed`` event."""
    return {
        "type": "message",
        "subtype": "message_changed",
        "hidden": True,
        "message": now,
        "previous_message": before,
        "channel": channel.id,
        "channel_type": channel.channel_type,
        "ts": event_ts,
        "event_ts": event_ts,
    }


def deleted_event(channel: Channel, *, before: Json, event_ts: str) -> Json:
    """Return a ``message_deleted`` event."""
    return {
        "type": "message",
        "subtype": "message_deleted",
        "hidden": True,
        "deleted_ts": before["ts"],
        "previous_message": before,
        "channel": channel.id,
        "channel_type": channel.channel_type,
        "ts": event_ts,
        "event_ts": event_ts,
    }


def event_id() -> str:
    """Return a fresh id of a delivery."""
    return f"Ev{secrets.token_hex(5).upper()}"


def envelope(event: Json, *, now_s: float, is_ext_shared: bool) -> Json:
    """Wrap an event as the Events API does."""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": TEAM_ID,
        "context_team_id": TEAM_ID,
        "context_enterprise_id": None,
        "api_app_id": APP_ID,
        "event": event,
        "type": "event_callback",
        "event_id": event_id(),
        "event_time": int(now_s),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": TEAM_ID,
                "user_id": BOT_USER,
                "is_bot": True,
                "is_enterprise_install": False,
            },
        ],
        "is_ext_shared_channel": is_ext_shared,
        "event_context": f"4-{secrets.token_hex(12)}",
    }


def interaction(kind: str, person: Person, *, trigger_id: str | None) -> Json:
    """Return what every interaction payload has in common."""
    body: Json = {
        "type": kind,
        "token": VERIFICATION_TOKEN,
        "api_app_id": APP_ID,
        "team": {"id": TEAM_ID, "domain": TEAM_DOMAIN},
        "enterprise": None,
        "is_enterprise_install": False,
        "user": {"id": person.id, "username": person.name, "name": person.name, "team_id": person.team_id},
    }
    if trigger_id is not None:
        body["trigger_id"] = trigger_id
    return body
