"""The core of handoff-bridge: who owns a conversation, and how its lines travel. It knows no vendor."""
