"""Files in memory keep the promises of the real ones."""

import pytest

from bridge.fakes.files import MemoryFiles
from bridge.ports import Files
from tests.contracts.files_contract import FilesContract


@pytest.fixture
def files() -> Files:
    return MemoryFiles()


class TestFiles(FilesContract):
    """All of them."""
