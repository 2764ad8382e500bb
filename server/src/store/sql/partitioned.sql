-- Turns the table of records into one that is partitioned by the day of a UUIDv7 key. The table itself becomes the partition of
-- all other keys (records_other). It takes ACCESS EXCLUSIVE on it and reads it once. Rows move only if their key sorts among the
-- days to come. All in one transaction, so that nothing is changed if it fails.
do $$
declare
  -- The day that has a partition first: today for an empty table. The keys of today are in a table with records already.
  first_day date := (statement_timestamp() at time zone 'UTC')::date;
  first_key text;
  -- The year 2074. Keys behind it, and most UUIDv4 keys among them, are in records_other.
  last_key constant text := '03000000-0000';
  granted record;
begin
  perform set_config('lock_timeout', '5s', true);
  lock table {{schema}}.records in access exclusive mode;
  if exists (select from {{schema}}.records) then first_day := first_day + 1; end if;
  first_key := lpad(to_hex((extract(epoch from first_day) * 1000)::bigint), 12, '0');
  first_key := left(first_key, 8) || '-' || right(first_key, 4);

  alter table {{schema}}.records rename to records_other;
  alter index {{schema}}.records_pkey rename to records_other_pkey;
  alter index {{schema}}.records_expires_at rename to records_other_expires_at;
  alter index {{schema}}.records_open rename to records_other_open;

  -- The primary key begins with the key, by which the table is partitioned: so it stays one fence over all partitions.
  create table {{schema}}.records
    (like {{schema}}.records_other including defaults including constraints including comments, primary key (key, scope, target))
    partition by range (key);
  create index records_open on {{schema}}.records (created_at) where (status is null and owner is not null) or status >= 500;

  -- Days are attached to a table of their own: what locks it, or scans its default partition, does not meet other keys.
  create table {{schema}}.records_days (like {{schema}}.records including defaults including constraints including comments)
    partition by range (key);
  create table {{schema}}.records_days_other partition of {{schema}}.records_days default
    with (autovacuum_vacuum_scale_factor = 0.01, toast.autovacuum_vacuum_scale_factor = 0.01);
  create index records_days_other_expires_at on {{schema}}.records_days_other (expires_at);
  -- For records that become a tombstone in a day. The tombstones themselves are in no index on expiry: they go with their day.
  create index records_due on {{schema}}.records_days (expires_at) where fence_until > expires_at;
  -- Whether a day is over, without a look at its rows: some 200 ranges of a million rows, each with its latest end. Reused
  -- space does no harm here: a range is passed by if all that it ever held is over.
  create index records_ends on {{schema}}.records_days using brin (greatest(expires_at, fence_until)) with (autosummarize = on);

  execute format('with moved as (delete from {{schema}}.records_other where key >= %L and key < %L returning *)
    insert into {{schema}}.records_days_other select * from moved', first_key, last_key);
  execute format('alter table {{schema}}.records attach partition {{schema}}.records_days for values from (%L) to (%L)',
    first_key, last_key);
  alter table {{schema}}.records attach partition {{schema}}.records_other default;

  create table {{schema}}.days (
    first_key text collate "C" not null,
    dropped_until text collate "C" not null,
    look_at timestamptz not null default '-infinity'
  );
  create unique index days_one_row on {{schema}}.days ((true));
  execute format('insert into {{schema}}.days (first_key, dropped_until) values (%L, %1$L)', first_key);

  comment on table {{schema}}.records is 'Oncekey: one row for each operation; its primary key is what makes an effect single';
  comment on table {{schema}}.records_other is 'Oncekey: keys that are no UUIDv7, and what was stored before the table had partitions';
  comment on table {{schema}}.records_days is 'Oncekey: one partition for each day of UUIDv7 keys, made and dropped by the sweep';
  comment on table {{schema}}.records_days_other is 'Oncekey: keys that sort among the days and belong to none that is there';
  comment on table {{schema}}.days is 'Oncekey: one row about the partitions by day';
  comment on column {{schema}}.days.first_key is 'Keys from this one on have partitions';
  comment on column {{schema}}.days.dropped_until is 'Days before this key were dropped: a UUIDv7 key from first_key to here runs nothing';
  comment on column {{schema}}.days.look_at is 'When the sweep looks again whether the oldest day is over';

  -- As on the table before: privileges through the parent are all that a request needs.
  execute format('alter table {{schema}}.records owner to %1$I; alter table {{schema}}.records_days owner to %1$I;
    alter table {{schema}}.records_days_other owner to %1$I; alter table {{schema}}.days owner to %1$I',
    (select pg_get_userbyid(relowner) from pg_class where oid = '{{schema}}.records_other'::regclass));
  for granted in
    select privilege_type, case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end as grantee
    from pg_class, aclexplode(relacl) where oid = '{{schema}}.records_other'::regclass and grantee <> relowner
  loop
    execute format('grant %s on {{schema}}.records, {{schema}}.days to %s', granted.privilege_type, granted.grantee);
  end loop;
end $$;
