"""The steps that must be atomic, as Lua scripts. Each uses keys of one slot only."""

from typing import Final

TAKE_LEASE: Final = """
-- KEYS lease mark  ARGV owner lease_ms
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  redis.call('DEL', KEYS[2])
  return 1
end
-- The mark names the holder, so that the holder knows that no job stands behind it.
local left = math.max(1, redis.call('PTTL', KEYS[1]))
redis.call('SET', KEYS[2], redis.call('GET', KEYS[1]), 'PX', left)
return 0
"""

RENEW_LEASE: Final = """
-- KEYS lease mark  ARGV owner lease_ms
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
return 1
"""

LEAVE_LEASE: Final = """
-- KEYS lease mark  ARGV owner
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 1 end
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('DEL', KEYS[1])
return 1
"""

RELEASE_LEASE: Final = """
-- KEYS lease mark running  ARGV owner failed suspect…
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return end
redis.call('DEL', KEYS[1])
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
if ARGV[2] == '1' then
  redis.call('DEL', KEYS[3])
  for i = 3, #ARGV do redis.call('SADD', KEYS[3], ARGV[i]) end
end
"""

BEGIN_ROUND: Final = """
-- KEYS lease mark waiting plans running alone triggered resume  ARGV owner lease_ms running_ms
-- Returns the waiting rides, the plans, the suspects (each with how often it was tried alone), the
-- instant of the oldest trigger that no round has read, and where the last job stopped. Notes all
-- waiting rides as held by this round.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return false end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[2])
local suspects = {}
for _, id in ipairs(redis.call('SMEMBERS', KEYS[5])) do
  if redis.call('HEXISTS', KEYS[3], id) == 1 then
    table.insert(suspects, id)
    table.insert(suspects, redis.call('HGET', KEYS[6], id) or '0')
  end
end
redis.call('DEL', KEYS[5])
local ids = redis.call('HKEYS', KEYS[3])
for first = 1, #ids, 1000 do
  redis.call('SADD', KEYS[5], unpack(ids, first, math.min(first + 999, #ids)))
end
redis.call('PEXPIRE', KEYS[5], ARGV[3])
return {
  redis.call('HGETALL', KEYS[3]), redis.call('HGETALL', KEYS[4]), suspects,
  redis.call('GETDEL', KEYS[7]), redis.call('GETDEL', KEYS[8])
}
"""

FINISH_ROUND: Final = """
-- KEYS lease plans running resume  ARGV owner plans_ms running_ms resume suspects suspect… plan…
-- Each plan is a ride id and a text.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
redis.call('DEL', KEYS[2], KEYS[3])
local last = 5 + tonumber(ARGV[5])
for i = 6, last do redis.call('SADD', KEYS[3], ARGV[i]) end
redis.call('PEXPIRE', KEYS[3], ARGV[3])
for i = last + 1, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
if ARGV[4] ~= '' then redis.call('SET', KEYS[4], ARGV[4], 'PX', ARGV[2]) end
return 1
"""

TRY_ALONE: Final = """
-- KEYS lease alone  ARGV owner ride running_ms
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
-- A count that cannot be read begins anew.
local tried = string.match(redis.call('HGET', KEYS[2], ARGV[2]) or '', '^%d+$') or 0
redis.call('HSET', KEYS[2], ARGV[2], tried + 1)
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1
"""

CLEAR_SUSPECT: Final = """
-- KEYS lease running alone  ARGV owner ride
-- The process lives, whoever holds the lease by now, so the count is deleted first.
redis.call('HDEL', KEYS[3], ARGV[2])
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
redis.call('SREM', KEYS[2], ARGV[2])
return 1
"""

MARK_IF_WAITING: Final = """
-- KEYS waiting mark triggered  ARGV mark_ms now_ms triggered_ms
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('SET', KEYS[3], ARGV[2], 'NX', 'PX', ARGV[3])
if redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[1]) then return 1 end
return 0
"""

