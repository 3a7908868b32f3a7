-- One row for each stage and kind of act of a chain. A chain is what one account did from one address with no pause above twelve hours,
-- and what it did elsewhere in the same sessions. Each row says which of these joins it; a stage that has no record is a row, too.
with
stages (stage, name) as (values (1, 'sign-in'), (2, 'access'), (3, 'rule or forwarding'), (4, 'sending or deleting')),
kinds (operation, stage) as (
    values
        ('userloggedin', 1),
        ('mailitemsaccessed', 2), ('folderbind', 2), ('messagebind', 2), ('searchqueryinitiated', 2), ('mailboxlogin', 2), ('copy', 2),
        ('new-inboxrule', 3), ('set-inboxrule', 3), ('enable-inboxrule', 3), ('updateinboxrules', 3), ('set-mailbox', 3),
        ('send', 4), ('sendas', 4), ('sendonbehalf', 4), ('softdelete', 4), ('harddelete', 4), ('movetodeleteditems', 4)
),
forwarding as (
    select distinct event_id
    from parameters
    where record_type = 1 and lower(operation) = 'set-mailbox' and lower(name) in ('forwardingaddress', 'forwardingsmtpaddress')
        and lower(value) not in ('', '$null', 'null')
),
found as (
    select e.event_id, e.tenant, e.time, e.actor as account, e.ip,
        case when e.session <> '00000000-0000-0000-0000-000000000000' then nullif(e.session, '') end as session,
        k.stage, e.operation, e.access_type, e.throttled, e.count
    from events e
    join kinds k on k.operation = lower(e.operation)
    where e.record_type in (1, 2, 3, 9, 15, 50) and e.actor is not null and e.actor_kind <> 'service' and coalesce(e.outcome, '') <> 'failure'
        and (k.operation <> 'set-mailbox' or e.event_id in (select event_id from forwarding))
),
question as (select coalesce("user", '') <> '' as of_one from asked),
acts as (  -- without a user that is asked for: those who made a rule or forward mail
    select f.*
    from found f
    cross join question q
    where q.of_one or exists (select 1 from found r where r.stage = 3 and r.tenant = f.tenant and r.account = f.account)
),
places as (
    select acts.*, coalesce(ip, session, event_id) as place from acts
),
paused as (
    select places.*,
        case when time - lag(time) over (partition by tenant, account, place order by time, event_id) <= interval '12 hours' then 0 else 1
        end as begins
    from places
),
visits as (
    select paused.*, sum(begins) over (partition by tenant, account, place order by time, event_id rows unbounded preceding) as visit
    from paused
),
sessions as (  -- those that join stages
    select tenant, account, session
    from acts
    where session is not null
    group by tenant, account, session
    having count(distinct stage) > 1
),
chains as (
    select v.tenant, v.account, v.place, v.visit, min(v.time) as begun, count(distinct v.stage) as stages,
        case when max(v.ip) is not null then 'address ' || max(v.ip) when max(v.session) is not null then 'session ' || max(v.session)
            else 'no address, no session' end as chain
    from visits v
    group by v.tenant, v.account, v.place, v.visit
    having max(case when v.stage = 3 then 1 else 0 end) = 1
        or (count(distinct v.stage) > 1 and (select of_one from question))
),
shared as (
    select distinct v.tenant, v.account, v.place, v.visit, v.session
    from visits v
    join chains c on c.tenant = v.tenant and c.account = v.account and c.place = v.place and c.visit = v.visit
    join sessions s on s.tenant = v.tenant and s.account = v.account and s.session = v.session
),
members as (
    select v.tenant, v.account, v.place, v.visit, v.stage, v.event_id,
        case when s.session is not null then 'session' when c.stages > 1 then 'same address' else 'nothing' end as joined_by
    from visits v
    join chains c on c.tenant = v.tenant and c.account = v.account and c.place = v.place and c.visit = v.visit
    left join sessions s on s.tenant = v.tenant and s.account = v.account and s.session = v.session
    union  -- an act at the same place in the same session comes by both ways
    select s.tenant, s.account, s.place, s.visit, a.stage, a.event_id, 'session'
    from shared s
    join acts a on a.tenant = s.tenant and a.account = s.account and a.session = s.session
),
told as (
    select tenant, account, place, visit, stage, event_id, joined_by from members
    union all
    select c.tenant, c.account, c.place, c.visit, s.stage, null, 'missing'
    from chains c
    cross join stages s
    where not exists (
        select 1 from members m
        where m.tenant = c.tenant and m.account = c.account and m.place = c.place and m.visit = c.visit and m.stage = s.stage
    )
),
words as (  -- wide columns
    select event_id, sentence, owner
    from events
    where record_type in (1, 2, 3, 50) and event_id in (select event_id from told)
),
summed as (
    select t.tenant, t.account, t.place, t.visit, t.stage, t.joined_by,
        case when a.access_type is not null then a.operation || ' (' || a.access_type || ')' else a.operation end as act,
        min(a.time) as first_time, max(a.time) as last_time, cast(sum(coalesce(a.count, 1)) as bigint) as acts, count(a.event_id) as records,
        string_agg(distinct w.owner, ', ' order by w.owner) as mailbox,
        string_agg(distinct case when t.stage = 3 then w.sentence end, '; ' order by case when t.stage = 3 then w.sentence end) as what,
        string_agg(distinct a.ip, ', ' order by a.ip) as ip,
        max(case when a.throttled then 1 else 0 end) as throttled,
        array_agg(t.event_id order by a.time, t.event_id) as event_ids
    from told t
    left join acts a on a.event_id = t.event_id
    left join words w on w.event_id = t.event_id
    group by t.tenant, t.account, t.place, t.visit, t.stage, t.joined_by,
        case when a.access_type is not null then a.operation || ' (' || a.access_type || ')' else a.operation end
)
select r.tenant, r.account, c.chain, c.begun, r.stage, s.name as stage_name, r.joined_by,
    coalesce(r.act, 'no record') as act, r.first_time, r.last_time, case when r.records > 0 then r.acts end as acts, r.mailbox, r.what, r.ip,
    case when r.throttled = 1 then 'reads are missing for 24 hours'
        when r.joined_by = 'missing' then 'no record in this period: it did not happen here, or is not recorded' end as coverage,
    case when r.records > 0 then r.event_ids else cast(array[] as text[]) end as event_ids
from summed r
join chains c on c.tenant = r.tenant and c.account = r.account and c.place = r.place and c.visit = r.visit
join stages s on s.stage = r.stage
order by c.begun, r.tenant, r.account, c.chain, r.place, r.visit, r.stage, r.first_time nulls last, act, r.joined_by
