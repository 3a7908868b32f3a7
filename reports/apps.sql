-- One row for each permission, secret or owner that an application got or lost. What an API is called proves nothing: its id does.
with
apis (app_id, name) as (
    values  -- ids that are the same in all tenants
        ('00000003-0000-0000-c000-000000000000', 'Microsoft Graph'),
        ('00000002-0000-0000-c000-000000000000', 'Azure AD Graph'),
        ('00000002-0000-0ff1-ce00-000000000000', 'Exchange Online'),
        ('00000003-0000-0ff1-ce00-000000000000', 'SharePoint Online'),
        ('c5393580-f805-4401-95e8-94b7a6ef2fc2', 'Office 365 Management APIs'),
        ('797f4846-ba00-4fd7-ba43-dac1f8f63013', 'Azure Service Management'),
        ('cfa8b339-82a2-471a-a3c9-0fc0be7a4093', 'Azure Key Vault'),
        ('e406a681-f3d4-42a8-90b6-c2b029497af1', 'Azure Storage')
),
kinds (operation, kind) as (
    values
        ('consent to application', 'consent'),
        ('add delegated permission grant', 'delegated'),
        ('remove delegated permission grant', 'delegated taken'),
        ('add app role assignment to service principal', 'application'),
        ('remove app role assignment from service principal', 'application taken'),
        ('add service principal credentials', 'secret'),
        ('remove service principal credentials', 'secret'),
        ('add owner to application', 'owner'),
        ('add owner to service principal', 'owner'),
        ('remove owner from application', 'owner taken'),
        ('remove owner from service principal', 'owner taken')
),
numbers (number) as (values (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15), (16), (17), (18), (19), (20)),
acts as (
    select e.event_id, e.tenant, e.time, e.actor, e.actor_kind, e.ip, e.object, e.target, e.outcome,
        coalesce(k.kind, 'secret') as kind
    from events e
    left join kinds k on k.operation = rtrim(lower(e.operation), '.')
    where e.record_type = 8  -- the last one is spelled with a dash of its own
        and (k.kind is not null or lower(e.operation) like 'update application%certificates and secrets management%')
),
named as (
    select event_id,
        max(case when name = 'ServicePrincipal.ObjectID' then lower(coalesce(new, old)) end) as principal_id,
        max(case when name in ('ServicePrincipal.DisplayName', 'Application.DisplayName') then coalesce(new, old) end) as app,
        max(case when name in ('ServicePrincipal.AppId', 'Application.AppId') then lower(coalesce(new, old)) end) as app_id,
        max(case when name = 'AppRole.Value' then coalesce(new, old) end) as app_role,
        max(case when name = 'AppRole.Id' then lower(coalesce(new, old)) end) as app_role_id,
        max(case when name = 'DelegatedPermissionGrant.Scope' then coalesce(new, old) end) as scope,
        max(case when name = 'DelegatedPermissionGrant.ConsentType' then coalesce(new, old) end) as consent_type,
        max(case when name = 'ConsentAction.Permissions' then coalesce(new, old) end) as permissions,
        max(case when name = 'ConsentContext.OnBehalfOfAll' then lower(new) end) as for_all,
        max(case when name = 'ConsentContext.IsAppOnly' then lower(new) end) as app_only,
        max(case when name in ('KeyDescription', 'Credential') then old end) as old_keys,
        max(case when name in ('KeyDescription', 'Credential') then new end) as new_keys
    from changes
    where record_type = 8 and event_id in (select event_id from acts)
    group by event_id
),
aims as (
    select event_id,
        max(case when type = '1' then id end) as name,
        max(case when type = '5' then lower(id) end) as address,
        max(case when type = '4' then lower(left(id, 36)) end) as app_id,
        max(case when id like 'ServicePrincipal_%' then lower(substring(id from 18)) end) as principal_id
    from targets
    where record_type = 8 and event_id in (select event_id from acts)
    group by event_id
),
principals as (  -- which application a principal of this tenant belongs to, as far as the period's records tell
    select tenant, principal_id, max(app_id) as app_id, max(name) as name
    from (
        select a.tenant, n.principal_id, n.app_id, n.app as name from acts a join named n on n.event_id = a.event_id
        union all
        select a.tenant, m.principal_id, m.app_id, m.name from acts a join aims m on m.event_id = a.event_id
    ) as told
    where principal_id is not null
    group by tenant, principal_id
),
entries as (  -- `[before] => [[Id: …, ConsentType: …, Scope: …], [Id: …]]`
    select n.event_id, x.number, split_part(n.permissions, '=>', 1) as before,
        split_part(split_part(split_part(n.permissions, '=>', 2), '[Id:', x.number + 1), ']', 1) as entry
    from named n
    cross join numbers x
    where n.permissions is not null
),
consents as (
    select event_id, number, entry from entries where entry <> '' and position(entry in before) = 0
),
rights as (
    select a.event_id, 1 as number, 'permission given' as act, 'delegated' as kind, trim(n.scope) as permission,
        n.consent_type, m.app_id as api_id, m.name as api, n.app, n.app_id, n.principal_id
    from acts a join named n on n.event_id = a.event_id left join aims m on m.event_id = a.event_id
    where a.kind = 'delegated'
    union all
    select a.event_id, 1, 'permission taken', 'delegated', trim(n.scope), n.consent_type, m.app_id, m.name, n.app, n.app_id, n.principal_id
    from acts a join named n on n.event_id = a.event_id left join aims m on m.event_id = a.event_id
    where a.kind = 'delegated taken'
    union all
    select a.event_id, 1, case when a.kind = 'application' then 'permission given' else 'permission taken' end, 'application',
        coalesce(n.app_role, n.app_role_id), null, m.app_id, m.name, n.app, n.app_id, n.principal_id
    from acts a left join named n on n.event_id = a.event_id left join aims m on m.event_id = a.event_id
    where a.kind in ('application', 'application taken')
    union all
    select a.event_id, coalesce(c.number, 0), 'consent given',
        case when n.app_only = 'true' then 'application' else 'delegated' end,
        nullif(trim(split_part(split_part(c.entry, 'Scope:', 2), ',', 1)), ''),
        case when n.for_all = 'true' then 'AllPrincipals' else nullif(trim(split_part(split_part(c.entry, 'ConsentType:', 2), ',', 1)), '') end,
        r.app_id, r.name, m.name, m.app_id, m.principal_id
    from acts a
    left join named n on n.event_id = a.event_id
    left join aims m on m.event_id = a.event_id
    left join consents c on c.event_id = a.event_id
    left join principals r on r.tenant = a.tenant and r.principal_id = lower(trim(split_part(split_part(c.entry, 'ResourceId:', 2), ',', 1)))
    where a.kind = 'consent'
    union all
    select a.event_id, 1,
        case when length(coalesce(n.new_keys, '')) - length(replace(coalesce(n.new_keys, ''), 'Key', ''))
                < length(coalesce(n.old_keys, '')) - length(replace(coalesce(n.old_keys, ''), 'Key', ''))
            then 'secret or certificate removed' else 'secret or certificate added' end,
        null, coalesce(n.new_keys, n.old_keys), null, null, null, m.name, m.app_id, m.principal_id
    from acts a left join named n on n.event_id = a.event_id left join aims m on m.event_id = a.event_id
    where a.kind = 'secret'
    union all
    select a.event_id, 1, case when a.kind = 'owner' then 'owner added' else 'owner removed' end, null,
        coalesce(a.target, m.address, m.name, lower(a.object)), null, null, null, n.app, n.app_id, n.principal_id
    from acts a left join named n on n.event_id = a.event_id left join aims m on m.event_id = a.event_id
    where a.kind in ('owner', 'owner taken')
),
known as (
    select r.event_id, r.number, r.act, r.kind, r.permission, r.consent_type,
        coalesce(r.app, p.name) as app, coalesce(r.app_id, p.app_id) as app_id, r.api_id, r.api as api_name, x.name as known_api
    from rights r
    join acts a on a.event_id = r.event_id
    left join principals p on p.tenant = a.tenant and p.principal_id = r.principal_id
    left join apis x on x.app_id = r.api_id
)
select a.tenant, a.time, k.act, k.app, k.app_id, coalesce(k.known_api, k.api_name) as api,
    case when k.known_api is not null then 'yes' when k.kind is not null then 'no' end as verified,
    k.kind, k.permission,
    case when k.kind = 'delegated' and k.consent_type = 'AllPrincipals' then 'all users, each within their own rights'
        when k.kind = 'delegated' and k.consent_type = 'Principal' then 'one user, within their own rights'
        when k.kind = 'delegated' then 'unknown'
        when k.kind = 'application' and k.known_api in ('Microsoft Graph', 'Exchange Online')
            and (lower(k.permission) like 'mail%' or lower(k.permission) like 'full_access_as_app%' or lower(k.permission) like 'exchange.manageasapp%')
            then 'every mailbox'
        when k.kind = 'application' and k.known_api in ('Microsoft Graph', 'SharePoint Online')
            and (lower(k.permission) like 'files.%.all' or lower(k.permission) like 'sites.%.all')
            then 'every site'
        when k.kind = 'application' then 'the whole organisation'
    end as reach,
    a.actor, a.ip,
    nullif(concat_ws(', ',
        case when exists (select 1 from own o where o.kind = 'app' and o.value = k.app_id) then 'own application' end,
        case when a.actor_kind = 'partner' then 'by staff of a partner' end,
        case when a.actor_kind in ('app', 'service') then 'by an application or service' end
    ), '') as note,
    array_agg(a.event_id order by a.time, a.event_id) as event_ids,
    case when coalesce(a.outcome, '') = 'failure' then 'refused by the directory' end as excluded
from known k
join acts a on a.event_id = k.event_id
group by a.tenant, a.event_id, a.time, k.number, k.act, k.app, k.app_id, k.known_api, k.api_name, k.kind, k.permission, k.consent_type, a.actor,
    a.ip, a.actor_kind, a.outcome
order by a.time desc, a.event_id, k.number, k.act
