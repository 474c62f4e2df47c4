-- What was changed outside: what of it is known to a reconciler, and who wrote rows by hand.

-- One row a resource that has drifted, for as long as it has. Written by reconcilers alone.
CREATE TABLE mq_drift (
    kind          text NOT NULL,
    tenant        text NOT NULL,
    name          text NOT NULL,
    uid           text NOT NULL,
    managed_by    text NOT NULL,                   -- empty for what nobody claims
    reason        text NOT NULL,
    fields        jsonb NOT NULL,                  -- [{"path", "before": as it should be, "after": as it was found}, …]
    message       text NOT NULL,                   -- what to do where it is not repaired; else empty
    changed_by    text,                            -- null where it is not known, as is:
    changed_at    timestamptz,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, tenant, name, uid)
);

-- The last time that each row of mq_resources was written or deleted by anyone but the reconciler. Only evidence: that a
-- row differs from what was recorded of it is found without it.
CREATE TABLE mq_row_edits (
    uid           uuid PRIMARY KEY,
    edited_by     text NOT NULL,                   -- role, and program and address where they are known
    edited_at     timestamptz NOT NULL
);

CREATE FUNCTION mq_note_row_edit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO mq_row_edits (uid, edited_by, edited_at)
    VALUES (CASE TG_OP WHEN 'DELETE' THEN OLD.uid ELSE NEW.uid END,
            session_user || coalesce(
                ' (' || nullif(concat_ws(', ', nullif(current_setting('application_name'), ''),
                                         host(inet_client_addr())), '') || ')', ''),
            clock_timestamp())
    ON CONFLICT (uid) DO UPDATE SET edited_by = excluded.edited_by, edited_at = excluded.edited_at;
    RETURN NULL;
END
$$;

-- The reconciler sets mqops.writer for each of its transactions that write rows.
CREATE TRIGGER mq_note_row_edit AFTER INSERT OR UPDATE OR DELETE ON mq_resources
    FOR EACH ROW WHEN (coalesce(current_setting('mqops.writer', true), '') <> 'reconciler')
    EXECUTE FUNCTION mq_note_row_edit();
