-- Additive: creates the table of records. Nothing that exists is changed.
create table {{schema}}.records (
  key text collate "C" not null check (octet_length(key) between 1 and 255),
  scope text collate "C" not null check (octet_length(scope) between 1 and 512),
  target text collate "C" not null check (octet_length(target) between 1 and 1024),
  fingerprint bytea not null,
  status smallint not null check (status between 100 and 599),
  headers text not null,
  body bytea,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (key, scope, target)
) with (autovacuum_vacuum_scale_factor = 0.01, toast.autovacuum_vacuum_scale_factor = 0.01);

create index records_expires_at on {{schema}}.records using brin (expires_at);

comment on table {{schema}}.records is 'Oncekey: one row for each finished operation; its primary key is what makes an effect single';
comment on column {{schema}}.records.key is 'The Idempotency-Key that the client sent, unquoted';
comment on column {{schema}}.records.scope is 'Whose key it is: what the scope option returned';
comment on column {{schema}}.records.target is 'Method and path, such as POST /payments/42';
comment on column {{schema}}.records.fingerprint is 'One version byte, then the SHA-256 of the request';
comment on column {{schema}}.records.status is 'HTTP status of the stored response';
comment on column {{schema}}.records.headers is 'Stored headers: a JSON array of [name, value], kept as text so that it stays as written';
comment on column {{schema}}.records.body is 'Exact bytes of the response body; null where it could not be kept';
comment on column {{schema}}.records.created_at is 'When the record was stored, by the clock of the database';
comment on column {{schema}}.records.expires_at is 'Until when the record is replayed; after it the row counts as absent';
