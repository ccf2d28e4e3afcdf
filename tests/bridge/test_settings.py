"""What `load` makes of an environment and a file that are right."""

from pathlib import Path

import pytest

from adapters.wiring import STANDARD_LADDER, directory, house, secrets
from bridge.errors import SettingsError
from bridge.settings import Settings, load, variables_by_name

LONG = "0123456789abcdef0123456789abcdef"
NEXT = "fedcba9876543210fedcba9876543210"
GOOD = {
    "HANDOFF_SECRET_KEY": LONG,
    "HANDOFF_SLACK__BOT_TOKEN": "xoxb-canary",
    "HANDOFF_SLACK__APP_TOKEN": "xapp-canary",
    "HANDOFF_AGENT__URL": "http://127.0.0.1:9/turn",
}
FILE = """
port = 9000
public_label = "Acme support"

[[queues]]
name = "support"
channels = ["C0123456789", "C0123456780"]
hours = { zone = "Europe/Berlin", open = ["Mon-Fri 09:00-17:00", "Fri-Sat 22:00-02:00", "Sun 00:00-24:00"] }
ladder = "patient"

[[queues]]
name = "big-accounts"
public_label = "Account team"
channels = ["C0123456781"]
supervisors = ["dana@acme.example"]
ladder = "none"

[[queues]]
name = "third"
channels = ["C0123456782"]

[[routes]]
queue = "big-accounts"
reason = "policy"

[[ladders.patient]]
after_s = 600
action = "return"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "any.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


def test_the_environment_wins_over_the_file(file: Path) -> None:
    """A container can change one thing of a shared file."""
    assert load(GOOD, file).port == 9000
    assert load({**GOOD, "HANDOFF_PORT": "9001"}, file).port == 9001
    assert load({**GOOD, "HANDOFF_PORT": ""}, file).port == 9000


def test_lists_are_separated_by_commas(file: Path) -> None:
    """Keys to rotate, keys of the API and origins are lists; the order of the keys is kept."""
    settings = load(
        {
            **GOOD,
            "HANDOFF_SECRET_KEY": f"{NEXT}, {LONG}",
            "HANDOFF_API_KEYS": f"agent:{LONG},admin:{NEXT}",
            "HANDOFF_DIRECTLINE__TRUSTED_ORIGINS": "https://a.example, http://localhost:3000",
        },
        file,
    )

    assert [key.get_secret_value() for key in settings.secret_key] == [NEXT, LONG]
    assert [(key.role, key.key.get_secret_value()) for key in settings.api_keys] == [("agent", LONG), ("admin", NEXT)]
    assert settings.directline.trusted_origins == ("https://a.example", "http://localhost:3000")


def test_secrets_do_not_show() -> None:
    """Neither repr nor str nor a dump of the settings shows a token or key."""
    canary = "canary" * 8
    settings = load(
        {
            "HANDOFF_SECRET_KEY": canary,
            "HANDOFF_API_KEYS": f"admin:{canary}",
            "HANDOFF_DIRECTLINE__SECRET": canary,
            "HANDOFF_SLACK__BOT_TOKEN": f"xoxb-{canary}",
            "HANDOFF_SLACK__APP_TOKEN": f"xapp-{canary}",
            "HANDOFF_SLACK__SIGNING_SECRET": canary,
            "HANDOFF_SLACK__CLIENT_SECRET": canary,
            "HANDOFF_AGENT__SECRET": f"whsec_{canary}",
        },
        for_="tool",
    )

    assert "canary" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    "name,value",
    [
        ("HANDOFF_PORT", "tcp://10.0.0.1:8080"),
        ("HANDOFF_SERVICE_HOST", "10.0.0.1"),
        ("HANDOFF_SERVICE_PORT", "8080"),
        ("HANDOFF_SERVICE_PORT_HTTP", "8080"),
        ("HANDOFF_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("HANDOFF_PORT_8080_TCP_PROTO", "tcp"),
        ("HANDOFF_PORT_8080_TCP_PORT", "8080"),
        ("HANDOFF_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("HANDOFF_BRIDGE_SERVICE_HOST", "10.0.0.1"),
        ("HANDOFF_BRIDGE_PORT", "tcp://10.0.0.1:8080"),
    ],
)
def test_what_kubernetes_injects_is_passed_over(name: str, value: str, file: Path) -> None:
    """A service called handoff does not stop its own pods; what was passed over can be told."""
    settings = load({**GOOD, name: value}, file)

    assert settings.ignored == (name,)
    assert settings.port == 9000


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_databases_password_does_not_show(scheme: str) -> None:
    """The address of a database is accepted in all its spellings, used as it is, and shown without who logs in."""
    url = f"{scheme}://bridge:canary-7f3a@db.internal:5432/handoff"
    settings = load({"HANDOFF_DATABASE_URL": url}, for_="tool")

    assert settings.database_url == url
    assert settings.files_folder is None
    for shown in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert "canary" not in shown
    assert f"{scheme}://db.internal:5432/handoff" in settings.model_dump_json()


def test_tools_need_no_secrets(tmp_path: Path) -> None:
    """A command that only reads settings asks for none that it does not use, and still refuses wrong ones."""
    assert load({}, for_="tool").queues == ()
    with pytest.raises(SettingsError, match="HANDOFF_PORT"):
        load({"HANDOFF_PORT": "x"}, for_="tool")


def test_the_named_file_counts(file: Path, tmp_path: Path) -> None:
    """The option beats the variable, and the variable beats handoff.toml."""
    other = tmp_path / "other.toml"
    other.write_text("port = 7000\n", encoding="utf-8")

    assert load({"HANDOFF_CONFIG": str(other)}, for_="tool").port == 7000
    assert load({"HANDOFF_CONFIG": str(other)}, file, for_="tool").port == 9000


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/api/", "http://localhost:9/api", "http://[::1]:9/api"])
def test_a_sandbox_on_this_machine_needs_no_flag(url: str, file: Path) -> None:
    """The token stays on the machine, so nothing has to be allowed; the address ends in a slash."""
    assert load({**GOOD, "HANDOFF_SLACK__API_URL": url}, file).slack.api_url.endswith("/api/")


def test_another_api_address_can_be_allowed(file: Path) -> None:
    """Who means it can send the token to a proxy."""
    more = {"HANDOFF_SLACK__API_URL": "https://proxy.example/api", "HANDOFF_SLACK__ALLOW_API_URL": "true"}

    assert load({**GOOD, **more}, file).slack.api_url == "https://proxy.example/api/"


@pytest.mark.parametrize(
    "changes,url,folder",
    [
        ({}, "http://127.0.0.1:8080", Path("files")),
        ({"HANDOFF_HOST": "::", "HANDOFF_PORT": "1"}, "http://[::]:1", Path("files")),
        ({"HANDOFF_BASE_URL": "https://b.example/"}, "https://b.example", Path("files")),
        ({"HANDOFF_DATABASE_URL": "sqlite:////var/lib/b/x.db"}, "http://127.0.0.1:8080", Path("/var/lib/b/files")),
        ({"HANDOFF_FILES_URL": "file:///srv/files"}, "http://127.0.0.1:8080", Path("/srv/files")),
        ({"HANDOFF_FILES_URL": "somewhere"}, "http://127.0.0.1:8080", Path("somewhere")),
    ],
)
def test_addresses_and_places_follow_from_others(changes: dict[str, str], url: str, folder: Path) -> None:
    """What is not set follows from what is."""
    settings = load(changes, for_="tool")

    assert settings.public_url == url
    assert settings.files_folder == folder


@pytest.mark.parametrize("grace_s", ["1", "15", "120"])
def test_a_call_always_ends_before_the_thread_is_read_back(grace_s: str) -> None:
    """No send is looked for while it may still be on its way, whatever the one setting says."""
    settings = load({"HANDOFF_UNCLEAR_GRACE_S": grace_s}, for_="tool")

    assert 0 < settings.call_timeout_s < settings.unclear_grace_s


def test_settings_become_the_directory_of_the_core(file: Path) -> None:
    """Queues keep their order, labels have defaults, ladders are resolved, and spans past midnight are split."""
    made = directory(load(GOOD, file))
    support, accounts, third = made.queues

    assert (support.label, support.public_label, support.channels) == (
        "Support",
        "Acme support",
        ("C0123456789", "C0123456780"),
    )
    assert [(rung.name, rung.after_s, rung.action) for rung in support.ladder] == [("patient-1", 600, "return")]
    assert support.hours is not None
    assert {
        day: [(str(a)[:5], str(b)[:5]) for a, b in spans] for day, spans in sorted(support.hours.spans.items())
    } == {
        **{day: [("09:00", "17:00")] for day in range(4)},
        4: [("09:00", "17:00"), ("22:00", "23:59")],
        5: [("00:00", "02:00"), ("22:00", "23:59")],
        6: [("00:00", "02:00"), ("00:00", "23:59")],
    }
    assert (accounts.label, accounts.public_label, accounts.ladder) == ("Big accounts", "Account team", ())
    assert accounts.supervisors == {"dana@acme.example"}
    assert third.ladder == STANDARD_LADDER
    assert [(rule.queue, rule.reason) for rule in made.rules] == [("big-accounts", "policy")]


def test_the_standard_ladder_never_gives_a_customer_back() -> None:
    """No timer returns a conversation unless the queue's own ladder says so in words."""
    assert all(rung.action in {"mention", "tell_customer"} for rung in STANDARD_LADDER)


