-- All acts of whoever is asked for, one row each, with totals by act, by site and by day before them.
with acts as (
  select event_id, time, cast(cast(time at time zone (select timezone from asked) as date) as varchar) as day, workload, operation,
    coalesce(url, object, owner, target) as object, coalesce(site, '') as site, file_name, file_size, folder, subject, ip, country,
    managed, client, session, app_id, outcome, reason, count, sentence, actor,
    case
      when lower(operation) like '%extended' then 'repeat'
      when lower(operation) like 'filesync%' then 'synchronization'
      when lower(operation) in ('filepreviewed', 'listviewed', 'clientviewsignaled', 'pageprefetched') then 'preview'
      when access_type = 'Sync' then 'synchronization'
    end as by_itself
  from events
),
totals as (
  select 1 as part, 'Totals by act' as section, min(operation) as operation, min(workload) as workload, cast(null as varchar) as site,
    cast(null as varchar) as day, by_itself, min(time) as time, max(time) as last, count(*) as records,
    cast(sum(count) as bigint) as acts, cast(sum(file_size) as bigint) as bytes,
    array_agg(event_id order by time nulls last, event_id) as event_ids
  from acts group by lower(operation), coalesce(lower(workload), ''), by_itself
  union all
  select 2, 'Totals by site', null, null, min(site), null, null, min(time), max(time), count(*), cast(sum(count) as bigint),
    cast(sum(file_size) as bigint), array_agg(event_id order by time nulls last, event_id)
  from acts where site <> '' group by lower(site)
  union all
  select 3, 'Totals by day', null, null, null, day, null, min(time), max(time), count(*), cast(sum(count) as bigint),
    cast(sum(file_size) as bigint), array_agg(event_id order by time nulls last, event_id)
  from acts group by day
)
select section, time, last, day, operation, workload, object, site, file_name, bytes, folder, subject, ip, country, managed, client,
  session, app, outcome, by_itself, records, acts, sentence, actor, event_ids
from (
  select part, section, time, last, day, operation, workload, cast(null as varchar) as object, site, cast(null as varchar) as file_name,
    bytes, cast(null as varchar) as folder, cast(null as varchar) as subject, cast(null as varchar) as ip,
    cast(null as varchar) as country, cast(null as boolean) as managed, cast(null as varchar) as client,
    cast(null as varchar) as session, cast(null as varchar) as app, cast(null as varchar) as outcome, by_itself, records, acts,
    cast(null as varchar) as sentence, cast(null as varchar) as actor, event_ids
  from totals
  union all
  select 4, 'Timeline', time, time, day, operation, workload, object, nullif(site, ''), file_name, file_size, folder, subject, ip,
    country, managed, client, session, app_id, outcome, by_itself, 1, count, sentence, actor, array[event_id]
  from acts
) as rows_of_all
order by part, case when part < 3 then -records else 0 end, time nulls last, operation nulls last, workload nulls last,
  site nulls last, by_itself nulls last, event_ids
