-- One row for each right given or taken on a mailbox or a folder of it. A right is revoked by the next one that takes it.
with acts as (
  select event_id, time, record_type, operation, lower(operation) as act, owner, target, actor, actor_name, actor_kind, outcome, ip,
    session, folder
  from events
  where record_type = 1 and lower(operation) in ('add-mailboxpermission', 'remove-mailboxpermission', 'add-recipientpermission',
      'remove-recipientpermission', 'add-mailboxfolderpermission', 'set-mailboxfolderpermission', 'remove-mailboxfolderpermission',
      'set-mailbox')
    or record_type in (2, 3) and lower(operation) in ('updatefolderpermissions', 'addfolderpermissions', 'modifyfolderpermissions',
      'removefolderpermissions', 'updatecalendardelegation')
),
settings as (
  select event_id, position, lower(name) as name, value
  from parameters
  where record_type in (1, 2, 3) and (lower(operation) like '%permission%' or lower(operation) in ('set-mailbox',
    'updatecalendardelegation'))
),
given as (
  select event_id,
    max(value) filter (where name in ('user', 'trustee', 'memberupn')) as member,
    max(value) filter (where name = 'membersid') as member_sid,
    max(value) filter (where name in ('accessrights', 'memberrights')) as rights,
    max(value) filter (where name = 'grantsendonbehalfto') as on_behalf,
    max(value) filter (where name = 'identity') as identity,
    max(case when lower(value) = 'true' then 1 end) filter (where name = 'deny') as denies
  from settings group by event_id
),
named as (
  select acts.*, rights, on_behalf, member_sid, denies,
    coalesce(nullif(lower(split_part(coalesce(member, on_behalf, ''), '/', -1)), ''), target, lower(member_sid), '(not named)')
      as given_to,
    case
      when on_behalf is not null then 'send on behalf'
      when act like '%recipientpermission' then 'recipient'
      when act like '%mailboxpermission' then 'mailbox'
      else 'folder'
    end as scope,
    coalesce(folder, case when identity like '%:\%' then split_part(identity, ':', -1) end) as on_folder,
    case when act like 'remove%' or lower(coalesce(rights, '')) = 'none' or denies = 1 then 'taken' else 'given' end as change
  from acts
  left join given on given.event_id = acts.event_id
  where act <> 'set-mailbox' or on_behalf is not null
),
takes as (
  select event_id, time, coalesce(owner, '') as owner, target as given_to,
    case
      when lower(operation) like '%recipientpermission' then 'recipient'
      when lower(operation) like '%mailboxpermission' then 'mailbox'
      else 'folder'
    end as scope
  from history
  where record_type in (1, 2, 3) and target is not null and time is not null and coalesce(outcome, '') <> 'failure'
    and lower(operation) in ('remove-mailboxpermission', 'remove-recipientpermission', 'remove-mailboxfolderpermission',
      'removefolderpermissions')
  union
  select event_id, time, coalesce(owner, ''), given_to, scope
  from named where change = 'taken' and time is not null and coalesce(outcome, '') <> 'failure'
),
revoked as (
  select named.event_id, min(takes.time) as revoked
  from named
  join takes on takes.scope = named.scope and takes.time > named.time
    and (takes.owner = coalesce(named.owner, '')
      or split_part(takes.owner, '@', 1) = split_part(named.owner, '@', 1)
        and (takes.owner not like '%@%' or named.owner not like '%@%'))
    and (takes.given_to = named.given_to
      or split_part(takes.given_to, '@', 1) = split_part(named.given_to, '@', 1)
        and (takes.given_to not like '%@%' or named.given_to not like '%@%'))
  where named.change = 'given'
  group by named.event_id
)
select time, coalesce(owner, '(not named)') as mailbox, change, given_to, coalesce(rights, case when on_behalf is not null
    then 'SendOnBehalf' else '(not named)' end) as rights, on_folder as folder, coalesce(actor, '(not named)') as actor, actor_name,
  operation, coalesce(outcome, 'unknown') as outcome, ip, session, revoked,
  case
    when given_to in ('everyone', 'default', 'anonymous', 's-1-1-0', 's-1-5-7') then 'everybody'
    when given_to in (actor, split_part(actor, '@', 1)) then 'to the actor'
  end as note,
  case
    when actor_kind = 'service' then 'services of Microsoft'
    when owner like 'discoverysearchmailbox%' or owner like 'systemmailbox{%' then 'system mailboxes'
  end as excluded,
  array[named.event_id] as event_ids
from named
left join revoked on revoked.event_id = named.event_id
order by time nulls last, mailbox, given_to, named.event_id