NOTE_POSITION: Final = """
-- KEYS unicorn  ARGV recorded_ms position now_ms is_own
-- The caller puts the limits before this text: ttl_seconds, fastest_metres_per_second,
-- trail_metres, trail_places, at_pickup_metres.
-- is_own: 1 if the unicorn itself called, 0 if somebody spoke for it.
-- Returns whether the position was stored, the position before it, the state, the time at which the
-- state was noted, the ride and the advice; for an implausible position also since when all reports
-- have been ignored.
-- A position is JSON: schema, recorded (ms), latitude, longitude.
local function metres(a, b)
  local north, east = math.rad(b[3] - a[3]) / 2, math.rad(b[4] - a[4]) / 2
  local across = math.cos(math.rad(a[3])) * math.cos(math.rad(b[3])) * math.sin(east) ^ 2
  return 2 * 6371008.8 * math.asin(math.min(1, math.sqrt(math.sin(north) ^ 2 + across)))
end
local function agrees(text, place)
  -- An unreadable position counts as consistent.
  local readable, is_near = pcall(function()
    local other = cjson.decode(text)
    -- At least 1 s, because within a shorter time GPS scatter looks like a high speed.
    local seconds = math.max(1, math.abs(place[2] - other[2]) / 1000)
    return metres(other, place) <= fastest_metres_per_second * seconds
  end)
  return not readable or is_near
end
local function trail(before, place)
  -- The last positions that are at least trail_metres apart, newest first, one in each line.
  local lines = {ARGV[2]}
  for line in string.gmatch(before or '', '[^\\n]+') do
    if #lines == 1 then
      local readable, apart = pcall(function() return metres(cjson.decode(line), place) end)
      if readable and apart < trail_metres then return before end
    end
    if #lines < trail_places then table.insert(lines, line) end
  end
  return table.concat(lines, '\\n')
end
local function reach(state, place)
  -- Note when the unicorn first reached the pickup of its ride, as "ride ms".
  local readable, ride = pcall(function()
    local unicorn = cjson.decode(state)[2]
    local at = unicorn.trip.pickup
    local is_there = metres(place, {0, 0, at.latitude, at.longitude}) <= at_pickup_metres
    return is_there and unicorn.ride_id
  end)
  if not readable or not ride then return end
  local reached = redis.call('HGET', KEYS[1], 'reached')
  if not reached or string.sub(reached, 1, #ride + 1) ~= ride .. ' ' then
    redis.call('HSET', KEYS[1], 'reached', ride .. ' ' .. ARGV[1])
  end
end
local seen = redis.call(
  'HMGET', KEYS[1], 'recorded', 'position', 'state', 'noted', 'ride', 'doubted', 'problem', 'trail',
  'advice')
redis.call('HSET', KEYS[1], 'heard', ARGV[3])
if ARGV[4] == '1' then redis.call('HSET', KEYS[1], 'called', ARGV[3]) end
redis.call('EXPIRE', KEYS[1], ttl_seconds)
local is_news = (tonumber(seen[1]) or -math.huge) < tonumber(ARGV[1])
if is_news then
  local place = cjson.decode(ARGV[2])
  if seen[2] and not agrees(seen[2], place) and not (seen[6] and agrees(seen[6], place)) then
    redis.call('HSET', KEYS[1], 'doubted', ARGV[2], 'problem', 'implausible_jump')
    redis.call('HSETNX', KEYS[1], 'problem_since', ARGV[3])
    local since = redis.call('HGET', KEYS[1], 'problem_since')
    return {0, seen[2], seen[3], seen[4], seen[5], seen[9], since}
  end
  redis.call(
    'HSET', KEYS[1], 'recorded', ARGV[1], 'position', ARGV[2], 'trail', trail(seen[8], place))
  if seen[3] and string.find(seen[3], '"reserved"', 1, true) then reach(seen[3], place) end
end
redis.call('HSET', KEYS[1], 'placed', ARGV[3])
if seen[6] or seen[7] then redis.call('HDEL', KEYS[1], 'doubted', 'problem', 'problem_since') end
return {is_news and 1 or 0, seen[2], seen[3], seen[4], seen[5], seen[9]}
"""

NOTE_STATE: Final = """
-- KEYS unicorn  ARGV version state now_ms state_ttl_ms ride ride_version ttl_seconds
-- Ignores a version that is older than a version noted less than state_ttl_ms ago. Returns whether
-- the state was written, the position, and whether this version was already noted.
-- The ride is stored as "id version". An empty ride_version means that the version is unknown.
local before = redis.call('HMGET', KEYS[1], 'version', 'noted', 'position', 'ride')
local known, noted = tonumber(before[1]) or -math.huge, tonumber(before[2]) or -math.huge
local lately = tonumber(ARGV[3]) - noted < tonumber(ARGV[4])
if lately and known > tonumber(ARGV[1]) then return {0, false, 0} end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'state', ARGV[2], 'noted', ARGV[3])
local ride, version = string.match(before[4] or '', '^(.*) (%d+)$')
if ARGV[6] ~= '' and not (ride == ARGV[5] and tonumber(version) > tonumber(ARGV[6])) then
  redis.call('HSET', KEYS[1], 'ride', ARGV[5] .. ' ' .. ARGV[6])
elseif ride and ride ~= ARGV[5] then
  redis.call('HDEL', KEYS[1], 'ride')
end
redis.call('EXPIRE', KEYS[1], ARGV[7])
return {1, before[3], lately and before[1] == ARGV[1] and 1 or 0}
"""

