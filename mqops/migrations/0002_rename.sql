-- Renaming: a resource gets another name under its uid, and names may trade places within one apply.

-- What its manifest last said it was called: what is said already is not done again.
ALTER TABLE mq_resources ADD COLUMN renamed_from text;

ALTER TABLE mq_resources DROP CONSTRAINT mq_resources_kind_tenant_name_key;
ALTER TABLE mq_resources ADD CONSTRAINT mq_resources_kind_tenant_name_key
    UNIQUE (kind, tenant, name) DEFERRABLE INITIALLY DEFERRED;
