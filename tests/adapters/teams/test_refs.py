"""Ids of Teams' things."""

import pytest

from adapters.teams import refs
from adapters.teams.config import Local, TeamsSettings
from bridge.errors import SettingsError

CHANNEL = "19:0a1b2c@thread.tacv2"


def settings(**more: object) -> TeamsSettings:
    known: dict[str, object] = {"app_id": "a", "app_password": "s", "tenant_id": "t1"}
    return TeamsSettings(**(known | more))  # type: ignore[arg-type]


def test_a_message_is_found_again_by_its_reference() -> None:
    """Thread, channel, root and message come back from the references made of them."""
    ref = refs.remote_ref(refs.thread_id(CHANNEL, "1700"), "1701")

    conversation, activity = refs.split_ref(ref)
    assert (conversation, activity) == (f"{CHANNEL};messageid=1700", "1701")
    assert refs.split_thread(conversation) == (CHANNEL, "1700")
    assert refs.root_ref(CHANNEL, "1700") == refs.remote_ref(conversation, "1700")


@pytest.mark.parametrize("conversation", [CHANNEL, f"{CHANNEL};messageid=", f"{CHANNEL};messageid=x", ""])
def test_what_is_no_thread_is_known_as_none(conversation: str) -> None:
    """A conversation without the number of its root would make a post in the channel."""
    assert not refs.is_thread(conversation)
    assert refs.is_thread(refs.thread_id(CHANNEL, "1700"))


def test_people_of_other_desks_are_nobody_here() -> None:
    """Only an id that this desk made names one of its people."""
    assert refs.person_of(refs.operator_id("t1", "p1")) == "p1"
    assert refs.person_of("slack:T1:U1") is None
    assert refs.person_of("teams:t1:") is None


@pytest.mark.parametrize("missing", ["app_id", "app_password", "tenant_id"])
def test_what_would_switch_checks_off_is_refused(missing: str) -> None:
    """Without app id, tenant or secret nothing starts, and one line names the setting."""
    with pytest.raises(SettingsError, match=f"HANDOFF_TEAMS__{missing.upper()}"):
        settings(**{missing: ""})


@pytest.mark.parametrize(
    "address",
    [
        "http://smba.trafficmanager.net/emea/",
        "https://smba.trafficmanager.net.example.com/",
        "https://smba.trafficmanager.net@example.com/",
        "https://example.com/smba.trafficmanager.net",
        "https://user@smba.trafficmanager.net/",
        "",
    ],
)
def test_the_token_goes_only_to_teams(address: str) -> None:
    """An address that only looks like Microsoft's, or is not encrypted, gets no token."""
    assert not settings().trusts(address)
    assert settings().trusts("https://smba.trafficmanager.net/emea/")


def test_a_local_teams_is_trusted_alone() -> None:
    """Beside a local Teams not even Microsoft's own address gets a token."""
    url = "http://127.0.0.1:9000/connector"
    local = Local(service_url=url, metadata_url=url, authority_url=url)

    assert settings(local=local).trusts("http://127.0.0.1:9000/connector/v3")
    assert not settings(local=local).trusts("http://127.0.0.1:9001/connector")
    assert not settings(local=local).trusts("https://smba.trafficmanager.net/emea/")
