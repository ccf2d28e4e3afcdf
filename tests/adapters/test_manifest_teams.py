"""The Teams app package is what Teams takes, asks for what the desk uses, and for nothing else."""

import ast
import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from adapters.icons import color_png, outline_png
from adapters.manifest_teams import ACTIONS, PERMISSIONS, PLACEHOLDER_ID, dump, manifest, package
from bridge.errors import SettingsError
from tests.settings import ROOT

PROGRAM = Path(sys.executable).parent / "handoff-bridge"
BOT = "4f1d6c2e-7b3a-4e8f-9c5d-0a1b2c3d4e5f"
PLAIN = manifest(app_id=BOT)
SLASH = manifest(app_id=BOT, slash=True)
BOTH = pytest.mark.parametrize("document", [PLAIN, SLASH], ids=["plain", "slash"])
# https://learn.microsoft.com/microsoftteams/platform/graph-api/rsc/resource-specific-consent
KNOWN_PERMISSIONS = {"ChannelMessage.Read.Group", "TeamMember.Read.Group", "ChannelSettings.Read.Group"}

Pixels = list[list[tuple[int, int, int, int]]]


def unpacked(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def pixels(png: bytes) -> Pixels:
    """Read a PNG of eight-bit RGBA without filters, checking its frame."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length) == (zlib.crc32(kind + data),)
        chunks[kind] = data
        at += 12 + length
    width, height, *form = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert form == [8, 6, 0, 0, 0]
    raw = zlib.decompress(chunks[b"IDAT"])
    rows = [raw[y * (width * 4 + 1) : (y + 1) * (width * 4 + 1)] for y in range(height)]
    assert {row[0] for row in rows} == {0}
    return [[tuple(row[1 + x * 4 : 5 + x * 4]) for x in range(width)] for row in rows]  # type: ignore[misc]


def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (ROOT / "tests/payloads/teams/manifest.schema.v1.29.json").read_text(encoding="utf-8")
    )
    return found


@BOTH
def test_microsofts_own_schema_takes_it(document: dict[str, Any]) -> None:
    """The manifest is valid against the schema that Microsoft publishes, and that schema can refuse."""
    checker = jsonschema.Draft4Validator(schema())

    assert [error.message for error in checker.iter_errors(document)] == []
    assert not checker.is_valid({**document, "packageName": "x"})
    assert not checker.is_valid({**document, "name": {"short": "n" * 31}})


def test_slash_commands_are_there_only_when_asked_for() -> None:
    """Targeted messages are a preview that not every tenant has: without the flag nothing speaks of them."""
    [plain], [slash] = PLAIN["bots"], SLASH["bots"]

    assert "supportsTargetedMessages" not in plain
    assert "slash" not in dump(PLAIN)
    assert slash["supportsTargetedMessages"] is True
    assert slash["commandLists"][0]["triggers"] == ["mention", "slash"]


@BOTH
def test_it_asks_for_the_least(document: dict[str, Any]) -> None:
    """One resource-specific permission, in teams only; no files, no personal chat, no sign-in of people."""
    [bot], asked = document["bots"], document["authorization"]["permissions"]["resourceSpecific"]

    assert {permission["name"] for permission in asked} == set(PERMISSIONS) <= KNOWN_PERMISSIONS
    assert bot["scopes"] == ["team"]
    assert (bot["supportsFiles"], bot["isNotificationOnly"]) == (False, False)
    assert not {"staticTabs", "devicePermissions", "connectors", "supportsChannelFeatures"} & set(document)


@BOTH
def test_every_id_is_the_bots(document: dict[str, Any]) -> None:
    """The bot, its message action and the permission belong to one app; the package has an id of its own, always the
    same.
    """
    ids = {
        document["bots"][0]["botId"],
        document["composeExtensions"][0]["botId"],
        document["webApplicationInfo"]["id"],
    }

    assert ids == {BOT}
    assert document["id"] == manifest(app_id=BOT, version="2.0.0")["id"] != BOT


def test_texts_fit() -> None:
    """Teams' own lengths for names and descriptions are kept, and it is said what becomes of messages."""
    assert len(PLAIN["name"]["short"]) <= 30
    assert len(PLAIN["description"]["short"]) <= 80
    assert len(PLAIN["description"]["full"]) <= 4000
    assert "What the app does with messages" in PLAIN["description"]["full"]
    assert all(len(command["title"]) <= 32 for command in PLAIN["bots"][0]["commandLists"][0]["commands"])


def test_the_package_holds_three_files_at_its_root() -> None:
    """Teams finds nothing in folders, and takes nothing beside manifest and icons."""
    files = unpacked(package(PLAIN))

    assert set(files) == {"manifest.json", *PLAIN["icons"].values()}
    assert json.loads(files["manifest.json"]) == PLAIN
    assert package(PLAIN) == package(PLAIN)


def test_the_colour_icon_has_teams_size_and_no_holes() -> None:
    """192 pixels square, opaque everywhere, and more than one colour is on it."""
    picture = pixels(unpacked(package(PLAIN))["color.png"])

    assert (len(picture), {len(row) for row in picture}) == (192, {192})
    assert {pixel[3] for row in picture for pixel in row} == {255}
    assert len({pixel for row in picture for pixel in row}) > 3


def test_the_outline_is_white_on_nothing() -> None:
    """32 pixels square, every pixel white, some of them transparent and some not."""
    picture = pixels(unpacked(package(PLAIN))["outline.png"])
    flat = [pixel for row in picture for pixel in row]

    assert (len(picture), {len(row) for row in picture}) == (32, {32})
    assert {pixel[:3] for pixel in flat} == {(255, 255, 255)}
    assert {pixel[3] for pixel in flat} >= {0, 255}
    assert {pixel[3] for pixel in (*picture[0], *picture[-1])} == {0}


def test_the_committed_files_are_the_generated_ones() -> None:
    """What an admin copies from the repository is what the command writes."""
    folder = ROOT / "manifest"

    assert (folder / "teams.json").read_text(encoding="utf-8") == dump(manifest(app_id=PLACEHOLDER_ID))
    assert pixels((folder / "color.png").read_bytes()) == pixels(color_png())
    assert pixels((folder / "outline.png").read_bytes()) == pixels(outline_png())


@pytest.mark.parametrize(
    "wrong,words",
    [
        ({"app_id": ""}, "HANDOFF_TEAMS__APP_ID (or --app-id)"),
        ({"app_id": "28:x"}, "HANDOFF_TEAMS__APP_ID (or --app-id)"),
        ({"app_id": BOT.replace("-", "")}, "HANDOFF_TEAMS__APP_ID (or --app-id)"),
        ({"version": "1.0"}, "--version"),
        ({"version": "1.0.x"}, "--version"),
        ({"company": ""}, "--company"),
        ({"company": "c" * 33}, "--company"),
        ({"website": "http://acme.example"}, "--website"),
        ({"website": "acme.example"}, "--website"),
    ],
)
def test_what_teams_would_refuse_is_refused_here(wrong: dict[str, Any], words: str) -> None:
    """The option is named, and what it has to look like."""
    with pytest.raises(SettingsError) as found:
        manifest(**{"app_id": BOT, **wrong})

    assert str(found.value).startswith(f"{words}: must ")


def test_the_desk_answers_each_action_and_no_other() -> None:
    """The ids of the manifest are those that the Teams adapter waits for."""
    words = {
        node.value
        for path in (ROOT / "adapters/teams").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }

    assert set(ACTIONS) <= words


def test_the_command_writes_the_package(tmp_path: Path) -> None:
    """`manifest teams` takes the app id from the settings or an option, and says where it wrote."""
    target = tmp_path / "teams.zip"
    words = ["--version", "1.0.2", "--company", "Acme", "--website", "https://acme.example/bridge", "--slash"]
    done = subprocess.run(
        [str(PROGRAM), "manifest", "teams", *words, "--output", str(target)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"HANDOFF_TEAMS__APP_ID": BOT},
    )

    assert done.stdout == f"wrote {target}\n"
    assert json.loads(unpacked(target.read_bytes())["manifest.json"]) == manifest(
        app_id=BOT, version="1.0.2", company="Acme", website="https://acme.example/bridge", slash=True
    )


def test_the_command_without_a_bot_says_what_is_missing(tmp_path: Path) -> None:
    """Nothing is written for nobody's bot."""
    done = subprocess.run(
        [str(PROGRAM), "manifest", "teams"], capture_output=True, text=True, check=False, cwd=tmp_path, env={}
    )

    assert done.returncode == 2
    assert done.stderr.startswith("HANDOFF_TEAMS__APP_ID (or --app-id): must be the Microsoft App ID")
    assert list(tmp_path.iterdir()) == []
