-- One row for each member, role and way of holding it. Roles are known by their template id: names are in the language of the admin.
with
privileged (template_id, name) as (
    values  -- those that Microsoft labels as privileged, and those that reach all mail, files or chats
        ('62e90394-69f5-4237-9190-012177145e10', 'Global Administrator'),
        ('e8611ab8-c189-46e8-94e1-60213ab1f814', 'Privileged Role Administrator'),
        ('7be44c8a-adaf-4e2a-84d6-ab2649e08a13', 'Privileged Authentication Administrator'),
        ('9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3', 'Application Administrator'),
        ('cf1c38e5-3621-4004-a7cb-879624dced7c', 'Application Developer'),
        ('ecb2c6bf-0ab6-418e-bd87-7986f8d63bbe', 'Attribute Provisioning Administrator'),
        ('422218e4-db15-4ef9-bbe0-8afb41546d79', 'Attribute Provisioning Reader'),
        ('c4e39bd9-1100-46d3-8c65-fb160da0071f', 'Authentication Administrator'),
        ('25a516ed-2fa0-40ea-a2d0-12923a21473a', 'Authentication Extensibility Administrator'),
        ('aaf43236-0c0d-4d5f-883a-6955382ac081', 'B2C IEF Keyset Administrator'),
        ('158c047a-c907-4556-b7ef-446551a6b5f7', 'Cloud Application Administrator'),
        ('7698a772-787b-4ac8-901f-60d6b08affd2', 'Cloud Device Administrator'),
        ('b1be1c3e-b65d-4f19-8427-f6fa0d97feb9', 'Conditional Access Administrator'),
        ('db506228-d27e-4b7d-95e5-295956d6615f', 'Agent ID Administrator'),
        ('d29b2b05-8046-44ba-8758-1e26182fcf32', 'Directory Synchronization Accounts'),
        ('9360feb5-f418-4baa-8175-e2a00bac4301', 'Directory Writers'),
        ('8329153b-31d0-4727-b945-745eb3bc5f31', 'Domain Name Administrator'),
        ('be2f45a1-457d-42af-a067-6ec1fa63bc45', 'External Identity Provider Administrator'),
        ('f2ef992c-3afb-46b9-b7cf-a126ee74c451', 'Global Reader'),
        ('729827e3-9c14-49f7-bb1b-9608f156bbb8', 'Helpdesk Administrator'),
        ('8ac3fc64-6eca-42ea-9e69-59f4c7b60eb2', 'Hybrid Identity Administrator'),
        ('3a2c62db-5318-420d-8d74-23affee5d9d5', 'Intune Administrator'),
        ('59d46f88-662b-457b-bceb-5c3809e5908f', 'Lifecycle Workflows Administrator'),
        ('4ba39ca4-527c-499a-b93d-d9b492c50246', 'Partner Tier1 Support'),
        ('e00e864a-17c5-4a4b-9c06-f5b95a8d5bd8', 'Partner Tier2 Support'),
        ('966707d0-3269-4727-9be2-8c3a10f19b9d', 'Password Administrator'),
        ('194ae4cb-b126-40b2-bd5b-6091b380977d', 'Security Administrator'),
        ('5f2222b1-57c3-48ba-8ad5-d4759f1fde6f', 'Security Operator'),
        ('5d6b6bb7-de71-4623-b4af-96380a352509', 'Security Reader'),
        ('fe930be7-5e62-47db-91af-98c3a49a38b1', 'User Administrator'),
        ('29232cdf-9323-42fd-ade2-1d097af3e4de', 'Exchange Administrator'),
        ('f28a1f50-f6e7-4571-818b-6a12f2af6b6c', 'SharePoint Administrator'),
        ('69091246-20e8-4a56-aa4d-066075b2a7a8', 'Teams Administrator'),
        ('17315797-102d-40b4-93e0-432062caca18', 'Compliance Administrator')
),
kinds (operation, gives, held, by_pim) as (
    values  -- what PIM only requests is missing: it gives nothing
        ('add member to role', true, 'active', false),
        ('add scoped member to role', true, 'active, within a scope', false),
        ('add eligible member to role', true, 'eligible', false),
        ('remove member from role', false, 'active', false),
        ('remove scoped member from role', false, 'active, within a scope', false),
        ('remove eligible member from role', false, 'eligible', false),
        ('add member to role in pim completed (permanent)', true, 'active', true),
        ('add member to role in pim completed (timebound)', true, 'active, for a time', true),
        ('add eligible member to role in pim completed (permanent)', true, 'eligible', true),
        ('add eligible member to role in pim completed (timebound)', true, 'eligible', true),
        ('remove member from role in pim completed (permanent)', false, 'active', true),
        ('remove member from role in pim completed (timebound)', false, 'active, for a time', true),
        ('remove eligible member from role in pim completed (permanent)', false, 'eligible', true),
        ('remove eligible member from role in pim completed (timebound)', false, 'eligible', true),
        ('add member to role completed (pim activation)', true, 'activated in PIM', true),
        ('remove member from role completed (pim deactivate)', false, 'activated in PIM', true),
        ('remove member from role (pim activation expired)', false, 'activated in PIM', true)
),
group_kinds (operation, gives) as (
    values ('add member to group', true), ('add owner to group', true), ('remove member from group', false), ('remove owner from group', false)
),
acts as (
    select e.event_id, e.tenant, e.time, e.actor, e.actor_kind, e.ip, e.target, e.object, e.outcome,
        k.gives, k.held, k.by_pim
    from events e
    join kinds k on k.operation = rtrim(lower(e.operation), '.')
    where e.record_type = 8
),
named as (  -- of Entra's own records the changes name the role, of PIM's the changes or the details beside them
    select event_id, max(template_id) as template_id, max(display_name) as display_name
    from (
        select event_id,
            case when name in ('Role.TemplateId', 'RoleDefinitionOriginId', 'TemplateId') then lower(coalesce(new, old)) end as template_id,
            case when name = 'Role.DisplayName' then coalesce(new, old) end as display_name
        from changes
        where record_type = 8 and event_id in (select event_id from acts)
        union all
        select event_id,
            nullif(left(split_part(replace(lower(value), ' ', ''), '"templateid":"', 2), 36), ''),
            null
        from parameters
        where record_type = 8 and name = 'additionalDetails' and event_id in (select event_id from acts)
    ) as told
    group by event_id
),
members as (
    select event_id,
        max(case when type = '5' then lower(id) end) as address,
        max(case when type = '1' then id end) as name,
        max(case when id like 'Group_%' then lower(substring(id from 7)) end) as group_id
    from targets
    where record_type = 8 and event_id in (select event_id from acts)
    group by event_id
),
told as (
    select a.event_id, a.tenant, a.time, a.actor, a.actor_kind, a.ip, a.gives, a.held, a.by_pim,
        coalesce(a.outcome, '') = 'failure' as failed,
        a.actor_kind in ('app', 'service') or coalesce(a.actor, '') = 'ms-pim' as by_application,
        coalesce(a.target, m.address, lower(m.name), lower(a.object), 'unknown') as member,
        m.group_id, n.template_id, coalesce(p.name, n.display_name, case when a.by_pim then m.name end, n.template_id, 'unknown') as role,
        p.template_id is not null as is_privileged
    from acts a
    left join named n on n.event_id = a.event_id
    left join members m on m.event_id = a.event_id
    left join privileged p on p.template_id = n.template_id
),
ordered as (  -- PIM's own record of an act names who did it; the directory's record of the same act names PIM
    select t.event_id,
        coalesce(min(case when o.held = t.held then o.held end), min(o.held)) as held,
        min(o.actor) as actor,
        min(o.ip) as ip
    from told t
    join told o on o.tenant = t.tenant and o.member = t.member and o.template_id = t.template_id and o.gives = t.gives
        and o.by_pim and not o.failed
        and o.time between t.time - interval '10 minutes' and t.time + interval '10 minutes'
    where t.by_application and not t.by_pim
    group by t.event_id
),
role_groups as (  -- groups that got a role within the period: who joins one gets it, too
    select distinct tenant, group_id, role, template_id, is_privileged
    from told
    where group_id is not null and gives and not failed
),
joined as (
    select e.event_id, e.tenant, e.time, e.actor, e.actor_kind, e.ip, k.gives, coalesce(e.outcome, '') = 'failure' as failed,
        coalesce(e.target, lower(e.object), 'unknown') as member, c.group_name, r.group_id, r.role, r.template_id, r.is_privileged
    from events e
    join group_kinds k on k.operation = rtrim(lower(e.operation), '.')
    join (
        select event_id, max(case when name = 'Group.ObjectID' then lower(coalesce(new, old)) end) as group_id,
            max(case when name = 'Group.DisplayName' then coalesce(new, old) end) as group_name
        from changes
        where record_type = 8 and operation like '%group%'
        group by event_id
    ) c on c.event_id = e.event_id
    join role_groups r on r.tenant = e.tenant and r.group_id = c.group_id
    where e.record_type = 8
),
all_acts as (
    select t.event_id, t.tenant, t.time, coalesce(o.actor, t.actor) as actor,
        case when o.event_id is null then t.actor_kind end as actor_kind,
        coalesce(o.ip, t.ip) as ip, t.gives, coalesce(o.held, t.held) as held, t.failed, t.member, t.role, t.template_id, t.is_privileged,
        o.event_id is not null as is_told_twice
    from told t
    left join ordered o on o.event_id = t.event_id
    union all
    select j.event_id, j.tenant, j.time, j.actor, j.actor_kind, j.ip, j.gives, 'by the group ' || coalesce(j.group_name, j.group_id), j.failed,
        j.member, j.role, j.template_id, j.is_privileged, false
    from joined j
),
held as (
    select tenant, member, role, template_id, is_privileged, held, failed,
        min(time) as first_time,
        min(case when gives then time end) as given,
        max(case when gives then time end) as last_given,
        count(case when gives and not is_told_twice then 1 end) as times,
        string_agg(distinct case when gives then actor end, ', ' order by case when gives then actor end) as given_by,
        max(case when not gives then time end) as last_taken,
        string_agg(distinct case when not gives then actor end, ', ' order by case when not gives then actor end) as taken_by,
        string_agg(distinct ip, ', ' order by ip) as ips,
        max(case when gives and actor = member then 1 else 0 end) as by_oneself,
        max(case when actor_kind = 'partner' then 1 else 0 end) as by_partner,
        array_agg(event_id order by time, event_id) as event_ids
    from all_acts
    group by tenant, member, role, template_id, is_privileged, held, failed
)
select h.tenant, h.role, h.template_id,
    case when h.is_privileged then 'yes' when h.template_id is null then 'unknown' else 'no' end as privileged,
    h.member, h.held, h.given, h.times, h.given_by,
    case when h.last_given is null or h.last_taken >= h.last_given then h.last_taken end as taken,
    case when h.last_given is null or h.last_taken >= h.last_given then h.taken_by end as taken_by,
    h.ips as ip,
    nullif(concat_ws(', ',
        case when h.by_oneself = 1 and h.held <> 'activated in PIM' then 'given to oneself' end,
        case when h.by_partner = 1 then 'by staff of a partner' end,
        case when exists (select 1 from own o where o.kind = 'break_glass' and o.value = h.member) then 'break-glass account' end,
        case when exists (select 1 from own o where o.kind = 'admin' and o.value = h.member) then 'known administrator' end
    ), '') as note,
    h.event_ids,
    case when h.failed then 'refused by the directory' end as excluded
from held h
order by h.is_privileged desc, h.first_time desc, h.tenant, h.role, h.member, h.held, h.failed, h.template_id nulls last
