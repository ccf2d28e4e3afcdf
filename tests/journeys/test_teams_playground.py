"""The main job against Microsoft's Agents Playground, on machines where that is installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys import playground
from tests.settings import ROOT

pytestmark = pytest.mark.xdist_group("journeys")


@pytest.mark.skipif(playground.find() is None, reason=playground.MISSING)
async def test_the_main_job_is_done_with_microsofts_own_emulator(tmp_path: Path) -> None:
    """Card, take, relay both ways, return by the card's form and the next handoff work with what Microsoft made."""
    seen: list[str] = []
    async with playground.PlaygroundWorld(tmp_path) as world:
        await playground.main_job(world, seen.append)
        warned = (await world.told())[1]["warnings"]
    assert len(seen) == 7
    assert "for trying out" in warned["teams"]


def test_without_the_playground_the_script_says_how_to_get_it(tmp_path: Path) -> None:
    """One line, with the command, and a status that is not success."""
    code = (
        "import runpy; from pathlib import Path; import tests.settings as s; "
        f"s.CACHE = Path({str(tmp_path)!r}); runpy.run_module('tests.journeys.playground', run_name='__main__')"
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
    assert done.stderr == f"{playground.MISSING}\n"
