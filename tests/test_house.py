"""The house's rules that no tool checks by itself, and the proof that the import rules bite."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.settings import ROOT

CODE = ("bridge", "adapters")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = {contract["id"]: contract["name"] for contract in PYPROJECT["tool"]["importlinter"]["contracts"]}

# One file that breaks each import rule: contract -> (path, its only line).
BREACHES = {
    "core-knows-no-vendor": ("bridge/ids.py", "import aiohttp"),
    "core-layers": ("bridge/ids.py", "import bridge.errors"),
    "adapters-are-strangers": ("adapters/slack/desk.py", "import adapters.directline.http"),
    "pure-edges": ("adapters/slack/wire.py", "import slack_sdk"),
    "sandbox-stands-alone": ("adapters/sandbox/page.py", "import bridge.ids"),
    "teams-library-in-one-room": ("adapters/slack/desk.py", "import botbuilder"),
}

# Folders of one kind hold the same files (or packages of that name).
KINDS = {
    "desk": (("slack", "teams"), ("events", "wire", "render", "desk", "errors")),
    "widget": (("directline", "deepchat", "n8n", "backend"), ("http", "wire", "errors")),
}

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


def tracked() -> list[Path]:
    """Every file that git knows and that is still there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def trees(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    """Path inside the project and syntax tree of each of our Python files below these folders."""
    for file in tracked():
        path = file.relative_to(ROOT)
        if path.suffix == ".py" and path.parts[0] in folders:
            yield path, ast.parse(file.read_text(encoding="utf-8"), filename=str(path))


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env={"COLUMNS": "200"})


def test_the_import_rules_are_kept() -> None:
    """No file imports what its room may not know."""
    result = lint_imports(ROOT)

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("contract", CONTRACTS)
def test_each_import_rule_can_fail(contract: str, tmp_path: Path) -> None:
    """A project with one forbidden import is refused by exactly the rule that forbids it."""
    breach, line = BREACHES[contract]
    files = {
        "bridge/__init__.py": "",
        "bridge/ids.py": "",
        "bridge/errors.py": "",
        "adapters/__init__.py": "",
        "adapters/slack/__init__.py": "",
        "adapters/slack/wire.py": "",
        "adapters/slack/desk.py": "",
        "adapters/directline/__init__.py": "",
        "adapters/directline/http.py": "",
        "adapters/sandbox/__init__.py": "",
        "adapters/sandbox/page.py": "",
        # The one place that may see them all, there to show that it may.
        "adapters/app.py": "import adapters.slack.desk\nimport adapters.directline.http\nimport bridge.ids\n",
    }
    files[breach] = line + "\n"
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())

    result = lint_imports(tmp_path)

    verdicts = {cid: f"{name} BROKEN" in result.stdout for cid, name in CONTRACTS.items()}
    assert result.returncode == 1, result.stdout + result.stderr
    assert [cid for cid, broken in verdicts.items() if broken] == [contract], result.stdout


def test_every_file_of_the_core_has_its_layer() -> None:
    """A new file of the core must say in pyproject.toml which files it may import."""
    layers = next(c["layers"] for c in PYPROJECT["tool"]["importlinter"]["contracts"] if c["id"] == "core-layers")
    placed = {name.strip(" ()") for layer in layers for name in re.split(r"[|:]", layer)}
    there = {path.relative_to("bridge").parts[0].removesuffix(".py") for path, _ in trees("bridge")} - {"__init__"}

    assert sorted(there - placed) == []


@pytest.mark.parametrize("kind", KINDS)
def test_adapter_folders_of_one_kind_hold_the_same_files(kind: str) -> None:
    """Who knows one desk or one widget finds the way in every other."""
    folders, names = KINDS[kind]
    files = {path.relative_to("adapters").as_posix() for path, _ in trees("adapters")}
    present = {folder for folder in folders if f"{folder}/__init__.py" in files}
    missing = [
        f"adapters/{folder}/{name}.py"
        for folder in sorted(present)
        for name in names
        if not files & {f"{folder}/{name}.py", f"{folder}/{name}/__init__.py"}
    ]

    assert missing == []


def test_every_test_states_its_promise() -> None:
    """A test's docstring says in a sentence what it promises."""
    silent = [
        f"{path}:{node.lineno} {node.name}"
        for path, tree in trees("tests")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and path.name.startswith("test_")
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]

    assert silent == []


