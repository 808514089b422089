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

RENEW_LEASE: Final = """
-- KEYS lease  ARGV owner lease_ms
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
"""

MARK_IF_WAITING: Final = """
-- KEYS waiting mark  ARGV mark_ms
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[1]) then return 1 end
return 0
"""

NOTE_POSITION: Final = """
-- KEYS position state  ARGV recorded_ms data ttl_seconds fresh_ms now_ms
-- Returns whether it was news, the position before, and the state unless it is due for a check.
local before = redis.call('HMGET', KEYS[1], 'recorded', 'data')
local state = false
if redis.call('PTTL', KEYS[2]) > tonumber(ARGV[4]) then
  state = redis.call('HGET', KEYS[2], 'data')
end
redis.call('HSET', KEYS[1], 'heard', ARGV[5])
if before[1] and tonumber(before[1]) >= tonumber(ARGV[1]) then return {0, before[2], state} end
redis.call('HSET', KEYS[1], 'recorded', ARGV[1], 'data', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return {1, before[2], state}
"""

NOTE_STATE: Final = """
-- KEYS state position  ARGV version data ttl_ms
-- An equal version only lives longer; an older one is ignored. Returns the position if written.
local known = redis.call('HGET', KEYS[1], 'version')
if known and tonumber(known) > tonumber(ARGV[1]) then return {0, false} end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'data', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {1, redis.call('HGET', KEYS[2], 'data')}
"""

KEEP_LATEST: Final = """
-- KEYS name  ARGV text ttl_ms
-- A text that sorts after what is known replaces it; the first one is always taken.
local known = redis.call('GET', KEYS[1])
if not known or known < ARGV[1] then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
"""
