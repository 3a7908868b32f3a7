-- One row for each setting that was weakened, on one object, until it was set back. A cmdlet's record holds the new value only: the
-- old one is what the period's records said before.
with
settings (operation, parameter, setting, test) as (
    values
        ('set-mailboxauditbypassassociation', 'auditbypassenabled', 'Audit bypass of an account', 'true'),
        ('set-organizationconfig', 'auditdisabled', 'Mailbox auditing of the organisation', 'true'),
        ('set-adminauditlogconfig', 'unifiedauditlogingestionenabled', 'Unified audit log', 'false'),
        ('set-adminauditlogconfig', 'adminauditlogenabled', 'Log of administrators'' cmdlets', 'false'),
        ('set-adminauditlogconfig', 'adminauditlogagelimit', 'Age limit of the log of cmdlets', 'days'),
        ('set-adminauditlogconfig', 'adminauditlogcmdlets', 'Cmdlets that are logged', 'narrower'),
        ('set-adminauditlogconfig', 'adminauditlogparameters', 'Parameters that are logged', 'narrower'),
        ('set-adminauditlogconfig', 'adminauditlogexcludedcmdlets', 'Cmdlets that are not logged', 'any'),
        ('set-mailbox', 'auditenabled', 'Auditing of a mailbox', 'false'),
        ('set-mailbox', 'auditlogagelimit', 'Age limit of a mailbox''s log', 'days'),
        ('set-mailbox', 'auditowner', 'Audited acts of owners', 'list'),
        ('set-mailbox', 'auditdelegate', 'Audited acts of delegates', 'list'),
        ('set-mailbox', 'auditadmin', 'Audited acts of administrators', 'list'),
        ('set-unifiedauditlogretentionpolicy', 'retentionduration', 'Retention of the unified audit log', 'retention'),
        ('new-unifiedauditlogretentionpolicy', 'retentionduration', 'Retention of the unified audit log', 'retention'),
        ('set-unifiedauditlogretentionpolicy', 'enabled', 'Retention policy of the unified audit log', 'false')
),
acts as (
    select event_id, tenant, time, lower(operation) as operation, coalesce(actor, 'unknown') as actor, actor_kind, ip, object, outcome
    from events
    where record_type in (1, 18, 296) and lower(operation) in (
        select operation from settings
        union all
        select 'remove-unifiedauditlogretentionpolicy'
    )
),
given as (
    select event_id, lower(name) as name, value
    from parameters
    where record_type in (1, 18, 296) and event_id in (select event_id from acts)
),
objects as (
    select a.event_id, coalesce(max(case when g.name = 'identity' then g.value end), max(a.object)) as object
    from acts a
    left join given g on g.event_id = a.event_id
    group by a.event_id
),
cmdlets as (
    select a.event_id, a.tenant, a.time, a.actor, a.actor_kind, a.ip, a.outcome, s.setting, o.object, cast(null as text) as old, g.value as new,
        case s.test
            when 'true' then lower(g.value) in ('true', '$true', '1')
            when 'false' then lower(g.value) in ('false', '$false', '0')
            when 'any' then lower(g.value) not in ('', '$null', 'null', '{}', '[]')
            when 'narrower' then trim(g.value) <> '*'
            when 'retention' then lower(g.value) in ('sevendays', 'onemonth', 'threemonths', 'sixmonths', 'ninemonths')
            when 'list' then not (lower(g.value) like '%add%' and lower(g.value) not like '%remove%')  -- a plain list replaces
            when 'days' then case
                when position('.' in g.value) > 0 and translate(split_part(g.value, '.', 1), '0123456789', '') = ''
                    and length(split_part(g.value, '.', 1)) between 1 and 9
                    then cast(split_part(g.value, '.', 1) as integer) < 90
                when position(':' in g.value) = 0 and translate(g.value, '0123456789', '') = '' and length(g.value) between 1 and 9
                    then cast(g.value as integer) < 90
                else position(':' in g.value) > 0  -- hours at most
            end
        end as is_weaker
    from acts a
    join settings s on s.operation = a.operation
    join given g on g.event_id = a.event_id and g.name = s.parameter
    join objects o on o.event_id = a.event_id
    union all
    select a.event_id, a.tenant, a.time, a.actor, a.actor_kind, a.ip, a.outcome, 'Retention policy of the unified audit log', o.object, null,
        'removed', true
    from acts a
    join objects o on o.event_id = a.event_id
    where a.operation = 'remove-unifiedauditlogretentionpolicy'
),
licences as (
    select e.event_id, e.tenant, e.time, coalesce(e.actor, 'unknown') as actor, e.actor_kind, e.ip, e.outcome,
        'Audit (Premium) of a user''s licence' as setting, coalesce(e.target, e.object) as object,
        case when max(c.was_off) = 1 then 'off' else 'on' end as old,
        case when max(c.is_off) = 1 then 'off' else 'on' end as new,
        max(c.is_off) = 1 as is_weaker
    from events e
    join (
        select event_id,  -- old and new name what is switched off of the licence
            case when position('M365_ADVANCED_AUDITING' in coalesce(old, '')) > 0 then 1 else 0 end as was_off,
            case when position('M365_ADVANCED_AUDITING' in coalesce(new, '')) > 0 then 1 else 0 end as is_off
        from changes
        where record_type = 8 and name = 'AssignedLicense'
    ) c on c.event_id = e.event_id and c.was_off <> c.is_off
    where e.record_type = 8
    group by e.event_id, e.tenant, e.time, e.actor, e.actor_kind, e.ip, e.outcome, e.target, e.object
),
steps as (
    select told.*, lower(coalesce(object, '')) as object_key, coalesce(outcome, '') = 'failure' as failed
    from (select * from cmdlets union all select * from licences) as told
    where is_weaker is not null
),
known as (
    select steps.*,
        coalesce(old, lag(case when not failed then new end) over (partition by tenant, setting, object_key order by time, event_id)) as was,
        sum(case when not is_weaker and not failed then 1 else 0 end)
            over (partition by tenant, setting, object_key order by time, event_id rows unbounded preceding) as spell
    from steps
),
restored as (
    select tenant, setting, object_key, spell, min(time) as time, min(actor) as actor, min(event_id) as event_id
    from known
    where not is_weaker and not failed
    group by tenant, setting, object_key, spell
),
weakened as (
    select k.tenant, k.setting, k.object_key, k.spell, k.failed, k.actor_kind = 'service' as by_service,
        max(k.object) as object, min(k.time) as time, count(*) as times,
        string_agg(distinct k.actor, ', ' order by k.actor) as actor,
        string_agg(distinct k.ip, ', ' order by k.ip) as ip,
        string_agg(distinct k.new, ', ' order by k.new) as new,
        min(case when k.is_first then k.was end) as old,
        array_agg(k.event_id order by k.time, k.event_id) as event_ids
    from (
        select known.*,
            row_number() over (partition by tenant, setting, object_key, spell, failed, actor_kind = 'service' order by time, event_id) = 1
                as is_first
        from known
        where is_weaker
    ) k
    group by k.tenant, k.setting, k.object_key, k.spell, k.failed, k.actor_kind = 'service'
),
exported as (  -- what an export says of it, where one is given
    select spelling, max(case when audited then 1 when not audited then 0 end) as audited,
        max(case when passed_over then 1 when not passed_over then 0 end) as passed_over
    from mailboxes
    group by spelling
)
select w.tenant, w.setting, w.object, w.old, w.new, w.actor, w.time, w.times, w.ip,
    case when w.failed then 'was refused' when r.time is not null then 'no' else 'yes, as far as the records tell' end as still_so,
    case w.setting
        when 'Auditing of a mailbox' then case x.audited when 1 then 'on' when 0 then 'off' end
        when 'Audit bypass of an account' then case x.passed_over when 1 then 'bypassed' when 0 then 'recorded' end
    end as exported,
    case when not w.failed then r.time end as restored,
    case when not w.failed then r.actor end as restored_by,
    w.event_ids,
    case when coalesce(w.by_service, false) then 'done by a service of Microsoft' end as excluded
from weakened w
left join exported x on x.spelling = w.object_key
left join restored r on r.tenant = w.tenant and r.setting = w.setting and r.object_key = w.object_key and r.spell = w.spell + 1
order by w.time desc, w.tenant, w.setting, w.object_key, w.failed, w.spell, w.by_service nulls last
