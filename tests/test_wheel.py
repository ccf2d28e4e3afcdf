"""What people install: the wheel, in an empty environment, outside the checkout."""

import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.settings import ROOT

pytestmark = pytest.mark.xdist_group("wheel")


@dataclass(frozen=True, kw_only=True, slots=True)
class Installation:
    """A wheel and an environment outside the checkout that holds it."""

    wheel: Path
    scripts: Path
    folder: Path

    def run(self, *command: str) -> str:
        """Standard output of one of the environment's programs; it sees no setting of ours."""
        done = subprocess.run(
            [str(self.scripts / command[0]), *command[1:]],
            cwd=self.folder,
            env={"HOME": str(self.folder), "PATH": "/usr/bin:/bin", "COLUMNS": "120"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel of this checkout, installed where the checkout cannot be seen.

    The libraries are those of the test environment, seen through a .pth file, which does not follow that environment's
    own .pth files: so the editable checkout stays out of sight.
    """
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, cwd=folder)
    [wheel] = (folder / "dist").glob("*.whl")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True, cwd=folder)
    scripts = environment / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(scripts / "python"), "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True, cwd=folder)
    [packages] = environment.glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return Installation(wheel=wheel, scripts=scripts, folder=folder)


def test_the_wheel_holds_every_file_of_the_program(installed: Installation) -> None:
    """Code, migrations, pages, texts and manifests are in the wheel; tests and notes are not."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    inside = [name for name in listed.split("\0") if (ROOT / name).is_file()]
    wanted = {name for name in inside if name.startswith(("bridge/", "adapters/"))}
    wanted |= {f"adapters/{name}" for name in inside if name.startswith("manifest/")}
    with zipfile.ZipFile(installed.wheel) as archive:
        packed = set(archive.namelist())

    assert sorted(wanted - packed) == []
    assert {name.split("/")[0].split("-")[0] for name in packed} == {"bridge", "adapters", "handoff_bridge"}


def test_every_module_can_be_imported_from_there(installed: Installation) -> None:
    """No module needs the checkout, and none does work that fails at import."""
    program = """
import importlib, pathlib, pkgutil, sys
import adapters, bridge
names = []
for package in (bridge, adapters):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if ".migrations." in found.name or found.name.endswith(".__main__"):
            continue
        importlib.import_module(found.name)
        names.append(found.name)
environment = pathlib.Path(sys.prefix)
for name in names:
    file = sys.modules[name].__file__
    assert file is None or environment in pathlib.Path(file).parents, file
print(len(names))
"""

    assert int(installed.run("python", "-W", "error", "-c", program)) > 10


def test_the_commands_run_from_there(installed: Installation) -> None:
    """The console script answers where nothing but the wheel is ours."""
    commands = (
        [("--help",), ("schema", "envelope"), ("manifest", "slack")] if (ROOT / "adapters/cli.py").exists() else []
    )
    for command in commands:
        assert installed.run("handoff-bridge", *command).strip()
