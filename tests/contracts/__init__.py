"""One suite of tests per port, run by the fakes and by the real adapters alike."""

from pathlib import Path

import pytest

# Only rewritten asserts say what was compared.
pytest.register_assert_rewrite(*(f"{__name__}.{file.stem}" for file in Path(__file__).parent.glob("*_contract.py")))
