"""The hash of a unicorn in Redis: how positions and states are noted in it, and how it is read.

It holds the position that was recorded last and the highest version of the state, also when a
position or a state arrives late or twice.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from service.model import Advice, Position, PositionProblem, Unicorn
from service.model.presence import (
    AT_PICKUP_METRES,
    FASTEST_METRES_PER_SECOND,
    PROBLEM_AFTER,
    TRAIL_METRES,
    TRAIL_PLACES,
)
from service.stores.entries import dump_unicorn, load_advice, position_of, readable, unicorn_of
from service.stores.records import in_millis, instant_or_none, millis
from service.stores.redis import keys
from service.stores.redis.link import Command, RedisLink

KEPT_SECONDS: Final = 86_400
"""How long a unicorn's hash is kept, in seconds. It shows how long the unicorn has been silent, so
it is kept long after the position is stale."""
STATE_TTL: Final = timedelta(seconds=60)
"""A state that was noted longer ago does not count: the state of a unicorn that keeps sending is
noted again every 30 s."""

# The limits are part of the text, because arguments would be sent with each position.
_NOTE_POSITION: Final = (
    f"""
local ttl_seconds, fastest_metres_per_second = {KEPT_SECONDS}, {FASTEST_METRES_PER_SECOND}
local trail_metres, trail_places = {TRAIL_METRES}, {TRAIL_PLACES}
local at_pickup_metres = {AT_PICKUP_METRES}
"""
    """
-- KEYS unicorn  ARGV recorded_ms position now_ms is_own
-- is_own: 1 if the unicorn itself called, 0 if somebody spoke for it.
-- Returns a list: 1 if the position was stored (0 if not), the position before it, the state, when
-- the state was noted, the ride, the advice. For an implausible position it has a seventh part:
-- since when all reports have been ignored.
-- A position is a JSON list that begins with schema, recorded (ms), latitude, longitude.
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
)


def note_positions(
    link: RedisLink,
    reports: Mapping[str, tuple[Position, str]],
    now: datetime,
    *,
    is_own: bool,
    extra: Sequence[Command],
) -> Sequence[Sequence[Any]]:
    """Note the position of each unicorn, given by id with its text: one call, with `extra`.

    `is_own`: whether the unicorns themselves called. Returns for each unicorn what the script
    returns. `extra`: further commands, which Redis may carry out twice. Raises `Unavailable`.
    """
    facts = millis(now), int(is_own)
    calls = [
        ((keys.unicorn(unicorn_id),), (millis(position.recorded_at), text, *facts))
        for unicorn_id, (position, text) in reports.items()
    ]
    return link.run_all(_NOTE_POSITION, calls, extra)


_NOTE_STATE: Final = """
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


def note_states(
    link: RedisLink,
    unicorns: Collection[Unicorn],
    now: datetime,
    ride_version: int | None,
    extra: Sequence[Command],
) -> Sequence[Sequence[Any]]:
    """Note the state of each unicorn, and the version of its ride if it is known: one call.

    Returns for each unicorn what the script returns. `extra`: as in `note_positions`. Raises
    `Unavailable`.
    """
    facts = millis(now), in_millis(STATE_TTL)
    version = "" if ride_version is None else ride_version
    calls = [
        (
            (keys.unicorn(each.unicorn_id),),
            (each.version, dump_unicorn(each), *facts, each.ride_id or "", version, KEPT_SECONDS),
        )
        for each in unicorns
    ]
    return link.run_all(_NOTE_STATE, calls, extra)


def state_of(text: str | None, noted: str | None, now: datetime) -> Unicorn | None:
    """The state; None if it is too old or unreadable. The next position then reads it from DynamoDB
    again."""
    return unicorn_of(text) if age_millis(noted, now) < in_millis(STATE_TTL) else None


def age_millis(noted: str | None, now: datetime) -> float:
    """Milliseconds since a state was noted; infinite if the note cannot be read."""
    return millis(now) - int(noted) if noted and noted.isdecimal() else math.inf


def advice_of(unicorn_id: str, text: str | None, now: datetime) -> Advice | None:
    """The advice; None if there is none or it no longer holds."""
    advice = readable("advice", load_advice, unicorn_id, text)
    return advice if advice and advice.holds(now) else None


def trail_of(text: str | None) -> tuple[Position, ...]:
    """The positions of a trail, oldest first; unreadable ones are left out."""
    lines = reversed((text or "").splitlines())
    return tuple(each for line in lines if (each := position_of(line)))


def ride_version_of(entry: str | None) -> int | None:
    """The version in a unicorn's note of its ride ("id version"); None without a readable one."""
    version = (entry or "").rpartition(" ")[2]
    return int(version) if version.isdecimal() else None


def reached_of(note: str | None, ride_id: str) -> datetime | None:
    """When a unicorn reached the pickup of this ride ("ride ms"); None for any other ride."""
    ride, _, at = (note or "").rpartition(" ")
    return instant_or_none(at) if ride == ride_id else None


def problem_of(
    text: str | None, since: str | None = None, *, now: datetime
) -> PositionProblem | None:
    """The problem that has lasted for a while; None for one that this release does not know."""
    start = instant_or_none(since)
    if start is None or now - start < PROBLEM_AFTER:
        return None
    return next((problem for problem in PositionProblem if problem == text), None)
