"""The names under which the Teams desk remembers things (`bridge.facts.DeskFacts`), and what they mean. Pure.

Plain strings: no reference object of the library is ever kept.
"""

from collections.abc import Mapping

from adapters.teams.refs import split_thread

SERVICE_URL = "service_url"
"""Where the connector is, as Teams last said: https://learn.microsoft.com/microsoftteams/platform/bots/how-to/
conversations/send-proactive-messages. Only ever an address that the settings trust.
"""
TENANT = "tenant"
BOT_ID = "bot_id"
"""The bot's own account id in Teams, `28:<app id>`."""
BOT_NAME = "bot_name"
TEAM = "team"
"""The team in which something was heard last; each channel's own is under `team_of`."""
AUTHORITY = "authority"
"""Which authority knows the app, where it is not the one that the settings name."""
YES = "yes"


def team_of(channel: str) -> str:
    """Return the name of the fact which team a channel is in."""
    return f"team:{channel}"


def team_name(team: str) -> str:
    """Return the name of the fact how a team is called."""
    return f"team_name:{team}"


def aad_group(team: str) -> str:
    """Return the name of the fact under which id Graph knows a team."""
    return f"aad_group:{team}"


def channel_name(channel: str) -> str:
    """Return the name of the fact how a channel is called."""
    return f"channel_name:{channel}"


def removed(place: str) -> str:
    """Return the name of the fact that the app was removed from a team, or that a team or channel was deleted."""
    return f"removed:{place}"


def heard_all(team: str) -> str:
    """Return the name of the fact that a message without a mention came out of this team: the admin has granted
    `ChannelMessage.Read.Group`.
    """
    return f"rsc:{team}"


def hears_all(facts: Mapping[str, str], place: str) -> bool:
    """Tell whether every message of this channel (or of a thread in it) reaches us; False: only those that mention the
    bot.
    """
    channel, _ = split_thread(place)
    team = facts.get(team_of(channel), "")
    return bool(team) and facts.get(heard_all(team)) == YES
