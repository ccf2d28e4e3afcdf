"""Real processes under `kill -9` and every fault of the sandbox, counted: `make chaos KILLS=200`."""
