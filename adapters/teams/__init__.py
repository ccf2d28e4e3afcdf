"""Microsoft Teams as a desk. Its library is loaded only where Teams is configured."""
