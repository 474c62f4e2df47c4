-- What is declared and what runs, as tables that other services read: one row a topic or queue, one a subscription, under
-- the platform's own names and units. A value that somebody wrote over with another kind of thing reads as null.

CREATE FUNCTION mq_duration_ms(duration text) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (substring(duration FROM '^([0-9]+(?:[.][0-9]+)?)(?:ms|s|m|h|d)$')::numeric
        * CASE substring(duration FROM '[a-z]+$')
              WHEN 'ms' THEN 1 WHEN 's' THEN 1000 WHEN 'm' THEN 60000 WHEN 'h' THEN 3600000 ELSE 86400000
          END)::bigint;

CREATE FUNCTION mq_whole(number jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE jsonb_typeof(number) WHEN 'number' THEN (number #>> '{}')::numeric::bigint END;

CREATE FUNCTION mq_texts(list jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE jsonb_typeof(list) WHEN 'array' THEN ARRAY(SELECT jsonb_array_elements_text(list)) END;

CREATE VIEW mq_topics AS
SELECT t.uid AS id,
       t.name,
       t.spec ->> 'displayName' AS display_name,
       t.spec ->> 'description' AS description,
       CASE t.spec ->> 'engine' WHEN 'redis' THEN 'redis_stream' ELSE t.spec ->> 'engine' END AS topic_type,
       mq_whole(t.spec -> 'partitions')::integer AS partition_count,
       1 AS replication_factor,
       mq_duration_ms(t.spec ->> 'retention') AS retention_ms,
       'json' AS message_format,
       NULL::text AS schema_definition,
       'none' AS compression_type,
       tenant.uid AS tenant_id,
       coalesce(t.spec -> 'public' = 'true', false) AS is_public,
       mq_texts(t.spec -> 'producers') AS allowed_producers,
       mq_texts(t.spec -> 'consumers') AS allowed_consumers,
       t.spec ->> 'state' AS status,
       t.created_at,
       t.updated_at
FROM mq_resources t
LEFT JOIN mq_resources tenant ON tenant.kind = 'Tenant' AND tenant.tenant = '' AND tenant.name = t.tenant
WHERE t.kind IN ('Topic', 'Queue');

CREATE VIEW mq_subscriptions AS
SELECT s.uid AS id,
       t.uid AS topic_id,
       s.name AS consumer_group,
       coalesce(s.spec ->> 'handler', 'pull') AS consumer_name,
       CASE WHEN s.spec ->> 'handler' IS NULL THEN 'redis_consumer' ELSE 'webhook' END AS subscription_type,
       s.spec ->> 'startFrom' AS offset_reset_policy,
       CASE WHEN s.spec ->> 'handler' IS NULL THEN 100 ELSE mq_whole(s.spec -> 'concurrency') END::integer
           AS max_poll_records,                          -- a pull takes 100 at most
       CASE WHEN s.spec ->> 'handler' IS NULL THEN mq_duration_ms(s.spec ->> 'ackDeadline')
            ELSE mq_duration_ms(h.spec #>> '{http,timeout}') + 30000
       END AS session_timeout_ms,                        -- how long a message is leased
       CASE WHEN s.spec ->> 'handler' IS NOT NULL THEN 2000 END AS heartbeat_interval_ms, -- of the workers
       h.spec AS handler_config,
       s.spec ->> 'deadLetter' AS dead_letter_queue,
       mq_whole(s.spec #> '{retry,maxAttempts}')::integer - 1 AS max_retry_attempts,
       mq_duration_ms(s.spec #>> '{retry,initialDelay}') AS retry_delay_ms,
       s.spec ->> 'filter' AS message_filter,
       CASE WHEN t.spec ->> 'state' = 'archived' THEN 'stopped'
            WHEN r.override_until <= now() THEN s.spec ->> 'state'
            ELSE coalesce(r.override_state, s.spec ->> 'state')
       END AS status,
       tenant.uid AS tenant_id,
       s.created_at,
       s.updated_at,
       r.last_consumed_at
FROM mq_resources s
LEFT JOIN mq_resources tenant ON tenant.kind = 'Tenant' AND tenant.tenant = '' AND tenant.name = s.tenant
LEFT JOIN mq_resources t
    ON t.kind IN ('Topic', 'Queue')
   AND t.tenant = CASE strpos(s.spec ->> 'topic', '/') WHEN 0 THEN s.tenant ELSE split_part(s.spec ->> 'topic', '/', 1) END
   AND t.name = split_part(s.spec ->> 'topic', '/', CASE strpos(s.spec ->> 'topic', '/') WHEN 0 THEN 1 ELSE 2 END)
LEFT JOIN mq_resources h ON h.kind = 'Handler' AND h.tenant = s.tenant AND h.name = s.spec ->> 'handler'
LEFT JOIN mq_runtime r ON r.uid = s.uid
WHERE s.kind = 'Subscription';
