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
        k.stage, e.owner, e.throttled, e.count,
        case when e.access_type is not null then e.operation || ' (' || e.access_type || ')' else e.operation end as act
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
    select acts.*, coalesce(ip, session, event_id) as place, floor(extract(epoch from time) / 3600) as hour from acts
),
hours as (  -- what is looked at for pauses: few rows, however many acts
    select tenant, account, place, hour, stage, min(time) as first_time, max(time) as last_time, max(ip) as ip, max(session) as session
    from places
    group by tenant, account, place, hour, stage
),
paused as (
    select tenant, account, place, hour,
        case
            when min(first_time) - lag(max(last_time)) over (partition by tenant, account, place order by hour) <= interval '12 hours' then 0
            else 1
        end as begins
    from hours
    group by tenant, account, place, hour
),
spans as (
    select tenant, account, place, hour, sum(begins) over (partition by tenant, account, place order by hour rows unbounded preceding) as visit
    from paused
),
sessions as (  -- those that join stages
    select tenant, account, session
    from acts
    where session is not null
    group by tenant, account, session
    having min(stage) < max(stage)
),
chains as (  -- numbered, as the rest would compare long texts otherwise
    select h.tenant, h.account, h.place, s.visit, min(h.first_time) as begun, count(distinct h.stage) as stages,
        case when max(h.ip) is not null then 'address ' || max(h.ip) when max(h.session) is not null then 'session ' || max(h.session)
            else 'no address, no session' end as chain,
        row_number() over (order by min(h.first_time), h.tenant, h.account, h.place, s.visit) as number
    from hours h
    join spans s on s.tenant = h.tenant and s.account = h.account and s.place = h.place and s.hour = h.hour
    group by h.tenant, h.account, h.place, s.visit
    having max(case when h.stage = 3 then 1 else 0 end) = 1
        or (count(distinct h.stage) > 1 and (select of_one from question))
),
chain_hours as (
    select s.tenant, s.account, s.place, s.hour, c.number, c.stages
    from spans s
    join chains c on c.tenant = s.tenant and c.account = s.account and c.place = s.place and c.visit = s.visit
),
visits as (
    select c.number, p.stage, p.event_id, p.time, p.ip, p.act, p.owner, p.throttled, p.count,
        case when s.session is not null then 'session' when c.stages > 1 then 'same address' else 'nothing' end as joined_by,
        p.tenant, p.account, s.session
    from places p
    join chain_hours c on c.tenant = p.tenant and c.account = p.account and c.place = p.place and c.hour = p.hour
    left join sessions s on s.tenant = p.tenant and s.account = p.account and s.session = p.session
),
shared as (
    select distinct number, tenant, account, session from visits where session is not null
),
members as (
    select number, stage, event_id, time, ip, act, owner, throttled, count, joined_by from visits
    union all
    select s.number, p.stage, p.event_id, p.time, p.ip, p.act, p.owner, p.throttled, p.count, 'session'
    from shared s
    join places p on p.tenant = s.tenant and p.account = s.account and p.session = s.session
    left join chain_hours c on c.tenant = p.tenant and c.account = p.account and c.place = p.place and c.hour = p.hour
    where c.number is distinct from s.number
),
words as (  -- a wide column, of few events
    select event_id, sentence
    from events
    where record_type in (1, 2) and event_id in (select event_id from members where stage = 3)
),
summed as (
    select m.number, m.stage, m.joined_by, m.act,
        min(m.time) as first_time, max(m.time) as last_time, cast(sum(coalesce(m.count, 1)) as bigint) as acts,
        string_agg(distinct m.owner, ', ' order by m.owner) as mailbox,
        string_agg(distinct w.sentence, '; ' order by w.sentence) as what,
        string_agg(distinct m.ip, ', ' order by m.ip) as ip,
        max(case when m.throttled then 1 else 0 end) as throttled,
        array_agg(m.event_id order by m.time, m.event_id) as event_ids
    from members m
    left join words w on m.stage = 3 and w.event_id = m.event_id
    group by m.number, m.stage, m.joined_by, m.act
),
told as (
    select number, stage, joined_by, act, first_time, last_time, acts, mailbox, what, ip, throttled, event_ids
    from summed
    union all
    select c.number, s.stage, 'missing', 'no record', null, null, null, null, null, null, 0, cast(array[] as text[])
    from chains c
    cross join stages s
    where not exists (select 1 from summed m where m.number = c.number and m.stage = s.stage)
)
select c.tenant, c.account, c.chain, c.begun, t.stage, s.name as stage_name, t.joined_by, t.act, t.first_time, t.last_time, t.acts,
    t.mailbox, t.what, t.ip,
    case when t.throttled = 1 then 'reads are missing for 24 hours'
        when t.joined_by = 'missing' then 'no record in this period: it did not happen here, or is not recorded' end as coverage,
    t.event_ids
from told t
join chains c on c.number = t.number
join stages s on s.stage = t.stage
order by c.number, t.stage, t.first_time nulls last, t.act, t.joined_by
