"""The few steps that must happen at once, as Lua scripts. Each touches keys of one slot only."""

from typing import Final

TAKE_LEASE: Final = """
-- KEYS mark lease again  ARGV owner lease_ms again_ms
redis.call('DEL', KEYS[1])
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
redis.call('SET', KEYS[3], '1', 'PX', ARGV[3])
return 0
"""

LEAVE_LEASE: Final = """
-- KEYS mark lease again  ARGV owner
if redis.call('EXISTS', KEYS[1], KEYS[3]) > 0 then return 0 end
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 1
"""

RELEASE_LEASE: Final = """
-- KEYS lease  ARGV owner
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""

BEGIN_ROUND: Final = """
-- KEYS again mark lease waiting plans running triggered  ARGV owner lease_ms running_ms
-- Returns the waiting rides, the plans, those rides that a round took and never gave back, and
-- when the oldest trigger came that no round had read. All that wait are in a round from now on.
redis.call('DEL', KEYS[1], KEYS[2])
if redis.call('GET', KEYS[3]) == ARGV[1] then redis.call('PEXPIRE', KEYS[3], ARGV[2]) end
local suspects = {}
for _, id in ipairs(redis.call('SMEMBERS', KEYS[6])) do
  if redis.call('HEXISTS', KEYS[4], id) == 1 then table.insert(suspects, id) end
end
redis.call('DEL', KEYS[6])
local ids = redis.call('HKEYS', KEYS[4])
for first = 1, #ids, 1000 do
  redis.call('SADD', KEYS[6], unpack(ids, first, math.min(first + 999, #ids)))
end
redis.call('PEXPIRE', KEYS[6], ARGV[3])
local triggered = redis.call('GETDEL', KEYS[7])
return {redis.call('HGETALL', KEYS[4]), redis.call('HGETALL', KEYS[5]), suspects, triggered}
"""

MARK_IF_WAITING: Final = """
-- KEYS waiting mark triggered  ARGV mark_ms now_ms triggered_ms
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('SET', KEYS[3], ARGV[2], 'NX', 'PX', ARGV[3])
if redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[1]) then return 1 end
return 0
"""

NOTE_POSITION: Final = """
-- KEYS unicorn  ARGV recorded_ms position now_ms ttl_seconds
-- Returns whether it was news, the position before, and the state with when it was noted.
local seen = redis.call('HMGET', KEYS[1], 'recorded', 'position', 'state', 'noted')
redis.call('HSET', KEYS[1], 'heard', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
if seen[1] and tonumber(seen[1]) >= tonumber(ARGV[1]) then
  return {0, seen[2], seen[3], seen[4]}
end
redis.call('HSET', KEYS[1], 'recorded', ARGV[1], 'position', ARGV[2])
return {1, seen[2], seen[3], seen[4]}
"""

NOTE_STATE: Final = """
-- KEYS unicorn  ARGV version state now_ms state_ttl_ms ttl_seconds
-- An older version than one noted lately is ignored. Returns the position if the state was written.
local known = redis.call('HMGET', KEYS[1], 'version', 'noted', 'position')
local lately = known[2] and tonumber(ARGV[3]) - tonumber(known[2]) < tonumber(ARGV[4])
if lately and tonumber(known[1]) > tonumber(ARGV[1]) then return {0, false} end
if known[1] ~= ARGV[1] then redis.call('HSET', KEYS[1], 'since', ARGV[3]) end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'state', ARGV[2], 'noted', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return {1, known[3]}
"""

LISTEN: Final = """
-- KEYS listening  ARGV now_ms gap_ms
-- After a gap, listening begins anew.
local last = tonumber(redis.call('HGET', KEYS[1], 'last') or '-inf')
local now = tonumber(ARGV[1])
if now - last > tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], 'since', ARGV[1]) end
if now > last then redis.call('HSET', KEYS[1], 'last', ARGV[1]) end
"""
