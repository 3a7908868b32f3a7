-- Four lists in one: changes by user, changes by date, changes outside business hours, logons. Days and hours are local.
with
read_verbs (verb) as (
    values ('get'), ('test'), ('search'), ('find'), ('export'), ('measure'), ('trace'), ('validate'), ('show'), ('read'), ('preview')
),
team_changes (operation) as (
    values ('memberadded'), ('memberremoved'), ('memberrolechanged'), ('teamcreated'), ('teamdeleted'), ('teamsettingchanged'),
        ('teamstenantsettingchanged'), ('channeladded'), ('channeldeleted'), ('channelsettingchanged'), ('appinstalled'), ('appuninstalled'),
        ('appupgraded'), ('botaddedtoteam'), ('botremovedfromteam'), ('tabadded'), ('tabremoved'), ('tabupdated'), ('connectoradded'),
        ('connectorremoved'), ('connectorupdated'), ('groupcreated'), ('groupdeleted')
),
mailbox_changes (operation) as (
    values ('updateinboxrules'), ('updatefolderpermissions'), ('updatecalendardelegation'), ('addfolderpermissions'),
        ('modifyfolderpermissions'), ('removefolderpermissions')
),
operations as (  -- judged once each, not once an event
    select record_type, operation,
        case
            when record_type in (9, 15) or lower(operation) = 'mailboxlogin' then 'logon'
            when record_type = 8 then 'change'
            when record_type in (1, 18) and split_part(lower(operation), '-', 1) not in (select verb from read_verbs) then 'change'
            when record_type in (2, 3) and lower(operation) in (select operation from mailbox_changes) then 'change'
            when record_type in (25, 57, 126) and lower(operation) in (select operation from team_changes) then 'change'
            when record_type in (4, 6, 14, 36, 54, 55, 56)
                and lower(operation) not like '%accessed%' and lower(operation) not like '%viewed%'
                and lower(operation) not like '%previewed%' and lower(operation) not like '%downloaded%'
                and lower(operation) not like '%linkused' and lower(operation) not like '%extended' and lower(operation) not like '%fetched'
                and lower(operation) not like '%searchperformed' and lower(operation) not like '%searchqueryperformed'
                then 'change'
        end as kind
    from (select distinct record_type, operation from events where record_type in (1, 2, 3, 4, 6, 8, 9, 14, 15, 18, 25, 36, 54, 55, 56, 57, 126)) as o
),
acts as (
    select e.event_id, e.tenant, e.time, coalesce(e.actor, 'unknown') as actor, coalesce(e.actor_kind, '') = 'service' as by_service,
        e.operation, e.ip, coalesce(e.outcome, '') = 'failure' as failed, o.kind,
        cast(floor(extract(epoch from e.time) / 900) as bigint) as quarter
    from events e
    join operations o on o.record_type = e.record_type and o.operation = e.operation
    where o.kind is not null and e.time is not null
),
quarters as (  -- time zones differ by quarters of an hour
    select quarter, substring(cast(local as text) from 1 for 10) as day,
        position(cast(cast(extract(isodow from local) as integer) as text) in a.workdays) > 0
            and cast(extract(hour from local) as integer) >= a.day_begins and cast(extract(hour from local) as integer) < a.day_ends as is_business
    from (
        select q.quarter, cast(to_timestamp(cast(q.quarter * 900 as double precision)) at time zone asked.timezone as timestamp) as local
        from (select distinct quarter from acts) q
        cross join asked
    ) as places
    cross join asked a
),
grouped as (  -- the latest event of each operation names the others
    select a.kind, a.tenant, a.actor, a.by_service, q.day, q.is_business, a.operation, count(*) as acts,
        count(case when a.failed then 1 end) as failed, min(a.time) as first_time, max(a.time) as last_time,
        max(cast(cast(floor(extract(epoch from a.time)) as bigint) as text) || ' ' || a.event_id) as latest
    from acts a
    join quarters q on q.quarter = a.quarter
    group by a.kind, a.tenant, a.actor, a.by_service, q.day, q.is_business, a.operation
),
places as (
    select a.kind, a.tenant, a.actor, a.by_service, q.day, q.is_business, a.ip
    from acts a
    join quarters q on q.quarter = a.quarter
    where a.ip is not null
    group by a.kind, a.tenant, a.actor, a.by_service, q.day, q.is_business, a.ip
),
lists (part, name, kind) as (
    values (1, 'changes by user', 'change'), (2, 'changes by date', 'change'), (3, 'changes outside business hours', 'change'),
        (4, 'logons', 'logon')
),
listed as (
    select l.part, g.tenant, case when l.part <> 2 then g.actor end as actor, case when l.part <> 1 then g.day end as day,
        case when l.part <> 2 then g.by_service else false end as by_service, g.operation,
        sum(g.acts) as acts, sum(g.failed) as failed, min(g.first_time) as first_time, max(g.last_time) as last_time, max(g.latest) as latest
    from grouped g
    join lists l on l.kind = g.kind
    where (l.part <> 2 or not g.by_service) and (l.part <> 3 or not g.is_business)
    group by l.part, g.tenant, case when l.part <> 2 then g.actor end, case when l.part <> 1 then g.day end,
        case when l.part <> 2 then g.by_service else false end, g.operation
),
ranked as (
    select listed.*, row_number() over (partition by part, tenant, actor, day, by_service order by acts desc, operation) as place
    from listed
),
sums as (
    select part, tenant, actor, day, by_service, cast(sum(acts) as bigint) as acts, cast(sum(failed) as bigint) as failed,
        min(first_time) as first_time, max(last_time) as last_time,
        string_agg(case when place <= 5 then operation || ' ' || cast(cast(acts as bigint) as text) end, ', ' order by acts desc, operation)
            || case when count(*) > 5 then ', and ' || cast(count(*) - 5 as text) || ' more' else '' end as what,
        array_agg(split_part(latest, ' ', 2) order by latest) as event_ids
    from ranked
    group by part, tenant, actor, day, by_service
),
addresses as (
    select l.part, p.tenant, case when l.part <> 2 then p.actor end as actor, case when l.part <> 1 then p.day end as day,
        case when l.part <> 2 then p.by_service else false end as by_service, count(distinct p.ip) as addresses
    from places p
    join lists l on l.kind = p.kind
    where (l.part <> 2 or not p.by_service) and (l.part <> 3 or not p.is_business)
    group by l.part, p.tenant, case when l.part <> 2 then p.actor end, case when l.part <> 1 then p.day end,
        case when l.part <> 2 then p.by_service else false end
)
select l.name as list, s.tenant, s.actor, s.day, s.acts, s.failed, s.what, coalesce(a.addresses, 0) as addresses, s.first_time, s.last_time,
    s.event_ids,
    case when s.by_service then 'service, no person'
        when exists (select 1 from own o where o.kind = 'service_account' and o.value = s.actor) then 'service account of the config'
    end as excluded
from sums s
join lists l on l.part = s.part
left join addresses a on a.part = s.part and a.tenant = s.tenant and coalesce(a.actor, '') = coalesce(s.actor, '')
    and coalesce(a.day, '') = coalesce(s.day, '') and a.by_service = s.by_service
order by s.part, case when s.part = 1 then s.acts end desc nulls last, s.day desc nulls last, s.acts desc, s.tenant, s.actor, s.by_service
