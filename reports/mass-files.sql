-- One row for each burst: acts of one kind by one actor with no pause above ten minutes, so many of them within an hour. What counts is
-- distinct files.
with
kinds (operation, kind, least) as (
    values  -- least: distinct files from which on it is reported
        ('FileDownloaded', 'download', 100),
        ('FileSyncDownloadedFull', 'sync', 100),
        ('FileSyncDownloadedPartial', 'sync', 100),
        ('FileDeleted', 'delete', 50),
        ('FileRecycled', 'delete', 50),
        ('FolderDeleted', 'delete', 50),
        ('FolderRecycled', 'delete', 50),
        ('FileDeletedFirstStageRecycleBin', 'delete', 50),
        ('FileDeletedSecondStageRecycleBin', 'delete', 50),
        ('FileVersionsAllDeleted', 'delete', 50),
        ('FileRenamed', 'rename', 50)
),
acts as (
    select e.event_id, e.tenant, e.time, coalesce(e.actor, 'unknown') as actor, e.actor_kind, e.app_id, e.ip, e.managed, e.site, e.file_size,
        lower(coalesce(e.object, e.url, e.event_id)) as file, k.kind, k.least, e.client
    from events e
    join kinds k on k.operation = e.operation
    where e.record_type = 6 and coalesce(e.outcome, '') <> 'failure'
),
paused as (
    select acts.*,
        case when time - lag(time) over (partition by tenant, actor, kind order by time, event_id) <= interval '10 minutes' then 0 else 1
        end as begins,
        count(*) over (partition by tenant, actor, kind order by time range between interval '1 hour' preceding and current row) as within_hour
    from acts
),
bursts as (
    select paused.*, sum(begins) over (partition by tenant, actor, kind order by time, event_id rows unbounded preceding) as burst
    from paused
),
files as (
    select tenant, actor, kind, burst, file, max(file_size) as file_size
    from bursts
    group by tenant, actor, kind, burst, file
),
sums as (
    select tenant, actor, kind, burst, count(*) as files, cast(sum(file_size) as bigint) as bytes, count(file_size) as sized
    from files
    group by tenant, actor, kind, burst
),
large as (
    select b.tenant, b.actor, b.kind, b.burst, s.files, s.bytes, s.sized,
        min(b.time) as begun, max(b.time) as ended, count(*) as acts, max(b.within_hour) as busiest_hour,
        count(distinct lower(b.site)) as sites,
        min(b.site) as site,
        max(b.actor_kind) as actor_kind,
        min(b.app_id) as first_app, max(b.app_id) as last_app,
        count(*) filter (where b.managed) as managed, count(*) filter (where not b.managed) as unmanaged,
        string_agg(distinct b.ip, ', ' order by b.ip) as ips,
        array_agg(b.event_id order by b.time, b.event_id) as event_ids
    from bursts b
    join sums s on s.tenant = b.tenant and s.actor = b.actor and s.kind = b.kind and s.burst = b.burst
    where s.files >= b.least
    group by b.tenant, b.actor, b.kind, b.burst, s.files, s.bytes, s.sized, b.least
    having max(b.within_hour) >= b.least
),
endings as (
    select b.tenant, b.actor, b.burst,
        case when position('.' in c.old) > 0 then lower(split_part(c.old, '.', -1)) else 'none' end as old_ending,
        case when position('.' in c.new) > 0 then lower(split_part(c.new, '.', -1)) else 'none' end as new_ending
    from bursts b
    join large l on l.tenant = b.tenant and l.actor = b.actor and l.kind = b.kind and l.burst = b.burst
    join changes c on c.event_id = b.event_id
    where b.kind = 'rename' and c.record_type = 6 and c.operation = 'FileRenamed' and c.name = 'FileName'
        and c.old is not null and c.new is not null
),
renamed as (
    select tenant, actor, burst,
        string_agg(distinct old_ending, ', ' order by old_ending) as endings_before,
        string_agg(distinct new_ending, ', ' order by new_ending) as endings_after,
        count(*) filter (where old_ending <> new_ending) as other_ending
    from endings
    group by tenant, actor, burst
)
select l.tenant, l.actor, l.kind, l.begun, l.ended, l.files, l.acts, l.busiest_hour, case when l.sized > 0 then l.bytes end as bytes, l.sites, l.site,
    case when l.managed > 0 and l.unmanaged > 0 then 'partly' when l.managed > 0 then 'yes' when l.unmanaged > 0 then 'no' else 'unknown'
    end as managed,
    r.endings_before, r.endings_after, coalesce(r.other_ending, 0) as other_ending, l.ips as ip,
    l.event_ids,
    case when l.actor_kind in ('service', 'app') then 'service or application'
        when exists (select 1 from own o where o.kind = 'service_account' and o.value = l.actor) then 'service account of the config'
        when l.first_app = l.last_app and exists (select 1 from own o where o.kind = 'app' and o.value = l.first_app)
            then 'application of the config'
        when l.kind = 'sync' and l.managed > 0 and l.unmanaged = 0 then 'sync client on a managed device'
    end as excluded
from large l
left join renamed r on l.kind = 'rename' and r.tenant = l.tenant and r.actor = l.actor and r.burst = l.burst
order by l.files desc, l.begun, l.tenant, l.actor, l.kind, l.burst