def test_every_setting_says_what_it_is_for() -> None:
    """The table that people read has a sentence for each variable."""
    assert len(variables_by_name()) > 25
    assert [name for name, field in variables_by_name().items() if not field.description] == []
    assert isinstance(load({}, for_="tool"), Settings)


def test_triggers_and_texts_reach_the_core(file: Path) -> None:
    """Rules, thresholds, phrases and the company's own words are what the core reads."""
    extra = """
[triggers]
low_confidence = 0.4
never_say = ["guarantee"]
phrases = { de = ["gib mir die Chefin"] }

[[triggers.policy]]
name = "refund"
when = "refund_amount > 100"
queue = "big-accounts"

[notices.en]
escalated = "One moment, {ticket}."
"""
    file.write_text(FILE + extra, encoding="utf-8")
    made = house(load(GOOD, file))

    assert (made.triggers.low_confidence, made.triggers.low_confidence_turns) == (0.4, 2)
    assert [(rule.name, rule.queue) for rule in made.triggers.policy] == [("refund", "big-accounts")]
    assert made.triggers.phrases == {"de": ("gib mir die Chefin",)}
    assert made.triggers.has_text_rules
    assert made.custom_words == {"en": {"escalated": "One moment, {ticket}."}}


@pytest.mark.parametrize(
    "extra,line",
    [
        ("[notices.en]\nescalatd = 'x'", "notices.en.escalatd: there is no such text; known are: "),
        (
            "[notices.en]\njoined = '{ticket}'",
            "notices.en.joined: {ticket} is not known here; known are: {label}, {name}",
        ),
        ("[notices.en]\njoined = '{'", "notices.en.joined: a brace stands alone"),
        ("[[triggers.policy]]\nname = 'refund'\nwhen = 'amount >'", "refund"),
        ("[triggers]\nnever_say = ['(']", "\\("),
    ],
)
def test_a_rule_or_text_that_cannot_work_stops_the_start(extra: str, line: str, file: Path) -> None:
    """A mistake shows at start and not in front of a customer."""
    file.write_text(FILE + extra, encoding="utf-8")

    with pytest.raises(SettingsError, match=line):
        house(load(GOOD, file))


