"""The README is run: its commands, its Python, its documents and its links."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from tests.settings import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
ORDER = [
    "See it work in one minute",
    "Install in Slack",
    "Install in Teams",
    "Connect a widget",
    "Connect an agent",
    "Run it for real",
    "Guarantees and figures",
    "Map of the house",
]
# These run until they are stopped, or need a real workspace; their options are checked instead.
LASTING = {"serve", "demo", "sandbox", "doctor", "agent", "migrate", "dead-letters"}
PROGRAM = Path(sys.executable).parent / "handoff-bridge"


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One fenced block: its language, its text and the line that it starts at."""

    language: str
    text: str
    line: int


def blocks(*languages: str) -> list[Block]:
    return [
        Block(language=token.info.split()[0], text=token.content, line=token.map[0] + 1 if token.map else 0)
        for token in MarkdownIt("commonmark").parse(README)
        if token.type == "fence" and token.info.split()[:1] and token.info.split()[0] in languages
    ]


def commands() -> list[tuple[int, list[str]]]:
    """Line number and words of each shell command; a leading prompt and comments are dropped."""
    found = []
    for block in blocks("sh", "bash", "console", "shell"):
        text = block.text.replace("\\\n", " ")
        for line in text.splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words:
                found.append((block.line, words))
    return found


def run(words: list[str], folder: Path) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{shlex.join(words)} ended with {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def check_make(words: list[str]) -> None:
    targets = [word for word in words[1:] if "=" not in word]
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert targets, "plain `make` only lists the targets"
    assert set(targets) <= known, f"the Makefile has no {set(targets) - known}"


def check_program(words: list[str], folder: Path) -> None:
    if words[1] not in LASTING:
        run([str(PROGRAM), *words[1:]], folder)
        return
    names = [word for word in words[1:] if re.fullmatch(r"[a-z][a-z-]*", word)]
    # Positional values look like subcommands too: the longest prefix that has a help page is the command.
    for length in range(len(names), 0, -1):
        page = subprocess.run(
            [str(PROGRAM), *names[:length], "--help"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={"COLUMNS": "200", "TERM": "dumb"},
        )
        if page.returncode == 0:
            options = {word.split("=")[0] for word in words if word.startswith("--")}
            assert {option for option in options if option not in page.stdout} == set(), page.stdout
            return
    pytest.fail(f"{shlex.join(words)}: no such command")


def test_the_order_is_the_newcomers() -> None:
    """What it is, see it work, install, connect, run, trust, look inside: in this order."""
    headings = re.findall(r"^## (.+)$", README, flags=re.MULTILINE)

    assert headings == ORDER


def test_the_shell_commands_work(tmp_path: Path) -> None:
    """Each command shown is run, or, where it would not end, its name and options are checked."""
    assert commands()
    for line, words in commands():
        where = f"README.md:{line} {shlex.join(words)}"
        if words[0] == "make":
            check_make(words)
        elif words[0] == "handoff-bridge":
            check_program(words, tmp_path)
        elif words[:2] == ["git", "clone"] or words[0] == "cd":
            continue
        elif words[0] == "export":
            assert f"| `{words[1].partition('=')[0]}` |" in README, where
        elif words[0] in {"pipx", "uv", "pip"}:
            assert words[-1].split("[")[0] in {"handoff-bridge", "."}, where
        else:
            pytest.fail(f"{where}: teach tests/test_readme.py how to prove this command, or mark the block as text")


def test_the_python_works(tmp_path: Path) -> None:
    """Each Python block runs by itself in a fresh interpreter."""
    for block in blocks("python", "py"):
        run([sys.executable, "-W", "error", "-c", block.text], tmp_path)


def test_the_documents_are_well_formed() -> None:
    """Each TOML, JSON and YAML block can be read."""
    readers: dict[str, Callable[[str], object]] = {"toml": tomllib.loads, "json": json.loads, "yaml": yaml.safe_load}
    for block in blocks(*readers):
        assert readers[block.language](block.text) is not None, f"README.md:{block.line}"


def test_the_links_lead_somewhere() -> None:
    """Each link inside the project points to a file or a heading that exists."""
    anchors = {
        re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    }
    tokens = [child for token in MarkdownIt("commonmark").parse(README) for child in token.children or ()]
    targets = [str(t.attrs[name]) for t in tokens for name in ("href", "src") if name in t.attrs]
    broken = [
        target
        for target in targets
        if not re.match(r"[a-z]+:", target)
        and not (target[1:] in anchors if target.startswith("#") else (ROOT / target.split("#")[0]).exists())
    ]

    assert targets
    assert broken == []
