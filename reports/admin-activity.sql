-- One row for each act of administration. Whether somebody is an administrator is told by the config, role records, or the record.
with acts as (
  select event_id, time, record_type, operation, workload, actor, actor_name, actor_kind, partner_tenant, user_type, target, object,
    outcome, reason, ip, country, session, app_id,
    lower(operation) as act
  from events
  where record_type in (1, 8, 18, 24, 57)
    or record_type in (4, 14) and lower(operation) in (
      'sitecollectionadminadded', 'sitecollectionadminremoved', 'siteadminchangerequest', 'sitecollectioncreated', 'sitedeleted',
      'sitecollectionquotamodified', 'sitelockschanged', 'siterenamed', 'hubsiteregistered', 'hubsiteunregistered',
      'sharingpolicychanged', 'deviceaccesspolicychanged', 'networkaccesspolicychanged', 'managedsyncclientallowed',
      'unmanagedsyncclientblocked', 'permissionleveladded', 'permissionlevelmodified', 'permissionlevelremoved',
      'customizeexemptusers', 'exemptuseragentset', 'sendtoconnectionadded', 'sendtoconnectionremoved', 'previewmodeenabledset',
      'legacyworkflowenabledset', 'officeondemandset', 'peopleresultsscopeset', 'newsfeedenabledset', 'maxquotamodified',
      'maxresourceusagequotamodified', 'allowgroupcreationset', 'geoadminadded', 'geoadmindeleted', 'alloweddatalocationadded',
      'alloweddatalocationdeleted', 'tenantsettingschanged')
    or record_type = 25 and lower(operation) in ('teamstenantsettingchanged', 'teamsadminaction')
),
role_records as (
  select event_id, time, target as who, case when lower(operation) like 'remove %' then -1 else 1 end as step
  from history
  where record_type = 8 and target is not null and time is not null and coalesce(outcome, '') <> 'failure'
    and lower(operation) in ('add member to role.', 'add eligible member to role.', 'add member to role', 'remove member from role.',
      'remove eligible member from role.', 'remove member from role')
),
standing as (
  select who, time as since, lead(time) over (partition by who order by time, event_id) as until,
    sum(step) over (partition by who order by time, event_id) as held
  from role_records
),
known as (
  select acts.*,
    case
      when actor in (select value from own where kind = 'break_glass') then 'break-glass account'
      when actor in (select value from own where kind = 'admin') then 'config'
      when standing.who is not null then 'role records'
      when user_type = 2 then 'the record says administrator'
      when user_type = 3 then 'the record says Microsoft'
    end as known_by
  from acts
  left join standing on standing.who = acts.actor and standing.held > 0 and acts.time >= standing.since
    and (standing.until is null or acts.time < standing.until)
),
judged as (
  select known.*,
    case
      when actor_kind = 'service' then 'services of Microsoft'
      when actor in (select value from own where kind = 'service_account') then 'own service accounts'
      when actor_kind = 'app' and (actor in (select value from own where kind = 'app')
        or app_id in (select value from own where kind = 'app')) then 'own applications'
      when known_by is not null or actor_kind <> 'person' then null
      when record_type = 1 and (act like '%-inboxrule' or act like '%-sweeprule' or act like 'set-mailboxautoreply%'
        or act like 'set-mailboxmessageconfig%' or act like 'set-mailboxcalendar%' or act like 'set-mailboxjunkemail%'
        or act like 'set-mailboxregional%' or act like 'set-mailboxspelling%') then 'users in their own mailbox'
      when record_type = 8 and target = actor then 'users on their own account'
    end as excluded,
    case
      when actor_kind = 'partner' and partner_tenant not in (select value from own where kind = 'partner_tenant')
        and exists (select 1 from own where kind = 'partner_tenant') then 'other partner'
      else actor_kind
    end as kind
  from known
),
pieces as (
  select event_id, position, 1 as source,
    name || ': ' || coalesce(left(old, 500), '') || ' → ' || coalesce(left(new, 500), '') as piece
  from changes
  where record_type in (4, 8, 14, 24, 25, 57) and lower(name) <> 'included updated properties'
  union all
  select event_id, position, 2, name || ' = ' || left(value, 500) from parameters where record_type in (1, 18, 24, 57)
),
details as (
  select event_id, string_agg(piece, '; ' order by source, position) as changed from pieces group by event_id
)
select time, cast(cast(time at time zone (select timezone from asked) as date) as varchar) as day,
  coalesce(actor, '(not named)') as admin, actor_name as admin_name, kind, known_by, partner_tenant, operation, workload,
  coalesce(target, object) as object, changed, coalesce(outcome, 'unknown') as outcome, reason, ip, country, session, excluded,
  array[judged.event_id] as event_ids
from judged
left join details on details.event_id = judged.event_id
order by admin, time nulls last, judged.event_id
