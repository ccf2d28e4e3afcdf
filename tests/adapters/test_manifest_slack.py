"""The Slack app manifest asks for what the desk uses, and for nothing else."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from adapters.manifest_slack import EVENTS, OPTIONAL_SCOPES, SCOPES, SHORTCUTS, dump, manifest
from bridge.errors import SettingsError
from tests.settings import ROOT

PROGRAM = Path(sys.executable).parent / "handoff-bridge"
SOCKET = manifest(mode="socket")
HTTP = manifest(mode="http", base_url="https://bridge.example/")
BOTH = pytest.mark.parametrize("document", [SOCKET, HTTP], ids=["socket", "http"])

# Names that exist, from https://docs.slack.dev/reference/scopes and https://docs.slack.dev/reference/events .
# Slack's own schema takes any word for a scope or an event, so a slip would only show in the workspace.
KNOWN_SCOPES = set(
    """
    app_mentions:read assistant:write bookmarks:read bookmarks:write calls:read calls:write canvases:read
    canvases:write channels:history channels:join channels:manage channels:read channels:write.invites
    channels:write.topic chat:write chat:write.customize chat:write.public commands conversations.connect:manage
    conversations.connect:read conversations.connect:write dnd:read emoji:read files:read files:write
    groups:history groups:read groups:write im:history im:read im:write incoming-webhook links:read links:write
    lists:read lists:write metadata.message:read mpim:history mpim:read mpim:write pins:read pins:write
    reactions:read reactions:write reminders:read reminders:write remote_files:read remote_files:share
    remote_files:write team:read usergroups:read usergroups:write users.profile:read users:read users:read.email
    users:write workflow.steps:execute
    """.split()  # noqa: SIM905 -- a list literal takes a line for each
)
KNOWN_EVENTS: dict[str, set[str]] = {
    "app_mention": {"app_mentions:read"},
    "app_uninstalled": set(),
    "channel_archive": {"channels:read"},
    "channel_id_changed": {"channels:read"},
    "channel_shared": {"channels:read", "groups:read"},
    "member_joined_channel": {"channels:read", "groups:read"},
    "member_left_channel": {"channels:read", "groups:read"},
    "message.channels": {"channels:history"},
    "message.groups": {"groups:history"},
    "team_join": {"users:read"},
    "tokens_revoked": set(),
    "user_change": {"users:read"},
}
# From the methods' own pages: https://docs.slack.dev/reference/methods
METHOD_SCOPES: dict[str, set[str]] = {
    "apps.connections.open": set(),
    "assistant.threads.setStatus": {"chat:write"},
    "auth.test": set(),
    "chat.delete": {"chat:write"},
    "chat.postEphemeral": {"chat:write"},
    "chat.postMessage": {"chat:write"},
    "chat.update": {"chat:write"},
    "conversations.history": {"channels:history"},
    "conversations.info": {"channels:read"},
    "conversations.members": {"channels:read"},
    "conversations.replies": {"channels:history"},
    "files.completeUploadExternal": {"files:write"},
    "files.getUploadURLExternal": {"files:write"},
    "files.info": {"files:read"},
    "usergroups.users.list": {"usergroups:read"},
    "users.info": {"users:read"},
    "views.open": set(),
    "views.update": set(),
}


def scopes(document: dict[str, Any]) -> list[str]:
    granted = document["oauth_config"]["scopes"]
    return [*granted["bot"], *granted["bot_optional"]]


def addresses(document: dict[str, Any]) -> list[str | None]:
    settings = document["settings"]
    return [
        *(command.get("url") for command in document["features"]["slash_commands"]),
        settings["interactivity"].get("request_url"),
        settings["event_subscriptions"].get("request_url"),
    ]


@BOTH
def test_slacks_own_schema_takes_it(document: dict[str, Any]) -> None:
    """The manifest is valid against the schema that Slack publishes."""
    schema = json.loads((ROOT / "tests/payloads/slack/manifest.schema.2.0.0.json").read_text(encoding="utf-8"))

    jsonschema.validate(document, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "display_information": {"name": "n" * 36}}, schema)


@BOTH
def test_every_scope_and_event_exists_and_is_covered(document: dict[str, Any]) -> None:
    """No name is misspelt, none is asked for twice, and each event has a scope that delivers it."""
    asked = scopes(document)
    events = document["settings"]["event_subscriptions"]["bot_events"]

    assert set(asked) <= KNOWN_SCOPES
    assert len(asked) == len(set(asked))
    assert [event for event in events if not KNOWN_EVENTS[event] & set(asked)] == []
    assert {event: set(needed) for event, needed in EVENTS.items()} == {event: KNOWN_EVENTS[event] for event in events}


@BOTH
def test_it_asks_for_the_least(document: dict[str, Any]) -> None:
    """No right to speak under other names, to join or manage channels, to read private messages, and no user token."""
    assert set(scopes(document)) == set(SCOPES) | set(OPTIONAL_SCOPES)
    assert not {scope for scope in scopes(document) if scope.startswith(("im:", "mpim:", "admin", "chat:write."))}
    assert "channels:join" not in scopes(document)
    assert "user" not in document["oauth_config"]["scopes"]


def test_addresses_are_everywhere_or_nowhere() -> None:
    """HTTP mode names the one address for events, commands and buttons; Socket Mode names none."""
    assert addresses(HTTP) == ["https://bridge.example/slack/events"] * 3
    assert addresses(SOCKET) == [None] * 3
    assert (HTTP["settings"]["socket_mode_enabled"], SOCKET["settings"]["socket_mode_enabled"]) == (False, True)


@pytest.mark.parametrize("base_url", ["", "http://bridge.example", "bridge.example"])
def test_http_mode_wants_an_address_that_slack_can_reach(base_url: str) -> None:
    """A manifest that could never work is not written."""
    with pytest.raises(SettingsError, match="--base-url: HTTP mode needs the https"):
        manifest(mode="http", base_url=base_url)


@BOTH
def test_names_are_unique_and_fit(document: dict[str, Any]) -> None:
    """Commands and shortcuts differ from each other and keep Slack's lengths."""
    commands = [command["command"] for command in document["features"]["slash_commands"]]
    shortcuts = document["features"]["shortcuts"]

    assert len(commands) == len(set(commands))
    assert len({shortcut["callback_id"] for shortcut in shortcuts}) == len(shortcuts)
    assert len({shortcut["name"] for shortcut in shortcuts}) == len(shortcuts)
    assert all(len(shortcut["name"]) <= 24 for shortcut in shortcuts)


