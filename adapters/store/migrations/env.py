"""How Alembic reaches the database: over the connection, and inside the transaction, that `schema.py` hands it."""

from alembic import context

from adapters.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