TEAMS_FILE = """
[[queues]]
name = "support"
desk = "teams"
channels = ["19:5e02f8a6c3d94b71a0e4d7b9262f1c83@thread.tacv2"]
"""
TEAMS_ID = "0A1B2C3D-0a1b-4a1b-8a1b-0a1b2c3d4e5f"
TEAMS = {
    "HANDOFF_SECRET_KEY": LONG,
    "HANDOFF_AGENT__KIND": "demo",
    "HANDOFF_TEAMS__APP_ID": TEAMS_ID,
    "HANDOFF_TEAMS__APP_PASSWORD": "canary",
    "HANDOFF_TEAMS__TENANT_ID": TEAMS_ID,
}


@pytest.mark.parametrize(
    "more,text,desks",
    [
        ({}, TEAMS_FILE, ["teams"]),
        ({**GOOD}, TEAMS_FILE, ["teams"]),
        ({**GOOD}, TEAMS_FILE + '[[queues]]\nname = "b"\nchannels = ["C0123456789"]', ["teams", "slack"]),
    ],
    ids=["Teams alone", "Slack without a queue", "both"],
)
def test_a_queue_names_its_desk(more: dict[str, str], text: str, desks: list[str], tmp_path: Path) -> None:
    """Slack alone is what it always was; Teams alone needs nothing of Slack's, and both may be there at once."""
    path = tmp_path / "any.toml"
    path.write_text(text, encoding="utf-8")
    settings = load({**TEAMS, **more}, path)

    assert [queue.desk for queue in directory(settings).queues] == desks
    assert settings.teams.app_id == TEAMS_ID.lower()
    assert "canary" not in repr(settings)


