-- Additive: creates the table of records. Nothing that exists is changed.
create table {{schema}}.records (
  key text collate "C" not null check (octet_length(key) between 1 and 255),
  scope text collate "C" not null check (octet_length(scope) between 1 and 512),
  target text collate "C" not null check (octet_length(target) between 1 and 1024),
  fingerprint bytea not null,
  status smallint check (status between 100 and 599),
  headers text,
  body bytea,
  owner uuid,
  lease_until timestamptz,
  attempt integer default 1,
  steps text,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  fence_until timestamptz,
  primary key (key, scope, target),
  check (status is not null or (headers is null and body is null and fence_until is null))
) with (autovacuum_vacuum_scale_factor = 0.01, toast.autovacuum_vacuum_scale_factor = 0.01);

-- A BRIN index is smaller, but its ranges never shrink: once the table's space is used again, every range holds every instant.
create index records_expires_at on {{schema}}.records (expires_at);

comment on table {{schema}}.records is 'Oncekey: one row for each operation; its primary key is what makes an effect single';
comment on column {{schema}}.records.key is 'The Idempotency-Key that the client sent, unquoted';
comment on column {{schema}}.records.scope is 'Whose key it is: what the scope option returned';
comment on column {{schema}}.records.target is 'Method and path, such as POST /payments/42';
comment on column {{schema}}.records.fingerprint is 'One version byte, then the SHA-256 of the request';
comment on column {{schema}}.records.status is 'HTTP status of the response; null while the operation is not finished';
comment on column {{schema}}.records.headers is 'Stored headers: a JSON array of [name, value], kept as text so that it stays as written; null in a tombstone';
comment on column {{schema}}.records.body is 'Exact bytes of the response body; null where it could not be kept';
comment on column {{schema}}.records.owner is 'Strategy lease: the claim that may finish this operation';
comment on column {{schema}}.records.lease_until is 'Strategy lease: when the claim counts as crashed unless it is renewed';
comment on column {{schema}}.records.attempt is 'How many times the handler was started for this key, as far as it was recorded; null in a tombstone';
comment on column {{schema}}.records.steps is 'Strategy lease: results of finished steps, a JSON object kept as text';
comment on column {{schema}}.records.created_at is 'When the row was written, by the clock of the database';
comment on column {{schema}}.records.expires_at is 'When the response expires, or an unfinished row, or a tombstone: the sweep comes by';
comment on column {{schema}}.records.fence_until is 'Until when the key of a stored response runs nothing; null in a tombstone, whose expires_at says so';
