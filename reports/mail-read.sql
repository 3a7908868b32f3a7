-- One row for each session in a mailbox: what it read message by message, and the folders that it copied as a whole.
with reads as (
  select event_id, time, coalesce(owner, mailbox_id, '(not named)') as mailbox, mailbox_id, coalesce(actor, '(not named)') as actor,
    actor_name, actor_kind, app_id, ip, country, client, session, access_type, throttled, folder, count, logon_type,
    coalesce(session, '') as session_key, coalesce(app_id, '') as app_key, coalesce(ip, '') as ip_key
  from events
  where record_type in (2, 3, 50) and lower(operation) = 'mailitemsaccessed'
),
grouped as (
  select reads.*, dense_rank() over (order by mailbox, actor, session_key, app_key, ip_key) as grp from reads
),
read_messages as (
  select grouped.grp, items.message_id, max(items.size) as size, count(*) as times
  from grouped
  join items on items.event_id = grouped.event_id
  where items.record_type in (2, 3, 50) and lower(items.operation) = 'mailitemsaccessed' and coalesce(grouped.access_type, '') <> 'Sync'
  group by grouped.grp, items.message_id
),
messages as (
  select grp, count(*) filter (where message_id is not null) as messages,
    coalesce(cast(sum(times) filter (where message_id is null) as bigint), 0) as unnamed, cast(sum(size) as bigint) as bytes,
    string_agg(message_id || coalesce(' (' || size || ' bytes)', ''), chr(10) order by message_id) as message_ids
  from read_messages group by grp
),
folder_names as (
  select grp, access_type, unnest(string_to_array(folder, chr(10))) as name from grouped where folder is not null
),
folders as (
  select grp, string_agg(distinct name, ', ' order by name) filter (where access_type = 'Sync') as synced,
    string_agg(distinct name, ', ' order by name) filter (where access_type is null or access_type <> 'Sync') as folders
  from folder_names group by grp
),
sessions as (
  select grp, min(mailbox) as mailbox, min(mailbox_id) as mailbox_id, min(actor) as actor, min(actor_name) as actor_name,
    min(actor_kind) as kind, min(session) as session, min(app_id) as app, min(ip) as ip, min(country) as country,
    string_agg(distinct client, ', ' order by client) as clients, min(time) as first, max(time) as last,
    count(*) filter (where access_type is null or access_type <> 'Sync') as binds,
    count(*) filter (where access_type = 'Sync') as syncs,
    min(case logon_type when 0 then 'owner' when 1 then 'administrator' when 2 then 'delegate' when 6 then 'delegated administrator'
      else coalesce('type ' || logon_type, 'not named') end) as logon,
    array_agg(event_id order by time nulls last, event_id) as event_ids
  from grouped group by grp
),
throttled as (
  select coalesce(owner, mailbox_id, '(not named)') as mailbox, mailbox_id, time from history where throttled and time is not null
),
blind as (
  select grp, min(throttled.time) as blind_from, max(throttled.time) + interval '24 hours' as blind_until
  from sessions
  join throttled on (throttled.mailbox = sessions.mailbox or throttled.mailbox_id = sessions.mailbox_id)
    and throttled.time <= sessions.last and throttled.time + interval '24 hours' >= sessions.first
  group by grp
)
select mailbox, actor, actor_name, kind, logon, session,
  case when session is null then 'same actor, application and address' else 'session' end as joined_by, app, ip, country, clients,
  first, last, binds, coalesce(messages, 0) as messages, coalesce(unnamed, 0) as unnamed, bytes, message_ids, folders, syncs, synced,
  blind_from, blind_until, case when kind = 'service' then 'services of Microsoft' end as excluded, event_ids
from sessions
left join messages on messages.grp = sessions.grp
left join folders on folders.grp = sessions.grp
left join blind on blind.grp = sessions.grp
order by mailbox, first nulls last, actor, session nulls last, sessions.grp