def test_the_secrets_of_teams_stay_out_of_the_log(tmp_path: Path) -> None:
    """Whatever opens something is among what the log leaves out."""
    path = tmp_path / "any.toml"
    path.write_text(TEAMS_FILE, encoding="utf-8")

    assert "canary" in secrets(load(TEAMS, path))


UNSIGNED = {
    "HANDOFF_SECRET_KEY": LONG,
    "HANDOFF_AGENT__KIND": "demo",
    "HANDOFF_TEAMS__APP_ID": TEAMS_ID,
    "HANDOFF_TEAMS__TENANT_ID": TEAMS_ID,
    "HANDOFF_TEAMS__SERVICE_URL": "http://127.0.0.1:56150/_connector",
    "HANDOFF_TEAMS__UNSIGNED": "true",
}


@pytest.mark.parametrize(
    "more",
    [
        {"HANDOFF_TEAMS__SERVICE_URL": "https://smba.trafficmanager.net/teams/"},
        {"HANDOFF_HOST": "0.0.0.0"},
        {"HANDOFF_HOST": "::"},
        {"HANDOFF_BASE_URL": "https://bridge.example.com"},
        {"HANDOFF_TEAMS__APP_PASSWORD": "canary"},
        {
            "HANDOFF_TEAMS__METADATA_URL": "http://127.0.0.1:9/meta",
            "HANDOFF_TEAMS__AUTHORITY_URL": "http://127.0.0.1:9",
        },
    ],
    ids=["Microsoft's own address", "every machine", "every machine, IPv6", "a public address", "a secret", "keys"],
)
def test_unsigned_calls_are_for_this_machine_alone(more: dict[str, str], tmp_path: Path) -> None:
    """What would open the unsigned door to others, or send a secret through it, is refused at the start."""
    path = tmp_path / "any.toml"
    path.write_text(TEAMS_FILE, encoding="utf-8")
    assert load(UNSIGNED, path).teams.unsigned

    with pytest.raises(SettingsError, match="HANDOFF_TEAMS__UNSIGNED: is for trying things out") as refused:
        load({**UNSIGNED, **more}, path)
    assert "canary" not in str(refused.value)
