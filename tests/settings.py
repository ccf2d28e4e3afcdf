"""What the tests read from the environment; nothing else in tests/ does."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"


class TestSettings(BaseSettings):
    """Settings of a test run."""

    __test__ = False
    model_config = SettingsConfigDict(frozen=True)

    race_seed: int = 20261122
    """`RACE_SEED`: where the random moments of the races come from."""
    chromium: Path | None = None
    """`CHROMIUM`: the browser to use instead of the one that is found."""
    sim_seed: int = 1
    """`SIM_SEED`: the simulated world that tests/simulation lives through alone."""
