-- When mailboxes were throttled: the service then records no more reads of the mailbox for 24 hours. One that was throttled
-- less than 24 hours before the period counts, too.
select coalesce(h.owner, h.mailbox_id, h.actor, '') as mailbox, h.time
from history h
cross join asked a
where h.throttled and h.time is not null and (a.since is null or h.time >= a.since - interval '24 hours')
order by 1, 2
