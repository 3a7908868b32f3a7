-- What was recorded in which mailbox, by the kind of log-on. Record types: 2 one item, 3 several, 19 folded, 50 MailItemsAccessed.
select lower(coalesce(mailbox_id, '')) as mailbox_id, lower(coalesce(owner, '')) as owner, logon_type, operation, count(*) as events,
  max(time) as last
from events
where record_type in (2, 3, 19, 50) and (mailbox_id is not null or owner is not null) and operation is not null
group by lower(coalesce(mailbox_id, '')), lower(coalesce(owner, '')), logon_type, operation
order by mailbox_id, owner, logon_type, operation