def desk_words() -> set[str]:
    """Every text constant in the Slack adapter."""
    return {
        node.value
        for path in (ROOT / "adapters/slack").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_the_desk_answers_each_shortcut_and_no_other() -> None:
    """The ids of the manifest are those that the Slack adapter waits for."""
    names = {word for word in desk_words() if word.startswith("bridge_") and word.endswith("_message")}

    assert names == set(SHORTCUTS)


def test_the_desk_reads_each_event_and_no_other() -> None:
    """Nothing is subscribed that nobody reads, and nothing is read that never comes."""
    read = {word for word in desk_words() if word in KNOWN_EVENTS}

    assert read == {event for event in EVENTS if "." not in event}


def test_each_call_of_the_desk_has_its_scope() -> None:
    """No method of the Web API is called that the granted scopes do not allow."""
    calls = {word for word in desk_words() if re.fullmatch(r"[a-z]+(\.[a-zA-Z]+){1,2}", word)}
    known = {word for word in calls if word.split(".")[0] in {name.split(".")[0] for name in METHOD_SCOPES}}
    asked = set(scopes(SOCKET))

    assert known <= set(METHOD_SCOPES), "say below which scope it needs"
    assert [call for call in known if METHOD_SCOPES[call] and not METHOD_SCOPES[call] & asked] == []
    assert len(known) > 10


def test_the_committed_manifest_is_the_generated_one() -> None:
    """What an admin copies from the repository is what the command writes."""
    committed = (ROOT / "manifest/slack.yaml").read_text(encoding="utf-8")

    assert committed == dump(SOCKET, "yaml")


def test_the_command_writes_what_was_asked_for(tmp_path: Path) -> None:
    """Mode, form, address, command and file are options of `manifest slack`."""
    words = ["--mode", "http", "--format", "json", "--base-url", "https://b.example", "--command", "/acme-return"]
    target = tmp_path / "m.json"
    done = subprocess.run(
        [str(PROGRAM), "manifest", "slack", *words, "--output", str(target)], capture_output=True, text=True, check=True
    )

    assert done.stdout == f"wrote {target}\n"
    assert json.loads(target.read_text(encoding="utf-8")) == manifest(
        mode="http", base_url="https://b.example", command="/acme-return"
    )
    assert yaml.safe_load(dump(HTTP, "yaml")) == json.loads(dump(HTTP, "json")) == HTTP
