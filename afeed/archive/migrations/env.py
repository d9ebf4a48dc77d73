"""Run by Alembic, in the transaction that :mod:`afeed.archive.schema` has opened and will commit."""

from __future__ import annotations

from alembic import context

from afeed.archive.tables import REVISION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=REVISION_TABLE,
    # SQLite can take back CREATE TABLE as well; Alembic assumes that it cannot.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
