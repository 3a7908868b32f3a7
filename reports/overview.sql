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
placed as (
    select a.event_id, a.tenant, a.time, a.actor, a.by_service, a.operation, a.ip, a.failed, a.kind, q.day, q.is_business
    from acts a
    join quarters q on q.quarter = a.quarter
),
listed as (
    select 1 as part, tenant, actor, cast(null as text) as day, by_service, event_id, time, operation, ip, failed from placed where kind = 'change'
    union all
    select 2, tenant, null, day, false, event_id, time, operation, ip, failed from placed where kind = 'change' and not by_service
    union all
    select 3, tenant, actor, day, by_service, event_id, time, operation, ip, failed from placed where kind = 'change' and not is_business
    union all
    select 4, tenant, actor, day, by_service, event_id, time, operation, ip, failed from placed where kind = 'logon'
),
numbered as (
    select listed.*,
        row_number() over (partition by part, tenant, actor, day, by_service order by time desc, event_id) as place
    from listed
),
counted as (
    select part, tenant, actor, day, by_service, operation, count(*) as acts, count(case when failed then 1 end) as failed,
        min(time) as first_time, max(time) as last_time
    from listed
    group by part, tenant, actor, day, by_service, operation
),
ranked as (
    select counted.*, row_number() over (partition by part, tenant, actor, day, by_service order by acts desc, operation) as place
    from counted
),
sums as (
    select part, tenant, actor, day, by_service, cast(sum(acts) as bigint) as acts, cast(sum(failed) as bigint) as failed,
        min(first_time) as first_time, max(last_time) as last_time,
        string_agg(case when place <= 5 then operation || ' ' || cast(acts as text) end, ', ' order by acts desc, operation)
            || case when count(*) > 5 then ', and ' || cast(count(*) - 5 as text) || ' more' else '' end as what
    from ranked
    group by part, tenant, actor, day, by_service
),
addresses as (
    select part, tenant, actor, day, by_service, count(distinct ip) as addresses
    from listed
    group by part, tenant, actor, day, by_service
),
named as (
    select part, tenant, actor, day, by_service, array_agg(event_id order by time, event_id) as event_ids
    from numbered
    where place <= 100
    group by part, tenant, actor, day, by_service
)
select
    case s.part when 1 then 'changes by user' when 2 then 'changes by date' when 3 then 'changes outside business hours' else 'logons' end as list,
    s.tenant, s.actor, s.day, s.acts, s.failed, s.what, a.addresses, s.first_time, s.last_time,
    n.event_ids,
    case when s.by_service then 'service, no person'
        when exists (select 1 from own o where o.kind = 'service_account' and o.value = s.actor) then 'service account of the config'
    end as excluded
from sums s
join addresses a on a.part = s.part and a.tenant = s.tenant and coalesce(a.actor, '') = coalesce(s.actor, '')
    and coalesce(a.day, '') = coalesce(s.day, '') and a.by_service = s.by_service
join named n on n.part = s.part and n.tenant = s.tenant and coalesce(n.actor, '') = coalesce(s.actor, '')
    and coalesce(n.day, '') = coalesce(s.day, '') and n.by_service = s.by_service
order by s.part, case when s.part = 1 then s.acts end desc nulls last, s.day desc nulls last, s.acts desc, s.tenant, s.actor, s.by_service
