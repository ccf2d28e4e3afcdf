"""The sandbox's default app is the app that customers install."""

import yaml

from adapters.sandbox.client import Workspace
from adapters.sandbox.slack.control import routes
from adapters.sandbox.slack.faults import FaultKind
from adapters.sandbox.slack.settings import AppConfiguration
from tests.settings import ROOT

MANIFEST = yaml.safe_load((ROOT / "manifest" / "slack.yaml").read_text(encoding="utf-8"))


def test_the_default_app_is_the_manifests() -> None:
    """Scopes, events, commands and shortcuts are those of the manifest, so what it lacks is missing here too."""
    installed = AppConfiguration()
    installed.update({"manifest": MANIFEST})
    default = AppConfiguration()
    assert (set(default.scopes), set(default.bot_events)) == (set(installed.scopes), set(installed.bot_events))
    assert default.commands == installed.commands
    assert default.shortcuts == installed.shortcuts
    assert installed.request_url is None


async def test_a_manifest_can_be_installed(slack: Workspace) -> None:
    """Saving a manifest changes the app as Slack's admin page would."""
    shortcut = {"name": "Other", "type": "message", "callback_id": "other", "description": "x"}
    changed = MANIFEST | {"features": MANIFEST["features"] | {"shortcuts": [shortcut]}}
    assert (await slack.configure(manifest=changed))["shortcuts"] == [shortcut]


def test_the_guide_names_every_fault_and_route() -> None:
    """The sandbox's README lists all kinds of faults and all control routes."""
    guide = (ROOT / "adapters" / "sandbox" / "README.md").read_text(encoding="utf-8")
    assert [kind for kind in FaultKind if f"`{kind}`" not in guide] == []
    paths = {route.path for route in routes()} - {"/sandbox/live", "/sandbox/emoji"}
    assert [path for path in paths if path not in guide] == []
