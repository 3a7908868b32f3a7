-- One row for each tenant and workload, and for each mailbox that is quiet. Gaps are counted in hours of business, so that nights and
-- weekends make none: business hour n is the n-th one since Monday, 29 December 1969, local time.
with
clock as (
    select timezone, day_begins, day_ends, length(workdays) as days,
        greatest(day_ends - day_begins, 1) as hours,
        case when until is not null and until < now then until else now end as end_time,
        case when position('1' in workdays) > 0 then 1 else 0 end as d1,
        case when position('2' in workdays) > 0 then 1 else 0 end as d2,
        case when position('3' in workdays) > 0 then 1 else 0 end as d3,
        case when position('4' in workdays) > 0 then 1 else 0 end as d4,
        case when position('5' in workdays) > 0 then 1 else 0 end as d5,
        case when position('6' in workdays) > 0 then 1 else 0 end as d6,
        case when position('7' in workdays) > 0 then 1 else 0 end as d7
    from asked
),
hourly as (
    select tenant, workload, case when record_type in (2, 3, 50) then owner end as owner, cast(floor(extract(epoch from time) / 3600) as bigint) as hour,
        min(time) as first_time, max(time) as last_time, count(*) as events,
        sum(greatest(extract(epoch from received) - extract(epoch from time), 0)) as delay, count(received) as received
    from history
    where time is not null and tenant is not null
    group by tenant, workload, case when record_type in (2, 3, 50) then owner end, cast(floor(extract(epoch from time) / 3600) as bigint)
),
things as (
    select 'tenant' as kind, tenant, tenant as name, hour, min(first_time) as first_time, max(last_time) as last_time,
        sum(events) as events, sum(delay) as delay, sum(received) as received
    from hourly group by tenant, hour
    union all
    select 'workload', tenant, workload, hour, min(first_time), max(last_time), sum(events), sum(delay), sum(received)
    from hourly where workload is not null group by tenant, workload, hour
    union all
    select 'mailbox', tenant, owner, hour, min(first_time), max(last_time), sum(events), sum(delay), sum(received)
    from hourly where owner is not null group by tenant, owner, hour
),
instants as (  -- each hour that occurs, and the end
    select hour, cast(to_timestamp(cast(hour * 3600 as double precision)) at time zone clock.timezone as timestamp) as local
    from (select distinct hour from hourly) as hours
    cross join clock
    union all
    select null, cast(end_time at time zone timezone as timestamp) from clock
),
split as (
    select hour, cast(floor((extract(epoch from local) / 86400) + 3) as bigint) as day, cast(extract(isodow from local) as integer) as weekday,
        extract(hour from local) + extract(minute from local) / 60.0 as clock_hour
    from instants
),
business as (
    select s.hour,
        (
            cast(floor(s.day / 7.0) as bigint) * c.days
            + case when s.weekday > 1 then c.d1 else 0 end + case when s.weekday > 2 then c.d2 else 0 end
            + case when s.weekday > 3 then c.d3 else 0 end + case when s.weekday > 4 then c.d4 else 0 end
            + case when s.weekday > 5 then c.d5 else 0 end + case when s.weekday > 6 then c.d6 else 0 end
        ) * c.hours
        + case
            when position(cast(s.weekday as text) in a.workdays) = 0 then 0
            else least(greatest(cast(floor(s.clock_hour) as bigint) - c.day_begins, 0), c.hours)
        end as number,
        position(cast(s.weekday as text) in a.workdays) > 0 and s.clock_hour >= c.day_begins and s.clock_hour < c.day_ends as is_business
    from split s
    cross join clock c
    cross join asked a
),
active as (
    select kind, tenant, name, number - lag(number) over (partition by kind, tenant, name order by number) as gap
    from (
        select distinct t.kind, t.tenant, t.name, b.number
        from things t
        join business b on b.hour = t.hour
        where b.is_business
    ) as hours
),
usual as (
    select kind, tenant, name, count(gap) as gaps, percentile_disc(0.95) within group (order by gap) as gap
    from active
    group by kind, tenant, name
),
last_hours as (
    select t.kind, t.tenant, t.name, max(b.number) as number, max(t.last_time) as last_time, cast(sum(t.events) as bigint) as events,
        cast(floor(sum(t.delay) / nullif(sum(t.received), 0)) as bigint) as lag_s
    from things t
    join business b on b.hour = t.hour
    group by t.kind, t.tenant, t.name
),
judged as (
    select l.kind, l.tenant, l.name, l.last_time, l.events, l.lag_s, u.gap, e.number - l.number as silent,
        case when coalesce(u.gaps, 0) < 10 then 'too little known'
            when e.number - l.number > greatest(3 * u.gap, case when l.kind = 'mailbox' then c.hours else 4 end) then 'quiet'
            else 'talking' end as state
    from last_hours l
    left join usual u on u.kind = l.kind and u.tenant = l.tenant and u.name = l.name
    cross join (select number from business where hour is null) e
    cross join clock c
),
deleted as (  -- the name of a deleted user begins with 32 digits of its id
    select tenant, max(time) as time,
        case when position('@' in target) > 33 and translate(left(target, 32), '0123456789abcdef', '') = '' then substring(target from 33)
            else target end as target
    from history
    where record_type = 8 and rtrim(lower(operation), '.') = 'delete user' and target is not null and coalesce(outcome, '') <> 'failure'
    group by tenant,
        case when position('@' in target) > 33 and translate(left(target, 32), '0123456789abcdef', '') = '' then substring(target from 33)
            else target end
),
shown as (
    select j.*, d.time as deleted
    from judged j
    left join deleted d on j.kind = 'mailbox' and d.tenant = j.tenant and d.target = j.name and d.time >= j.last_time - interval '30 days'
    where j.kind <> 'mailbox' or j.state = 'quiet'
),
named as (
    select s.kind, s.tenant, s.name, min(h.event_id) as event_id
    from shown s
    join history h on h.tenant = s.tenant and h.time = s.last_time
        and ((s.kind = 'mailbox' and h.owner = s.name and h.record_type in (2, 3, 50)) or (s.kind = 'workload' and h.workload = s.name)
            or s.kind = 'tenant')
    group by s.kind, s.tenant, s.name
),
spoken_of as (
    select distinct owner as spelling from history where owner is not null
    union
    select distinct mailbox_id from history where mailbox_id is not null
),
never_seen as (  -- of an export, where one is given
    select m.mailbox, max(case when m.passed_over then 1 else 0 end) as passed_over
    from mailboxes m
    left join spoken_of s on s.spelling = m.spelling
    where m.kind in ('user', 'shared', 'group')
    group by m.mailbox
    having count(s.spelling) = 0
),
told as (
    select s.tenant, s.kind, s.name, s.state, s.last_time as last_event, cast(s.gap as bigint) as usual_gap_h,
        cast(greatest(s.silent, 0) as bigint) as silent_h, s.lag_s, s.events,
        case when n.event_id is null then null else array_agg(n.event_id) end as event_ids,
        case when s.deleted is not null then 'its user was deleted' end as excluded
    from shown s
    left join named n on n.kind = s.kind and n.tenant = s.tenant and n.name = s.name
    group by s.tenant, s.kind, s.name, s.state, s.last_time, s.gap, s.silent, s.lag_s, s.events, s.deleted, n.event_id
    union all
    select (select case when count(distinct tenant) = 1 then min(tenant) end from history), 'mailbox', mailbox, 'never seen', null, null, null,
        null, 0, cast(array[] as text[]), case when passed_over = 1 then 'its account is exempt from auditing (bypass)' end
    from never_seen
)
select tenant, kind, name, state, last_event, usual_gap_h, silent_h, lag_s, events, event_ids, excluded
from told
order by case state when 'quiet' then 0 when 'never seen' then 1 when 'too little known' then 2 else 3 end,
    case kind when 'tenant' then 0 when 'workload' then 1 else 2 end, silent_h desc nulls last, tenant nulls last, name
