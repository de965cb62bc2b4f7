-- Where copy-events.hex comes from: run in psql on PostgreSQL 18 (a UTF-8 database), the output in hexadecimal.
--
--   psql -qAt -f test/golden/copy-events.sql | xxd -p
--
-- The same events as JSON are in test/unit/encode/rows/copy-golden.test.ts.
SET timezone TO 'UTC';
COPY (
  SELECT *
  FROM (
    VALUES
      (
        'af5c33c8-8aac-4aa0-9448-b07b52ddaf9f'::uuid, '0b4ef8bb-6d6b-49bd-b80a-11a0eebc999c'::uuid, '00000000-0000-0000-0000-000000000001'::uuid,
        'page_view'::text, 'event_e8o287'::text, '{"page": "/home"}'::jsonb, '2026-01-27T19:20:12.369Z'::timestamptz,
        'mobile'::text, 'Chrome'::text, NULL::jsonb, 17179869184::bigint
      ),
      (
        'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid, NULL, NULL,
        E'\u00e9\U0001F600\n', '', '[1.10, 12345678901234567890, null, "\u00e9"]'::jsonb, '1969-12-31T23:59:59.999999Z'::timestamptz,
        NULL, NULL, '{"level": {"a": [true, {}]}}'::jsonb, 17179869185::bigint
      ),
      (
        '00000000-0000-0000-0000-000000000000'::uuid, NULL, NULL,
        NULL, NULL, NULL, '294276-12-31T23:59:59.999999Z'::timestamptz,
        NULL, NULL, NULL, 17179869186::bigint
      )
  ) AS events (id, session_id, user_id, type, name, properties, occurred_at, device_type, browser, extra, source_order)
) TO STDOUT (FORMAT binary);
