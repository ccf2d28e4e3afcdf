"""What every test shares: how hypothesis searches, and where it remembers its finds."""

import hypothesis
from hypothesis.database import DirectoryBasedExampleDatabase

from tests.settings import CACHE

# Two cores are shared by everything, so the time of one example says nothing about the code.
hypothesis.settings.register_profile(
    "house",
    deadline=None,
    print_blob=True,
    database=DirectoryBasedExampleDatabase(CACHE / "hypothesis"),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("house")
