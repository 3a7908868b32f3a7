-- One row for each change of a rule or forwarding. Set-InboxRule and Set-TransportRule name only what was changed.
with acts as (
  select event_id, time, record_type, operation, lower(operation) as act, owner, actor, actor_name, actor_kind, outcome, ip, country,
    session
  from events
  where record_type = 1 and lower(operation) in ('new-inboxrule', 'set-inboxrule', 'enable-inboxrule', 'new-transportrule',
      'set-transportrule', 'enable-transportrule', 'set-mailbox', 'new-sweeprule', 'set-sweeprule')
    or record_type in (2, 3) and lower(operation) = 'updateinboxrules'
),
settings as (
  select event_id, position, lower(name) as name, value
  from parameters
  where record_type in (1, 2, 3) and lower(operation) in ('new-inboxrule', 'set-inboxrule', 'enable-inboxrule', 'new-transportrule',
    'set-transportrule', 'enable-transportrule', 'set-mailbox', 'new-sweeprule', 'set-sweeprule', 'updateinboxrules')
),
given as (
  select event_id,
    max(value) filter (where name in ('name', 'rulename')) as rule_name,
    max(value) filter (where name = 'identity') as rule_identity,
    max(lower(value)) filter (where name = 'ruleoperation') as rule_operation,
    max(lower(value)) filter (where name = 'rulestate') as rule_state,
    string_agg(value, ';' order by position) filter (where name in ('forwardto', 'forwardingsmtpaddress', 'forwardingaddress'))
      as forward,
    string_agg(value, ';' order by position) filter (where name = 'forwardasattachmentto') as attach,
    string_agg(value, ';' order by position) filter (where name in ('redirectto', 'redirectmessageto')) as redirect,
    string_agg(value, ';' order by position) filter (where name in ('blindcopyto', 'copyto', 'addtorecipients')) as copy,
    max(case when lower(value) = 'true' then 1 end) filter (where name in ('deletemessage', 'softdeletemessage')) as deletes,
    max(case when lower(value) = 'true' then 1 end) filter (where name = 'markasread') as marks_read,
    max(case when lower(value) = 'true' then 1 end) filter (where name = 'stopprocessingrules') as stops,
    max(case when lower(value) = 'false' then 1 end) filter (where name = 'delivertomailboxandforward') as keeps_none,
    max(value) filter (where name in ('movetofolder', 'destinationfolder')) as folder
  from settings group by event_id
),
recipients as (
  select event_id, trim(unnest(string_to_array(replace(value, ',', ';'), ';'))) as recipient
  from settings
  where name in ('forwardto', 'forwardingsmtpaddress', 'forwardingaddress', 'forwardasattachmentto', 'redirectto',
    'redirectmessageto', 'blindcopyto', 'copyto', 'addtorecipients')
),
domains as (
  select event_id, recipient, lower(rtrim(split_part(recipient, '@', -1), ' ]>)"''')) as domain
  from recipients where recipient like '%@%'
),
inside as (
  select acts.event_id, domains.recipient
  from acts join domains on domains.event_id = acts.event_id
  where exists (select 1 from own where kind = 'domain' and (domain = own.value or domain like '%.' || own.value))
    or not exists (select 1 from own where kind = 'domain')
      and (domain = split_part(acts.actor, '@', 2) or domain = split_part(acts.owner, '@', 2))
),
directions as (
  select recipients.event_id,
    case
      when count(*) filter (where recipients.recipient like '%@%' and inside.event_id is null) > 0 then 'yes'
      when count(*) filter (where recipients.recipient not like '%@%') > 0 then 'not told'
      else 'no'
    end as outside
  from recipients
  left join (select distinct event_id, recipient from inside) as inside
    on inside.event_id = recipients.event_id and inside.recipient = recipients.recipient
  group by recipients.event_id
),
judged as (
  select acts.*, coalesce(rule_name, rule_identity) as rule, rule_operation, rule_state, folder, deletes, marks_read, stops, keeps_none,
    forward, attach, redirect, copy, coalesce(directions.outside, '') as outside,
    nullif(concat_ws(';', forward, attach, redirect, copy), '') as target,
    case when lower(folder) like '%delet%' or lower(folder) like '%rss%' or lower(folder) like '%junk%'
      or lower(folder) like '%conversation%' or lower(folder) like '%sync%' or lower(folder) like '%gelöscht%'
      or lower(folder) like '%unterhaltung%' or lower(folder) like '%supprim%' or lower(folder) like '%indésirable%'
      or lower(folder) like '%eliminad%' or lower(folder) like '%no deseado%' then 1 end as hides,
    case when act like '%inboxrule%' and act not like 'enable-%' and (
      rule_name is null and (act = 'new-inboxrule' or rule_operation like 'add%')
      or length(trim(rule_name)) <= 2 or translate(rule_name, '.,;:-_!?*#''" /\', '') = '') then 1 end as odd_name
  from acts
  left join given on given.event_id = acts.event_id
  left join directions on directions.event_id = acts.event_id
),
reasoned as (
  select judged.*,
    nullif(concat_ws('; ',
      case when outside = 'yes' then 'sends mail outside' when target is not null then 'sends mail on' end,
      case when deletes = 1 then 'deletes mail' end,
      case when hides = 1 then 'moves mail where nobody looks' end,
      case when marks_read = 1 then 'marks mail as read' end,
      case when keeps_none = 1 then 'keeps no copy' end,
      case when odd_name = 1 then 'odd name' end,
      case when act like 'enable-%' then 'switched on: the record does not tell what it does' end), '') as reasons,
    nullif(concat_ws('; ',
      'forwards to ' || forward, 'forwards as attachment to ' || attach, 'redirects to ' || redirect, 'copies to ' || copy,
      case when deletes = 1 then 'deletes' end, 'moves to ' || folder,
      case when marks_read = 1 then 'marks as read' end,
      case when stops = 1 then 'stops further rules' end), '') as does
  from judged
  where act <> 'set-mailbox' or target is not null or keeps_none = 1
),
sign_ins as (
  select reasoned.event_id, min(events.time) as later_sign_in
  from reasoned
  join events on events.record_type in (9, 15) and events.actor = reasoned.actor and events.ip = reasoned.ip
    and events.time > reasoned.time and events.outcome = 'success'
  group by reasoned.event_id
)
select time, coalesce(owner, case when act like '%transportrule' then '(all mailboxes)' else actor end, '(not named)') as mailbox,
  coalesce(actor, '(not named)') as actor, actor_name, operation, rule,
  case
    when outside = 'yes' then 'high'
    when target is not null or deletes = 1 or hides = 1 then 'medium'
    else 'low'
  end as severity,
  does, target, nullif(outside, '') as outside, reasons,
  case
    when act like 'set-%' or rule_operation like 'modify%' then 'only what was changed: the rest of it stays as it was'
    when act like 'enable-%' then 'nothing of the rule itself'
    else 'the whole rule'
  end as told,
  rule_state, coalesce(outcome, 'unknown') as outcome, ip, country, session, later_sign_in,
  case
    when rule_operation like 'remove%' or rule_operation like 'delete%' then 'rules removed'
    when actor_kind = 'service' then 'services of Microsoft'
    when reasons is null then 'rules that neither send, hide nor delete mail'
  end as excluded,
  array[reasoned.event_id] as event_ids
from reasoned
left join sign_ins on sign_ins.event_id = reasoned.event_id
order by time nulls last, mailbox, reasoned.event_id
