-- Findings, one row each: accounts that failed (and then got in), addresses that tried many accounts, new countries, old protocols.
with attempts as (
  select event_id, time, coalesce(actor, '(not named)') as actor, ip, country, network, error_code, client,
    cast(time at time zone (select timezone from asked) as date) as day,
    case
      when lower(operation) = 'userloggedin' or record_type = 9 and outcome = 'success' then 'in'
      when lower(operation) <> 'userloginfailed' and not (record_type = 9 and outcome = 'failure') then null
      when error_code in ('50072', '50074', '50076', '50079') then 'asked'
      when error_code in ('16000', '16001', '50058', '50097', '50125', '50127', '50129', '50140', '50143', '50199', '65001')
        then 'interrupted'
      else 'failed'
    end as result
  from events
  where record_type in (9, 15)
),
failures as (select * from attempts where result = 'failed'),
first_failures as (select actor, ip, min(time) as first from failures group by actor, ip),
entries as (
  select attempts.actor, attempts.event_id, attempts.time, attempts.ip,
    row_number() over (partition by attempts.actor order by attempts.time, attempts.event_id) as place
  from attempts
  join first_failures on first_failures.actor = attempts.actor and first_failures.ip = attempts.ip
    and attempts.time > first_failures.first
  where attempts.result = 'in'
),
codes as (
  select actor, string_agg(code || ' ' || number, ', ' order by number desc, code) as codes
  from (select actor, coalesce(error_code, 'no code') as code, count(*) as number from failures group by 1, 2) as counted
  group by actor
),
asked_often as (select actor, count(*) as asked from attempts where result = 'asked' group by actor),
by_account as (
  select failures.actor, min(time) as first, max(time) as last, count(*) as failed, count(distinct ip) as ip_count,
    string_agg(distinct ip, ', ' order by ip) as ips, string_agg(distinct country, ', ' order by country) as countries,
    string_agg(distinct network, ', ' order by network) as networks, array_agg(event_id order by time nulls last, event_id) as event_ids
  from failures group by failures.actor
),
tried as (
  select ip, day, count(distinct actor) as accounts, count(*) as failed, min(time) as first, max(time) as last, min(country) as country,
    min(network) as network, array_agg(event_id order by time nulls last, event_id) as event_ids
  from failures where ip is not null and (error_code is null or error_code not in ('53000', '53001', '53002', '53003', '53004'))
  group by ip, day
),
let_in as (
  select attempts.ip, attempts.day, count(distinct attempts.actor) as accounts,
    count(distinct attempts.actor) filter (where first_failures.first < attempts.time) as caught,
    min(attempts.time) filter (where first_failures.first < attempts.time) as then_in
  from attempts
  left join first_failures on first_failures.actor = attempts.actor and first_failures.ip = attempts.ip
  where attempts.result = 'in' group by attempts.ip, attempts.day
),
spray_codes as (
  select ip, day, string_agg(code || ' ' || number, ', ' order by number desc, code) as codes
  from (
    select ip, day, coalesce(error_code, 'no code') as code, count(*) as number from failures
    where error_code is null or error_code not in ('53000', '53001', '53002', '53003', '53004') group by 1, 2, 3
  ) as counted group by ip, day
),
countries_before as (
  select actor, country, min(time) as first
  from history
  where record_type in (9, 15) and country is not null and actor is not null
    and (lower(operation) = 'userloggedin' or record_type = 9 and outcome = 'success')
  group by actor, country
),
accounts_before as (select actor, min(first) as first from countries_before group by actor),
new_countries as (
  select attempts.actor, attempts.country, min(attempts.time) as first, max(attempts.time) as last, count(distinct ip) as ip_count,
    string_agg(distinct ip, ', ' order by ip) as ips, string_agg(distinct network, ', ' order by network) as networks,
    array_agg(event_id order by attempts.time nulls last, event_id) as event_ids, count(*) as number
  from attempts
  join countries_before on countries_before.actor = attempts.actor and countries_before.country = attempts.country
  join accounts_before on accounts_before.actor = attempts.actor and accounts_before.first < countries_before.first
  where attempts.result = 'in'
  group by attempts.actor, attempts.country, countries_before.first
  having min(attempts.time) = countries_before.first
),
legacy as (
  select actor, result, min(time) as first, max(time) as last, count(*) as number, count(distinct ip) as ip_count,
    string_agg(distinct ip, ', ' order by ip) as ips, string_agg(distinct country, ', ' order by country) as countries,
    string_agg(distinct network, ', ' order by network) as networks,
    string_agg(distinct client, ', ' order by client) as clients,
    array_agg(event_id order by time nulls last, event_id) as event_ids
  from attempts
  where result in ('in', 'failed')
    and (lower(client) like 'bav2ropc%' or lower(client) like 'cbainprod%' or lower(client) like 'cbaintar%')
  group by actor, result
),
findings as (
  select case when entries.event_id is null then 'failed' else 'failed, then in' end as finding, by_account.actor as account, ips,
    ip_count, cast(1 as bigint) as accounts, first, last, failed, codes, coalesce(asked_often.asked, 0) as mfa_asked, countries,
    networks, entries.time as then_in, entries.ip as then_in_from, cast(null as varchar) as detail, event_ids
  from by_account
  left join codes on codes.actor = by_account.actor
  left join asked_often on asked_often.actor = by_account.actor
  left join entries on entries.actor = by_account.actor and entries.place = 1
  union all
  select 'spray', null, tried.ip, 1, tried.accounts, first, last, failed, codes, 0, country, network, let_in.then_in,
    case when let_in.then_in is not null then tried.ip end,
    coalesce(let_in.caught, 0) || ' of these accounts got in from there afterwards', event_ids
  from tried
  left join let_in on let_in.ip = tried.ip and let_in.day = tried.day
  left join spray_codes on spray_codes.ip = tried.ip and spray_codes.day = tried.day
  where tried.accounts >= 10 and tried.accounts > coalesce(let_in.accounts, 0)
  union all
  select 'new country', actor, ips, ip_count, 1, first, last, 0, null, 0, country, networks, null, null,
    number || ' sign-ins from a country that this account never signed in from before', event_ids
  from new_countries
  union all
  select 'old protocol', actor, ips, ip_count, 1, first, last, case when result = 'failed' then number else 0 end, null, 0, countries,
    networks, null, null, number || case when result = 'in' then ' sign-ins by ' else ' failures by ' end || clients, event_ids
  from legacy
)
select finding, account, first, last, failed, codes,
  mfa_asked, accounts, ips, ip_count, countries, networks, then_in, then_in_from, detail,
  case when account in (select value from own where kind = 'service_account') then 'own service accounts' end as excluded,
  event_ids
from findings
order by case finding when 'spray' then 1 when 'failed, then in' then 2 when 'new country' then 3 when 'old protocol' then 4 else 5 end,
  failed desc, first nulls last, account nulls last, ips nulls last, detail nulls last
