"""Triggers that write every change of a table into the audit log, whoever makes it.

Who acts is said by the settings bandwatch.actor and bandwatch.action of the transaction; see `session`.
"""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

SECRETS: Final = ("secret", "secret_digest", "token", "token_digest", "signing_key")
"""Columns that never land in the log."""

_FUNCTION: Final = """
CREATE FUNCTION bandwatch_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    hidden text[] := string_to_array(TG_ARGV[1], ',');
    was jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    is_now jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    subject text := TG_TABLE_NAME;
    part text;
BEGIN
    FOREACH part IN ARRAY string_to_array(TG_ARGV[0], ',') LOOP
        subject := subject || ' ' || (coalesce(is_now, was) ->> part);
    END LOOP;
    INSERT INTO audit_entries (actor, action, subject, before, after, refusal, peer) VALUES (
        coalesce(nullif(current_setting('bandwatch.actor', true), ''), 'database user ' || session_user),
        coalesce(nullif(current_setting('bandwatch.action', true), ''), lower(TG_OP)),
        subject, was - hidden, is_now - hidden, '', ''
    );
    RETURN NULL;
END $$
"""


def make_audit_function(op: Any) -> None:
    """Make the function that the triggers call, in a migration."""
    op.execute(_FUNCTION)


def drop_audit_function(op: Any) -> None:
    """Drop the function, once no trigger calls it."""
    op.execute("DROP FUNCTION bandwatch_audit()")


def audited(op: Any, table: str, columns: Sequence[str] | None = None, *, hidden: Sequence[str] = ()) -> None:
    """Write changes of a table into the log from now on: rows that come or go, and updates of these columns or of any.

    What stands in `SECRETS` and in `hidden` is left out of what is written.
    """
    inspector = sa.inspect(op.get_bind())
    keys = ",".join(inspector.get_pk_constraint(table)["constrained_columns"])
    call = f"EXECUTE FUNCTION bandwatch_audit('{keys}', '{','.join((*SECRETS, *hidden))}')"
    watched = columns or [column["name"] for column in inspector.get_columns(table)]
    changed = " OR ".join(f'OLD."{column}" IS DISTINCT FROM NEW."{column}"' for column in watched)
    op.execute(f"CREATE TRIGGER audit_rows AFTER INSERT OR DELETE ON {table} FOR EACH ROW {call}")
    op.execute(f"CREATE TRIGGER audit_updates AFTER UPDATE ON {table} FOR EACH ROW WHEN ({changed}) {call}")


def not_audited(op: Any, table: str) -> None:
    """Take the triggers of a table away, in a migration's way back."""
    op.execute(f"DROP TRIGGER audit_rows ON {table}")
    op.execute(f"DROP TRIGGER audit_updates ON {table}")
