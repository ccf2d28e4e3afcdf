"""Working stand-ins for the ports, all in memory: for tests of the core and of whoever builds on it."""
