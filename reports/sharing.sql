-- One row for each item, kind of sharing and recipient outside. Links for the own organisation, and sharing among members, are none.
with
kinds (operation, kind, step) as (
    values
        ('AnonymousLinkCreated', 'link for anyone', 'given'),
        ('AnonymousLinkUpdated', 'link for anyone', 'given'),
        ('AnonymousLinkUsed', 'link for anyone', 'used'),
        ('AnonymousLinkRemoved', 'link for anyone', 'ended'),
        ('SharingInvitationCreated', 'invitation', 'given'),
        ('SharingInvitationUpdated', 'invitation', 'given'),
        ('SharingInvitationAccepted', 'invitation', 'used'),
        ('SharingInvitationRevoked', 'invitation', 'ended'),
        ('AddedToSecureLink', 'link for certain people', 'given'),
        ('SecureLinkUsed', 'link for certain people', 'used'),
        ('RemovedFromSecureLink', 'link for certain people', 'ended'),
        ('SharingSet', 'direct', 'given'),
        ('SharingRevoked', 'direct', 'ended'),
        ('AddedToGroup', 'group of the site', 'given'),
        ('RemovedFromGroup', 'group of the site', 'ended')
),
acts as (
    select e.event_id, e.tenant, e.time, e.actor, e.ip, e.target, lower(coalesce(e.object, e.site, '')) as item_key,
        coalesce(e.object, e.site) as item, e.user_type, k.kind, k.step
    from events e
    join kinds k on k.operation = e.operation
    where e.record_type in (4, 6, 14) and coalesce(e.outcome, '') <> 'failure'
),
named as (
    select event_id,
        max(case when name = 'TargetUserOrGroupType' then lower(value) end) as target_type,
        max(case when name = 'TargetUserOrGroupName' then lower(value) end) as target_name,
        max(case when name = 'UserId' then 1 else 0 end) as by_guest,
        max(case when name = 'ItemType' then lower(value) end) as item_type,
        max(case when name = 'EventData' then value end) as event_data
    from parameters
    where record_type in (4, 6, 14) and event_id in (select event_id from acts)
    group by event_id
),
told as (
    select a.event_id, a.tenant, a.time, a.actor, a.ip, a.item, a.item_key, a.step, n.item_type,
        case when a.kind = 'direct' and n.target_name like 'sharinglinks.%.anonymous%' then 'link for anyone'
            when a.kind = 'direct' and n.target_name like 'sharinglinks.%.organization%' then 'link for the organisation'
            else a.kind end as kind,
        case when a.step = 'used' and a.kind <> 'link for anyone' then a.actor else a.target end as recipient,
        coalesce(n.target_type, '') as target_type,
        coalesce(n.target_name, '') like '%#ext#%' or coalesce(n.target_name, '') like '%urn:spo:guest#%' as is_marked,
        coalesce(n.by_guest, 0) = 1 or coalesce(a.user_type, 0) = 10 as by_guest,
        nullif(trim(coalesce(
            nullif(split_part(split_part(n.event_data, '<Type>', 2), '</Type>', 1), ''),
            nullif(split_part(split_part(n.event_data, '<Permissions granted>', 2), '</Permissions granted>', 1), ''),
            nullif(split_part(split_part(n.event_data, '<Group>', 2), '</Group>', 1), '')
        )), '') as granted,
        nullif(trim(coalesce(
            nullif(split_part(split_part(n.event_data, '<ExpirationDate>', 2), '</ExpirationDate>', 1), ''),
            nullif(split_part(split_part(n.event_data, '<Expiration>', 2), '</Expiration>', 1), '')
        )), '') as expiry
    from acts a
    left join named n on n.event_id = a.event_id
),
outside as (
    select t.event_id, t.tenant, t.time, t.actor, t.ip, t.item, t.item_key, t.step, t.kind, t.granted, t.expiry, t.item_type,
        case when t.kind = 'link for anyone' then 'anyone' else t.recipient end as recipient
    from told t
    where t.kind = 'link for anyone'
        or (
            t.recipient is not null
            and position('@' in t.recipient) > 0
            and not exists (select 1 from own o where o.kind = 'domain' and o.value = split_part(t.recipient, '@', -1))
            and (
                t.target_type = 'guest'
                or t.is_marked
                or (t.step = 'used' and t.by_guest)
                or exists (select 1 from own o where o.kind = 'domain')  -- where the own ones are known, all others are outside
            )
        )
),
shares as (
    select tenant, item_key, kind, recipient, max(item) as item,
        max(item_type) as item_type,
        string_agg(distinct case when step = 'given' then actor end, ', ' order by case when step = 'given' then actor end) as shared_by,
        string_agg(distinct granted, ', ' order by granted) as granted,
        max(expiry) as expiry,
        min(case when step = 'given' then time end) as given,
        max(case when step = 'given' then time end) as last_given,
        max(case when step = 'ended' then time end) as ended
    from outside
    group by tenant, item_key, kind, recipient
),
uses as (  -- a link's own record of its use, and what the guest did with the file itself
    select tenant, item_key, kind, recipient, event_id, time, ip
    from outside
    where step = 'used'
    union all
    select e.tenant, s.item_key, s.kind, s.recipient, e.event_id, e.time, e.ip
    from shares s
    join events e on e.tenant = s.tenant and e.actor = s.recipient and lower(e.object) = s.item_key
    where e.record_type = 6 and e.operation in ('FileAccessed', 'FilePreviewed', 'FileDownloaded', 'FileModified', 'FileUploaded')
        and e.time >= s.given
    union all
    select o.tenant, s.item_key, s.kind, s.recipient, o.event_id, o.time, o.ip
    from shares s
    join outside o on o.tenant = s.tenant and o.kind = s.kind and o.recipient = s.recipient and o.step = 'used' and o.item_key <> s.item_key
        and position(s.item_key || '/' in o.item_key) = 1
    where s.item_type = 'folder' and o.time >= s.given
),
used as (
    select tenant, item_key, kind, recipient, count(distinct event_id) as uses, min(time) as first_used, max(time) as last_used,
        string_agg(distinct ip, ', ' order by ip) as ips
    from uses
    group by tenant, item_key, kind, recipient
),
all_ids as (
    select tenant, item_key, kind, recipient, array_agg(event_id order by time, event_id) as event_ids
    from (
        select tenant, item_key, kind, recipient, event_id, time from outside
        union
        select tenant, item_key, kind, recipient, event_id, time from uses
    ) as named_events
    group by tenant, item_key, kind, recipient
)
select s.tenant, s.item, s.kind, s.recipient, s.granted, s.shared_by, s.given, s.expiry,
    case when s.last_given is null or s.ended >= s.last_given then s.ended end as ended,
    coalesce(u.uses, 0) as uses, u.first_used, u.last_used, u.ips as used_from,
    i.event_ids
from shares s
left join used u on u.tenant = s.tenant and u.item_key = s.item_key and u.kind = s.kind and u.recipient = s.recipient
join all_ids i on i.tenant = s.tenant and i.item_key = s.item_key and i.kind = s.kind and i.recipient = s.recipient
where s.given is not null or s.ended is not null or not exists (  -- else it is told with the folder that was shared
    select 1 from shares f
    where f.tenant = s.tenant and f.kind = s.kind and f.recipient = s.recipient and f.item_type = 'folder' and u.first_used >= f.given
        and position(f.item_key || '/' in s.item_key) = 1
)
order by coalesce(s.given, u.first_used, s.ended) desc, s.tenant, s.item_key, s.kind, s.recipient
