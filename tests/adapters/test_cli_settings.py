"""Every mistake in the settings, as the one who made it sees it: the real process, one line, status 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.settings import ROOT

PROGRAM = Path(sys.executable).parent / "handoff-bridge"
LONG = "0123456789abcdef0123456789abcdef"
FILE = """
[[queues]]
name = "support"
channels = ["C0123456789"]
"""
GOOD = {
    "HANDOFF_SECRET_KEY": LONG,
    "HANDOFF_SLACK__BOT_TOKEN": "xoxb-canary",
    "HANDOFF_SLACK__APP_TOKEN": "xapp-canary",
    "HANDOFF_AGENT__URL": "http://127.0.0.1:9/turn",
}
GUID = "0a1b2c3d-0a1b-4a1b-8a1b-0a1b2c3d4e5f"
CHANNEL = "19:5e02f8a6c3d94b71a0e4d7b9262f1c83@thread.tacv2"
TEAMS = {
    "HANDOFF_TEAMS__APP_ID": GUID,
    "HANDOFF_TEAMS__APP_PASSWORD": "canary",
    "HANDOFF_TEAMS__TENANT_ID": GUID,
}
TEAMS_FILE = f"""
[[queues]]
name = "support"
desk = "teams"
channels = ["{CHANNEL}"]
"""
KEY = "make one with: openssl rand -hex 32"


def serve(folder: Path, environment: dict[str, str], file: str) -> subprocess.CompletedProcess[str]:
    (folder / "handoff.toml").write_text(file, encoding="utf-8")
    return subprocess.run(
        [str(PROGRAM), "serve"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **{k: v for k, v in environment.items() if v}},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def table(**lines: str) -> str:
    """FILE with more keys in its queue."""
    return FILE + "".join(f"{key} = {value}\n" for key, value in lines.items())


# name -> (what the environment changes, the file, the one line)
MISTAKES: dict[str, tuple[dict[str, str], str, str]] = {
    "no secret key": ({"HANDOFF_SECRET_KEY": ""}, FILE, f"HANDOFF_SECRET_KEY: is not set; {KEY}"),
    "short secret key": (
        {"HANDOFF_SECRET_KEY": f"{LONG},short"},
        FILE,
        f"HANDOFF_SECRET_KEY: is shorter than 32 characters; {KEY}",
    ),
    "no bot token": (
        {"HANDOFF_SLACK__BOT_TOKEN": ""},
        FILE,
        "HANDOFF_SLACK__BOT_TOKEN: is not set; copy the Bot User OAuth Token of your app (api.slack.com/apps)",
    ),
    "another kind of bot token": (
        {"HANDOFF_SLACK__BOT_TOKEN": "xoxp-canary"},
        FILE,
        (
            "HANDOFF_SLACK__BOT_TOKEN: must start with xoxb-; copy it from your app's page at api.slack.com/apps, "
            "OAuth & Permissions"
        ),
    ),
    "another kind of app token": (
        {"HANDOFF_SLACK__APP_TOKEN": "xoxb-canary"},
        FILE,
        (
            "HANDOFF_SLACK__APP_TOKEN: must start with xapp-; copy it from your app's page at api.slack.com/apps, "
            "Basic Information, App-Level Tokens"
        ),
    ),
    "socket mode without its token": (
        {"HANDOFF_SLACK__APP_TOKEN": ""},
        FILE,
        (
            "HANDOFF_SLACK__APP_TOKEN: is not set, and Socket Mode needs it; make an app-level token with "
            "connections:write, or set HANDOFF_SLACK__MODE=http"
        ),
    ),
    "http mode without its secret": (
        {"HANDOFF_SLACK__MODE": "http"},
        FILE,
        "HANDOFF_SLACK__SIGNING_SECRET: is not set, and HTTP mode needs it; copy it from Basic Information",
    ),
    "unknown mode": (
        {"HANDOFF_SLACK__MODE": "https"},
        FILE,
        "HANDOFF_SLACK__MODE: input should be 'socket' or 'http'",
    ),
    "a token for a stranger": (
        {"HANDOFF_SLACK__API_URL": "https://slack.example/api/"},
        FILE,
        (
            "HANDOFF_SLACK__API_URL: the bot token would be sent to another host than Slack's; if that is meant, set "
            "HANDOFF_SLACK__ALLOW_API_URL=true"
        ),
    ),
    "no address": (
        {"HANDOFF_SLACK__API_URL": "slack.com/api"},
        FILE,
        "HANDOFF_SLACK__API_URL: must be an address that starts with https:// (or http:// on this machine)",
    ),
    "a command without a slash": (
        {"HANDOFF_SLACK__COMMAND": "return"},
        FILE,
        "HANDOFF_SLACK__COMMAND: must look like /return: lower-case letters, digits, - and _",
    ),
    "no agent": (
        {"HANDOFF_AGENT__URL": ""},
        FILE,
        (
            "HANDOFF_AGENT__URL: is not set; give the address of your agent, or set HANDOFF_AGENT__KIND=demo for the "
            "scripted one"
        ),
    ),
    "an unsigned call to another machine": (
        {"HANDOFF_AGENT__URL": "https://agent.example/turn"},
        FILE,
        (
            "HANDOFF_AGENT__SECRET: is not set, and an agent on another machine could not know who calls; "
            "make one with: echo whsec_$(openssl rand -base64 32)"
        ),
    ),
    "an agent's secret that cannot sign": (
        {"HANDOFF_AGENT__SECRET": "canary"},
        FILE,
        (
            "HANDOFF_AGENT__SECRET: must be whsec_ and the base64 of 24 to 64 bytes; "
            "make one with: echo whsec_$(openssl rand -base64 32)"
        ),
    ),
    "an agent that comes later": (
        {"HANDOFF_AGENT__KIND": "openai"},
        FILE,
        "HANDOFF_AGENT__KIND: input should be 'http' or 'demo'",
    ),
    "an app id that is none": (
        {"HANDOFF_TEAMS__APP_ID": "canary"},
        FILE,
        "HANDOFF_TEAMS__APP_ID: must be an id such as 0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f",
    ),
    "Teams without a secret": (
        {"HANDOFF_TEAMS__APP_ID": GUID, "HANDOFF_TEAMS__TENANT_ID": GUID},
        FILE,
        "HANDOFF_TEAMS__APP_PASSWORD: is not set; make a client secret for the app of your Azure Bot",
    ),
    "Teams without a tenant": (
        {"HANDOFF_TEAMS__APP_ID": GUID, "HANDOFF_TEAMS__APP_TYPE": "UserAssignedMsi", "HANDOFF_TEAMS__TENANTS": GUID},
        FILE,
        "HANDOFF_TEAMS__TENANT_ID: is not set; copy the App Tenant ID of your Azure Bot, Configuration",
    ),
    "a bot that nobody may speak to": (
        {
            "HANDOFF_TEAMS__APP_ID": GUID,
            "HANDOFF_TEAMS__APP_TYPE": "MultiTenant",
            "HANDOFF_TEAMS__APP_PASSWORD": "canary",
        },
        FILE,
        "HANDOFF_TEAMS__TENANTS: is not set, so nobody may speak to the bot; name your tenant's id",
    ),
    "a local Teams elsewhere": (
        {"HANDOFF_TEAMS__METADATA_URL": "http://canary.example/"},
        FILE,
        "HANDOFF_TEAMS__METADATA_URL: is for a local Teams only, at an address of this machine; remove it",
    ),
    "half a local Teams": (
        {"HANDOFF_TEAMS__METADATA_URL": "http://127.0.0.1:1/"},
        FILE,
        (
            "HANDOFF_TEAMS__SERVICE_URL: a local Teams needs it, HANDOFF_TEAMS__METADATA_URL and "
            "HANDOFF_TEAMS__AUTHORITY_URL, all of this machine; for Microsoft's own set none of them"
        ),
    ),
    "a queue on Teams without Teams": (
        {},
        TEAMS_FILE,
        (
            "HANDOFF_TEAMS__APP_ID: queue support is on Teams, and it is not set; copy the Microsoft App ID of your "
            "Azure Bot, Configuration"
        ),
    ),
    "a queue on Slack without Slack": (
        {**TEAMS, "HANDOFF_SLACK__BOT_TOKEN": "", "HANDOFF_SLACK__MODE": "http", "HANDOFF_SLACK__SIGNING_SECRET": "c"},
        FILE,
        (
            "HANDOFF_SLACK__BOT_TOKEN: queue support is on Slack, and it is not set; copy the Bot User OAuth Token of "
            "your app (api.slack.com/apps)"
        ),
    ),
    "a channel of the other desk": (
        TEAMS,
        TEAMS_FILE.replace('desk = "teams"', ""),
        f'queues.support.channels: {CHANNEL} is not of the queue\'s desk; set desk = "teams"',
    ),
    "a user group in Teams": (
        TEAMS,
        TEAMS_FILE + 'user_group = "S1"',
        "queues.support.user_group: Teams has none; list the people in operators",
    ),
    "a slip of the pen": (
        {"HANDOFF_SLACK__BOT_TOKN": "xoxb-canary"},
        FILE,
        "HANDOFF_SLACK__BOT_TOKN: there is no such setting; did you mean HANDOFF_SLACK__BOT_TOKEN?",
    ),
    "a slip in the section": (
        {"HANDOFF_SLAK__MODE": "http"},
        FILE,
        "HANDOFF_SLAK__MODE: there is no such setting; did you mean HANDOFF_SLACK__MODE?",
    ),
    "nothing like it": ({"HANDOFF_ZZZZZZ": "1"}, FILE, "HANDOFF_ZZZZZZ: there is no such setting; remove it"),
    "a table in a variable": (
        {"HANDOFF_QUEUES": "[]"},
        FILE,
        "HANDOFF_QUEUES: this is set in the file only, as [queues] in handoff.toml",
    ),
    "a port that is none": (
        {"HANDOFF_PORT": "eighty"},
        FILE,
        "HANDOFF_PORT: input should be a valid integer, unable to parse string as an integer",
    ),
    "a port too high": (
        {"HANDOFF_PORT": "80800"},
        FILE,
        "HANDOFF_PORT: input should be less than or equal to 65535",
    ),
    "another database": (
        {"HANDOFF_DATABASE_URL": "mysql://u:canary@db/x"},
        FILE,
        "HANDOFF_DATABASE_URL: must be sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE",
    ),
    "a key without its role": (
        {"HANDOFF_API_KEYS": LONG},
        FILE,
        "HANDOFF_API_KEYS: must be role:key, with commas between; make a key with: openssl rand -hex 32",
    ),
    "an unknown role": (
        {"HANDOFF_API_KEYS": f"boss:{LONG}"},
        FILE,
        "HANDOFF_API_KEYS: input should be 'agent', 'backend' or 'admin'",
    ),
    "an origin with a path": (
        {"HANDOFF_DIRECTLINE__TRUSTED_ORIGINS": "https://www.example.com/chat"},
        FILE,
        (
            "HANDOFF_DIRECTLINE__TRUSTED_ORIGINS: holds 'https://www.example.com/chat'; an origin ends after host and "
            "port, as in https://www.example.com"
        ),
    ),
    "no such file": (
        {"HANDOFF_CONFIG": "nowhere.toml"},
        FILE,
        "nowhere.toml: there is no such file; correct --config or HANDOFF_CONFIG",
    ),
    "no queue": (
        {},
        "",
        'queues: there is none; add to handoff.toml: [[queues]] name = "support" channels = ["C0123456789"]',
    ),
    "a channel by its name": (
        {},
        FILE.replace("C0123456789", "#support"),
        (
            "queues[1].channels[1] in handoff.toml: must be a channel's ID such as C0123456789; it stands at the end "
            "of the channel's details in Slack (in Teams 19:...@thread.tacv2, in the channel's link)"
        ),
    ),
    "a queue without channels": (
        {},
        FILE.replace('"C0123456789"', ""),
        'queues[1].channels in handoff.toml: must name at least one channel, as in ["C0123456789"]',
    ),
    "two queues of one name": ({}, FILE + FILE, "queues: two are called support; rename one"),
    "an unknown key in the file": (
        {},
        table(chanels='["C0123456780"]'),
        "queues[1].chanels in handoff.toml: there is no such setting; did you mean channels?",
    ),
    "an unknown table": (
        {},
        FILE + "[slak]\nmode = 'http'\n",
        "slak in handoff.toml: there is no such setting; did you mean slack?",
    ),
    "Teams in the file": (
        {},
        FILE + "[teams]\napp_id = '1'\n",
        "teams.app_id in handoff.toml: must be an id such as 0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f",
    ),
    "a zone that is none": (
        {},
        table(hours="{ zone = 'Berlin', open = ['Mon 09:00-17:00'] }"),
        "queues[1].hours.zone in handoff.toml: 'Berlin' is no time zone known here; write it as in Europe/Berlin",
    ),
    "hours that cannot be read": (
        {},
        table(hours="{ open = ['9 to 5'] }"),
        "queues[1].hours.open in handoff.toml: '9 to 5' must look like: Mon-Fri 09:00-17:00",
    ),
    "a time that is none": (
        {},
        table(hours="{ open = ['Mon 09:00-25:00'] }"),
        "queues[1].hours.open in handoff.toml: 25:00 in 'Mon 09:00-25:00' is no time of day",
    ),
    "an unknown ladder": (
        {},
        table(ladder="'fast'"),
        "queues.support.ladder: there is no ladder fast; known are: none, standard",
    ),
    "a route to nowhere": (
        {},
        FILE + "[[routes]]\nqueue = 'billing'\n",
        "routes[1].queue: there is no queue billing; the queues are: support",
    ),
    "a policy for nowhere": (
        {},
        FILE + "[[triggers.policy]]\nname = 'refund'\nwhen = 'refund_amount > 100'\nqueue = 'billing'\n",
        "triggers.policy.refund.queue: there is no queue billing; the queues are: support",
    ),
    "a rung to nowhere": (
        {},
        FILE + "[[ladders.fast]]\nafter_s = 60\naction = 'queue'\ntext = 'billing'\n",
        "ladders.fast[1].text: there is no queue billing; the queues are: support",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_one_line_with_its_remedy(mistake: str, tmp_path: Path) -> None:
    """`serve` names the setting and what to do, ends with 2 before it opens anything, and repeats no secret."""
    changes, file, line = MISTAKES[mistake]

    result = serve(tmp_path, {**GOOD, **changes}, file)

    assert result.stderr.splitlines() == [line]
    assert result.returncode == 2
    assert result.stdout == ""
    assert "canary" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["handoff.toml"]


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    """A broken file is told with the place where it breaks."""
    result = serve(tmp_path, GOOD, "[[queues]\n")

    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("handoff.toml: cannot be read as TOML: ")
    assert "line 1" in result.stderr


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    """Nobody has to start the process five times to learn five things."""
    result = serve(tmp_path, {}, "")

    names = [line.split(":")[0] for line in result.stderr.splitlines()]
    assert names == [
        "HANDOFF_SECRET_KEY",
        "HANDOFF_SLACK__BOT_TOKEN",
        "HANDOFF_SLACK__APP_TOKEN",
        "HANDOFF_AGENT__URL",
        "queues",
    ]


def test_a_mistake_is_told_at_once() -> None:
    """Settings are read before anything heavy is imported: no web server, Slack SDK or database."""
    program = """
import sys
sys.argv = ["handoff-bridge", "serve", "--config", "nowhere.toml"]
from adapters.cli import main
try:
    main()
except SystemExit as end:
    assert end.code == 2
heavy = {"aiohttp", "sqlalchemy", "slack_sdk", "slack_bolt", "alembic", "prometheus_client", "rich.console"}
print(sorted(heavy & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env={"PATH": "/usr/bin"}, capture_output=True, text=True, check=True
    )

    assert result.stdout.strip() == "[]"