TAKE_BACK: Final = """
-- KEYS taken_back  ARGV member now_ms most minute_ms
-- Adds the member unless `most` members were added within the last minute. Returns whether it is
-- among them.
local now = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[4]))
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
  redis.call('ZADD', KEYS[1], now, ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return 1
"""

REPORT_HEARING: Final = """
-- KEYS hearing hearing_processes  ARGV process now_ms gap_ms forgotten_ms is_deaf
-- Notes since when, and until when, every process heard. Hearing begins anew after a gap, when a
-- clock was set back, and as long as a process is deaf or missing: one that said it hears, and then
-- neither repeated it nor said goodbye.
local now, gap = tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[4]))
redis.call('ZREMRANGEBYSCORE', KEYS[2], '(' .. now + gap, '+inf')
local last = tonumber(redis.call('HGET', KEYS[1], 'last')) or -math.huge
local all = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
if ARGV[5] == '1' or tonumber(all) < now - gap or math.abs(now - last) > gap then
  redis.call('HSET', KEYS[1], 'since', ARGV[2], 'last', ARGV[2])
elseif tonumber(all) > last then
  redis.call('HSET', KEYS[1], 'last', all)
end
"""

PUT_USABLE: Final = """
-- KEYS usable_now idle_now older_usable…  ARGV ttl_seconds (longitude latitude id waits_since_ms)…
-- Each unicorn is in the set of this span of time alone, and waits since then if that is told.
for i = 2, #ARGV, 4 do
  for k = 3, #KEYS do redis.call('ZREM', KEYS[k], ARGV[i + 2]) end
  redis.call('GEOADD', KEYS[1], ARGV[i], ARGV[i + 1], ARGV[i + 2])
  if ARGV[i + 3] ~= '' then redis.call('HSET', KEYS[2], ARGV[i + 2], ARGV[i + 3]) end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[1])
"""

SEARCH_ZONE: Final = """
-- KEYS usable… idle… busy…
-- ARGV longitude latitude first_metres metres count equal_metres most_equal most_busy
-- KEYS: GEO sets of usable unicorns; for each set, the hash of the times at which its unicorns
-- began to wait; GEO sets of the dropoffs of busy unicorns.
-- Returns the ids of the nearest usable unicorns, whether there are more within `metres`, and the
-- ids of the nearest busy unicorns. The usable ones include, of the unicorns up to equal_metres
-- farther, the most_equal that have waited longest: a limit by distance alone would choose at
-- random within a row of parked unicorns.
local sets, count, equal = #KEYS / 3, tonumber(ARGV[5]), tonumber(ARGV[6])
local function search(name, radius, ...)
  return redis.call('GEOSEARCH', name, 'FROMLONLAT', ARGV[1], ARGV[2], 'BYRADIUS', radius, 'm', ...)
end
local function nearest(radius)
  local hits = {}
  for i = 1, sets do
    for _, hit in ipairs(search(KEYS[i], radius, 'ASC', 'COUNT', count + 1, 'WITHDIST')) do
      table.insert(hits, {hit[1], tonumber(hit[2])})
    end
  end
  table.sort(hits, function(a, b) return a[2] < b[2] end)
  return hits
end
local busy = {}
for i = 2 * sets + 1, #KEYS do
  for _, name in ipairs(search(KEYS[i], ARGV[4], 'ASC', 'COUNT', ARGV[8])) do
    table.insert(busy, name)
  end
end
-- GEOSEARCH sorts every hit in the radius, so begin with a small radius, and enlarge it only if it
-- has too few hits.
local radius, reach = tonumber(ARGV[3]), tonumber(ARGV[4])
local hits = nearest(radius)
while #hits <= count and radius < reach do
  radius = math.min(4 * radius, reach)
  hits = nearest(radius)
end
local ids = {}
for i = 1, math.min(count, #hits) do ids[i] = hits[i][1] end
if #hits <= count then return {ids, 0, busy} end
if equal == 0 then return {ids, 1, busy} end
local equals = {}
for i = 1, sets do
  local names = search(KEYS[i], hits[count][2] + equal)
  for first = 1, #names, 1000 do
    local last = math.min(first + 999, #names)
    local since = redis.call('HMGET', KEYS[sets + i], unpack(names, first, last))
    for j = first, last do
      table.insert(equals, {names[j], tonumber(since[j - first + 1]) or math.huge})
    end
  end
end
table.sort(equals, function(a, b) return a[2] < b[2] end)
for i = 1, math.min(tonumber(ARGV[7]), #equals) do table.insert(ids, equals[i][1]) end
return {ids, 1, busy}
"""