def test_no_test_patches_names_in_strings_or_hides_a_gap() -> None:
    """Tests use fakes, real servers and injected clocks; none is skipped or expected to fail."""
    found = []
    for path, tree in trees("tests"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith((".setattr", "patch", "patch.object")):
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found.append(f"{path}:{node.lineno} patches a name in a string")
            if isinstance(node, ast.Attribute) and node.attr in {"skip", "skipif", "xfail", "importorskip"}:
                found.append(f"{path}:{node.lineno} {node.attr}")

    assert found == []


def test_names_say_what_things_are() -> None:
    """No class is a Manager, Helper, Util, Base or Impl."""
    banned = {"Manager", "Helper", "Helpers", "Util", "Utils", "Base", "Impl"}
    found = [
        f"{path}:{node.lineno} {node.name}"
        for path, tree in trees(*CODE, "tests")
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and banned & set(re.findall(r"[A-Z]+[a-z0-9]*", node.name))
    ]

    assert found == []


def test_only_settings_read_the_environment() -> None:
    """Whoever wants to know what can be configured reads one file."""
    found = [
        f"{path}:{node.lineno}"
        for path, tree in trees(*CODE)
        if path != Path("bridge/settings.py")
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"})
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and {"environ", "getenv"} & {a.name for a in node.names}
        )
    ]

    assert found == []


def test_files_and_functions_stay_readable() -> None:
    """A file of the product has at most 400 lines (two contracts are longer), a function at most 60."""
    found = []
    for path, tree in trees(*CODE):
        lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
        if lines > MAX_FILE_LINES:
            found.append(f"{path} has {lines} lines")
        found += [
            f"{path}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.end_lineno is not None
            and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
        ]

    assert found == []


def test_the_top_of_the_project_is_as_drawn() -> None:
    """Four folders, and each file beside them has a reason to be the first thing that people see."""
    inside = [file.relative_to(ROOT).parts for file in tracked()]
    folders = {parts[0] for parts in inside if len(parts) > 1 and not parts[0].startswith(".")}
    files = {parts[0] for parts in inside if len(parts) == 1 and not parts[0].startswith(".")}

    assert folders <= {"bridge", "adapters", "manifest", "tests"}
    assert files == {"pyproject.toml", "README.md", "CHANGELOG.md", "Makefile", "LICENSE", "requirements.lock"}


def test_the_project_speaks_of_itself_only() -> None:
    """No committed file names a path of somebody's machine, a package registry's host or notes that are not here."""
    # Put together here, so that this file does not find itself.
    slash, dot = "/", r"\."
    banned = re.compile(
        "|".join(
            (
                rf"(?<![\w.{slash}~-]){slash}work{slash}",
                rf"(?<![\w.{slash}-]){slash}(?:root|home){slash}\w",
                rf"\bpypi{dot}org",
                rf"\bpythonhosted{dot}org",
                rf"\bregistry{dot}(?:npmjs|yarnpkg)",
                rf"\bfacts{slash}\w+{dot}md",
                rf"\bdesign{dot}md",
            )
        )
    )
    found = []
    for file in tracked():
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{file.relative_to(ROOT)}: {match.group()}" for match in banned.finditer(text)]

    assert found == []


def test_each_import_name_has_one_owner() -> None:
    """No installed package brings a second `bridge` or `adapters`, which would overwrite ours without a word."""
    owners = packages_distributions()

    assert {name: set(owners.get(name, ())) - {"handoff-bridge"} for name in CODE} == {name: set() for name in CODE}


def test_the_lock_names_no_place_and_hashes_everything() -> None:
    """The pinned packages can come from any mirror, and only with the content that was pinned."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = re.findall(r"^[a-z0-9][\w.\[\]-]*==\S+.*(?:\n .*)*", text, flags=re.MULTILINE)

    assert not re.search(r"^\s*-(?!-hash)|://|/opt/", text, flags=re.MULTILINE)
    assert len(pins) > 50
    assert [pin.splitlines()[0] for pin in pins if "--hash=sha256:" not in pin] == []


def test_the_lock_holds_what_the_project_asks_for() -> None:
    """Each dependency in pyproject.toml is pinned, so `make install` never installs something that was not."""
    project = PYPROJECT["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = {
        re.sub(r"[-_.]+", "-", name).lower() for name in re.findall(r"^([\w.-]+)(?:\[.*\])?==", text, re.MULTILINE)
    }
    names = {re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=;!~]", need, maxsplit=1)[0]).lower() for need in wanted}

    assert sorted(names - pinned) == []


def test_every_ignored_lint_rule_has_its_reason() -> None:
    """A rule that is switched off says why on its own line."""
    lint = (
        (ROOT / "pyproject.toml")
        .read_text(encoding="utf-8")
        .split("[tool.ruff.lint]")[1]
        .split("[tool.ruff.lint.mccabe]")[0]
    )
    entries = re.findall(r'^  "[A-Z]+\d*",.*$', lint, flags=re.MULTILINE)

    assert len(entries) > 20
    assert [entry for entry in entries if not re.search(r"# \S.{3,}", entry)] == []
