"""The page for people who connect their agent is true: its example runs, its tables are complete."""

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest
from aiohttp.test_utils import TestServer

from adapters.agents.check import Verdict, check
from adapters.agents.tool import hand_off_tool
from adapters.agents.wire import ReplyEvent, TurnDocument
from tests.adapters.agents.server import SECRET
from tests.settings import ROOT

PAGE = (ROOT / "adapters" / "agents" / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The page's whole agent, as a module of its own."""
    monkeypatch.setenv("HANDOFF_AGENT__SECRET", SECRET)
    code = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert len(code) == 1
    file = tmp_path / "example_agent.py"
    file.write_text(code[0], encoding="utf-8")
    spec = importlib.util.spec_from_file_location("example_agent", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("example_agent", None)


async def test_the_example_keeps_the_whole_contract(example: ModuleType) -> None:
    """Whoever starts from the page's example passes every check of `agent check`."""
    async with TestServer(example.app) as server:
        url = str(server.make_url("/turns"))
        found = {finding.name: finding.verdict async for finding in check(url, SECRET)}

    assert len(found) == 7
    assert set(found.values()) == {Verdict.PASSED}


def test_the_page_shows_the_tool_as_it_is() -> None:
    """What people copy into their model is the tool that the bridge understands."""
    shown = re.findall(r"^```json\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)

    assert [json.loads(text) for text in shown] == [hand_off_tool()]


def test_the_page_names_every_field_and_event() -> None:
    """Nothing that goes over the wire is left for people to guess."""
    fields = set(TurnDocument.model_fields) - {"spec", "site", "conversation_id"}
    unions = get_args(get_args(ReplyEvent)[0])
    events = {get_args(model.model_fields["type"].annotation)[0] for model in unions}

    assert len(events) == 8
    assert [name for name in sorted(fields) if f"`{name}`" not in PAGE] == []
    assert [name for name in sorted(events) if f'{{"type": "{name}"' not in PAGE] == []
