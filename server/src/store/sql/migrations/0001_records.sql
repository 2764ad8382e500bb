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
  recoveries smallint,
  recover_at timestamptz,
  primary key (key, scope, target),
  check (status is not null or (headers is null and body is null and fence_until is null))
) with (autovacuum_vacuum_scale_factor = 0.01, toast.autovacuum_vacuum_scale_factor = 0.01);

-- A BRIN index is smaller, but its ranges never shrink: once the table's space is used again, every range holds every instant.
create index records_expires_at on {{schema}}.records (expires_at);

-- What waits for a decision: leases without an answer, and keys that were closed with one of 500 or more. Few rows, and none of a
-- one-commit strategy. A heartbeat changes none of these columns, so that it stays a HOT update.
create index records_open on {{schema}}.records (created_at) where (status is null and owner is not null) or status >= 500;

create table {{schema}}.decisions (
  id uuid not null,
  action text not null check (action in ('resolved', 'forgotten', 'expired')),
  key text collate "C",
  scope text collate "C" not null,
  target text collate "C",
  state text,
  status smallint,
  decided_by text not null,
  reason text not null,
  records integer not null default 1,
  decided_at timestamptz not null default statement_timestamp(),
  primary key (scope, id)
);
create index decisions_decided_at on {{schema}}.decisions (decided_at);
create index decisions_key on {{schema}}.decisions (scope, key);

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
comment on column {{schema}}.records.recoveries is 'Strategy lease: how often crash recovery has asked in vain';
comment on column {{schema}}.records.recover_at is 'Strategy lease: when crash recovery may ask again';
comment on table {{schema}}.decisions is 'Oncekey: what people and crash recovery decided about records, one row for each decision';
