-- One row for each mailbox, actor, kind of access and local day. Rules: sids and logon types first, names only as a hint.
with acts as (
  select event_id, time, operation, owner, owner_sid, mailbox_id, actor, actor_sid, actor_name, actor_kind, partner_tenant,
    logon_type, external_access, app_id, ip, country, client, session, outcome, access_type, count, messages, subject, folder,
    lower(operation) in ('sendas', 'sendonbehalf') as in_name
  from events
  where record_type in (2, 3, 19, 50)
),
judged as (
  select acts.*,
    case
      when in_name then 'sent in another''s name'
      when logon_type in (3, 4, 5) then 'logon type'
      when actor_kind <> 'person' then 'who acted is no person of the tenant'
      when logon_type in (1, 2, 6) then 'logon type'
      when actor_sid <> owner_sid then 'security ids differ'
      when external_access then 'external access'
      when actor <> owner and actor like '%@%' and owner like '%@%' and owner not like '%templatetenant'
        and (actor_sid is null or owner_sid is null) then 'names differ: an alias or a renamed user looks the same'
    end as evidence,
    case
      when logon_type in (3, 4, 5) and not in_name or actor_kind = 'service' then 'service'
      when actor_kind = 'partner' and partner_tenant not in (select value from own where kind = 'partner_tenant')
        and exists (select 1 from own where kind = 'partner_tenant') then 'other partner'
      when actor_kind = 'partner' then 'partner'
      when actor_kind = 'app' then 'app'
      when logon_type in (1, 6) then 'admin'
      when logon_type = 2 or in_name or actor_sid <> owner_sid then 'delegate'
      when external_access then 'external'
      else 'unsure'
    end as kind,
    case
      when logon_type in (3, 4, 5) and not in_name then 'logons of transport, system services and best access'
      when actor_kind = 'service' then 'services of Microsoft'
      when owner like 'discoverysearchmailbox%' or owner like 'systemmailbox{%' then 'system mailboxes'
      when actor in (select value from own where kind = 'service_account') then 'own service accounts'
      when actor_kind = 'app' and (actor in (select value from own where kind = 'app')
        or app_id in (select value from own where kind = 'app')) then 'own applications'
      when exists (select 1 from own where own.kind = 'delegate' and own.value = owner and own.other = actor)
        then 'expected delegates'
    end as excluded
  from acts
),
found as (select * from judged where evidence is not null),
boxes as (
  select owner, min(mailbox_id) as box from found where owner is not null and mailbox_id is not null group by owner
),
people as (
  select actor, min(actor_sid) as who from found
  where actor_kind = 'person' and actor is not null and actor_sid like 's-1-5-21-%' group by actor
),
keyed as (
  select found.*, cast(time at time zone (select timezone from asked) as date) as day,
    coalesce(mailbox_id, boxes.box, found.owner, '') as box,
    coalesce(case when actor_kind = 'person' and actor_sid like 's-1-5-21-%' then actor_sid end, people.who, found.actor, '') as who
  from found
  left join boxes on boxes.owner = found.owner
  left join people on people.actor = found.actor and found.actor_kind = 'person'
),
named as (
  select keyed.*,
    first_value(owner) over (partition by box order by case when owner is null then 1 else 0 end, time desc nulls last, event_id)
      as mailbox,
    first_value(actor) over (partition by who order by case when actor is null then 1 else 0 end, time desc nulls last, event_id)
      as accessor,
    first_value(actor_name) over (
      partition by who order by case when actor_name is null then 1 else 0 end, time desc nulls last, event_id) as accessor_name,
    dense_rank() over (order by box, who, kind, coalesce(excluded, ''), day) as grp
  from keyed
),
pieces as (
  select grp, event_id, 'operation' as what, operation as value from named
  union all select grp, event_id, 'logon', case logon_type
    when 0 then 'owner' when 1 then 'administrator' when 2 then 'delegate' when 3 then 'transport' when 4 then 'system'
    when 5 then 'best access' when 6 then 'delegated administrator' else coalesce('type ' || logon_type, 'not named') end from named
  union all select grp, event_id, 'access', access_type from named
  union all select grp, event_id, 'outcome', outcome from named
  union all select grp, event_id, 'evidence', evidence from named
  union all select grp, event_id, 'ip', ip from named
  union all select grp, event_id, 'country', country from named
  union all select grp, event_id, 'client', client from named
  union all select grp, event_id, 'app', app_id from named
  union all select grp, event_id, 'session', session from named
  union all select grp, event_id, 'folder', unnest(string_to_array(folder, chr(10))) from named
  union all select grp, event_id, 'subject', unnest(string_to_array(subject, chr(10))) from named
),
counted as (
  select grp, what, value, count(distinct event_id) as records, row_number() over (partition by grp, what order by value) as place
  from pieces where value is not null group by grp, what, value
),
lists as (
  select grp,
    string_agg(value || ' ' || records, ', ' order by value) filter (where what = 'operation') as operations,
    string_agg(value, ', ' order by value) filter (where what = 'logon') as logon,
    string_agg(value || ' ' || records, ', ' order by value) filter (where what = 'access') as access,
    string_agg(value || ' ' || records, ', ' order by value) filter (where what = 'outcome') as outcome,
    string_agg(value, '; ' order by value) filter (where what = 'evidence') as evidence,
    string_agg(value, ', ' order by value) filter (where what = 'ip' and place <= 20) as ips,
    string_agg(value, ', ' order by value) filter (where what = 'country') as countries,
    string_agg(value, ', ' order by value) filter (where what = 'client' and place <= 10) as clients,
    string_agg(value, ', ' order by value) filter (where what = 'app' and place <= 10) as apps,
    count(*) filter (where what = 'session') as sessions,
    count(*) filter (where what = 'folder') as folder_count,
    string_agg(value, ', ' order by value) filter (where what = 'folder' and place <= 20) as folders,
    string_agg(value, ', ' order by value) filter (where what = 'subject' and place <= 5) as subjects
  from counted group by grp
),
gathered as (
  select grp, day, box, min(mailbox) as mailbox, min(accessor) as actor, min(accessor_name) as actor_name, min(kind) as kind,
    min(excluded) as excluded, min(time) as first, max(time) as last, cast(sum(count) as bigint) as acts,
    cast(sum(messages) as bigint) as messages,
    array_agg(event_id order by time nulls last, event_id) as event_ids
  from named group by grp, day, box
),
settings as (
  select time, lower(operation) as cmdlet, owner,
    lower(replace(cast(parameters as varchar), ' ', '')) as given
  from history
  where record_type = 1 and parameters is not null and time is not null
    and lower(operation) in ('set-mailboxauditbypassassociation', 'set-organizationconfig', 'set-adminauditlogconfig')
),
switches as (
  select cmdlet, case when cmdlet like '%bypass%' then owner end as whose, time as off,
    given like '%"auditbypassenabled","value":"true"%' or given like '%"auditdisabled","value":"true"%'
      or given like '%"unifiedauditlogingestionenabled","value":"false"%' as is_off,
    lead(time) over (partition by cmdlet, case when cmdlet like '%bypass%' then owner end order by time) as back
  from settings
  where given like '%"auditbypassenabled"%' or given like '%"auditdisabled"%' or given like '%"unifiedauditlogingestionenabled"%'
),
blind as (
  select mailbox_id as box, owner as mailbox, cast(null as varchar) as actor, 'reads not recorded for 24 hours (throttled)' as mark,
    cast(time at time zone (select timezone from asked) as date) as first_day,
    cast((time + interval '24 hours') at time zone (select timezone from asked) as date) as last_day
  from history where throttled and time is not null
  union all
  select null, null, whose, case when whose is null then 'auditing switched off' else 'actor exempt from auditing (bypass)' end,
    cast(off at time zone (select timezone from asked) as date),
    cast(coalesce(back, (select coalesce(until, now) from asked)) at time zone (select timezone from asked) as date)
  from switches where is_off
),
marks as (
  select grp, string_agg(distinct mark, '; ' order by mark) as coverage
  from gathered join blind on gathered.day between blind.first_day and blind.last_day
    and (blind.box = gathered.box or blind.mailbox = gathered.mailbox or blind.actor = gathered.actor
      or blind.box is null and blind.mailbox is null and blind.actor is null)
  group by grp
)
select coalesce(mailbox, '(not named)') as mailbox, coalesce(actor, '(not named)') as actor, actor_name, cast(gathered.day as varchar) as day, first, last,
  kind, logon, operations, acts, messages, access,
  folders || case when folder_count > 20 then ' and ' || (folder_count - 20) || ' more' else '' end as folders,
  subjects, ips, countries, clients, apps, sessions, outcome, evidence, coverage, excluded, event_ids
from gathered
join lists on lists.grp = gathered.grp
left join marks on marks.grp = gathered.grp
order by 1, 2, gathered.day nulls last, first nulls last, kind, gathered.grp
