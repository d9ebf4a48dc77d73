"""What the scripts are put together from that run inside Redis; :mod:`afeed.livelog.redis_lua` says what the
keys are.

Lua's numbers are doubles: seqs stay exact to 2^53, versions are 8 bytes and compared in two halves.
"""

from __future__ import annotations

from hashlib import sha1

import attrs

from afeed.core.change import STORED_AT_LENGTH
from afeed.livelog.entries import OVERHEAD

#: What every script begins with that looks at an event.
COMMON = """
local function int(number) return string.format('%.0f', number) end

local function open(meta)
  local m = redis.call('HMGET', meta, 'epoch', 'run', 'keys', 'base', 'bytes', 'ancestors')
  if not m[1] then return nil end
  local s = {meta = meta, epoch = m[1], run = m[2], keys = m[3], base = tonumber(m[4]), bytes = tonumber(m[5]),
             ancestors = m[6]}
  s.log, s.items, s.versions = s.keys .. 'log', s.keys .. 'items', s.keys .. 'versions'
  s.head = s.base + redis.call('LLEN', s.log)
  return s
end

-- Calls work with pieces of the list from i to j: a Lua call takes some thousand arguments at most.
local function pieces(list, work)
  for i = 1, #list, 500 do work(i, math.min(i + 499, #list)) end
end

-- Strings of any bytes, each after its length.
local function fields(packed)
  local list, count, at = {}, 0, 1
  while at <= #packed do
    count = count + 1
    list[count], at = struct.unpack('>I4c0', packed, at)
  end
  return list
end

local function drop(s, upto)
  local count = math.min(upto, s.head) - s.base
  while count > 0 do
    local some = math.min(count, 500)
    for _, body in ipairs(redis.call('LRANGE', s.log, 0, some - 1)) do s.bytes = s.bytes - #body end
    redis.call('LTRIM', s.log, some, -1)
    s.base, count = s.base + some, count - some
  end
end

local function save(s)
  redis.call('HSET', s.meta, 'base', int(s.base), 'bytes', int(s.bytes))
end
"""

#: What those add that record changes.
WRITING = """
local ZERO = string.rep('\\0', 8)

-- What one append would write; nothing is written before commit.
local function session(s)
  return {s = s, known = {}, changed = {}, seen = {}, bodies = {}, redacted = {}, grown = 0}
end

-- An item is stored as version key (16 bytes), its number (8), 'P' or 'R', and the seqs of its changes.
local function parsed(raw)
  return raw and {version = raw:sub(1, 16), order = raw:sub(17, 24), removed = raw:sub(25, 25) == 'R',
                  seqs = raw:sub(26)} or false
end

local function item(o, id)
  local known = o.known[id]
  if known == nil then
    known = parsed(redis.call('HGET', o.s.items, id))
    o.known[id] = known
  end
  return known
end

-- The same for many at once.
local function look_up(o, ids)
  pieces(ids, function(i, j)
    for n, raw in ipairs(redis.call('HMGET', o.s.items, unpack(ids, i, j))) do
      o.known[ids[i + n - 1]] = parsed(raw)
    end
  end)
end

local function latest(known) return tonumber(known.seqs:match('%d+$')) end

local function lower(a, b)
  local ah, al = struct.unpack('>I4I4', a)
  local bh, bl = struct.unpack('>I4I4', b)
  return ah < bh or (ah == bh and al < bl)
end

local function redact(o, seq)
  local s, old = o.s, nil
  if seq > s.head then old = o.bodies[seq - s.head]
  elseif seq > s.base then old = o.redacted[seq] or redis.call('LINDEX', s.log, int(seq - s.base - 1)) end
  if not old then return end
  local body = old:sub(1, STORED_AT_LENGTH) .. ',"type":"redacted"}'
  o.grown = o.grown + #body - #old
  if seq > s.head then o.bodies[seq - s.head] = body else o.redacted[seq] = body end
end

-- What is recorded once per version, and neither posts nor removes.
local ONCE = {gap = 'g', file = 'f', schedule = 's'}

-- The keys of change seq.
local function note(o, seq, kind, id, version, order)
  if ONCE[kind] then
    o.seen[version] = seq
  elseif kind ~= 'redacted' then
    local known, seqs = item(o, id), {}
    if known then
      if known.version ~= version then o.seen[known.version] = latest(known) end
      for text in known.seqs:gmatch('%d+') do
        local earlier = tonumber(text)
        if kind == 'remove' then redact(o, earlier)
        -- What was removed and is posted again begins anew: the removal itself is never redacted.
        elseif earlier > o.s.base and not known.removed then seqs[#seqs + 1] = text end
      end
      if lower(order, known.order) then order = known.order end
    end
    seqs[#seqs + 1] = int(seq)
    o.known[id] = {version = version, order = order, removed = kind == 'remove', seqs = table.concat(seqs, ',')}
    o.changed[id] = true
  end
end

local function add(o, kind, id, version, order, body)
  local seq = o.s.head + #o.bodies + 1
  note(o, seq, kind, id, version, order)
  o.bodies[#o.bodies + 1] = body
  o.grown = o.grown + #body
  return seq
end

local function commit(o)
  local s = o.s
  for seq, body in pairs(o.redacted) do redis.call('LSET', s.log, int(seq - s.base - 1), body) end
  local items, versions = {}, {}
  for id in pairs(o.changed) do
    local known = o.known[id]
    items[#items + 1] = id
    items[#items + 1] = known.version .. known.order .. (known.removed and 'R' or 'P') .. known.seqs
  end
  for version, seq in pairs(o.seen) do
    versions[#versions + 1] = version
    versions[#versions + 1] = int(seq)
  end
  pieces(o.bodies, function(i, j) redis.call('RPUSH', s.log, unpack(o.bodies, i, j)) end)
  pieces(items, function(i, j) redis.call('HSET', s.items, unpack(items, i, j)) end)
  pieces(versions, function(i, j) redis.call('HSET', s.versions, unpack(versions, i, j)) end)
  s.head, s.bytes = s.head + #o.bodies, s.bytes + o.grown
end

local TYPES = {p = 'item.posted', e = 'item.edited', r = 'item.removed', g = 'source.gap', f = 'item.filed',
               s = 'schedule.changed'}

-- The seq of what was recorded, or nil and what it becomes.
local function decide(o, kind, id, version, order)
  local seen = o.seen[version] or tonumber(redis.call('HGET', o.s.versions, version) or nil)
  local once = ONCE[kind]
  if once and kind ~= 'file' then return seen, once end
  local known = item(o, id)
  if once then
    if not known then return 0 end
    if known.removed then return latest(known) end
    return seen, once
  end
  if not known then return nil, kind == 'remove' and 'r' or 'p' end
  if known.removed then
    if kind == 'restore' and not seen then return nil, 'p' end
    return latest(known)
  end
  if kind == 'remove' then return nil, 'r' end
  if known.version == version then return latest(known) end
  if seen then return seen end
  if order ~= ZERO and lower(order, known.order) then return latest(known) end
  return nil, 'e'
end

local function record(o, kind, id, version, order, at, tail)
  local seq, type_ = decide(o, kind, id, version, order)
  if seq then return seq, '-' end
  local body = '{"at":"' .. at .. '","type":"' .. TYPES[type_] .. '",' .. tail
  return add(o, kind, id, version, order, body), type_
end
""".replace("STORED_AT_LENGTH", str(STORED_AT_LENGTH))

#: What those add that look at what is held or let go of it.  It is one function, so that a script which finds
#: nothing held has hardly anything to do.
HOLDING = """
-- What is held of the event of s, nil for nothing (unless 'always').  Nothing is written before let_go.
local function holding(s, always)
  local key = s.meta:sub(1, -5) .. 'held'
  local size = redis.call('HGET', key, 'bytes')
  if not size and not always then return nil end

  -- What is held of an item, field by field; numbers and times are text, '' is none.
  local h = {VERSION = 1, ORDER = 2, TAIL = 3, ID = 4, REASON = 5, UNTIL = 6, DUE = 7, AT = 8, STOPPED = 9,
             EARLIER = 10, key = key, bytes = tonumber(size or '0'), found = {}, freed = 0}
  local leaving = {}

  function h.find(id)
    local f = h.found[id]
    if f == nil then
      local raw = redis.call('HGET', key, id)
      f = raw and fields(raw) or false
      h.found[id] = f
    end
    return f
  end

  -- What it counts towards max bytes.
  function h.weight(f) return OVERHEAD + #f[h.TAIL] + #f[h.EARLIER] end

  function h.leave(id)
    local f = h.find(id)
    if not f then return end
    leaving[#leaving + 1], h.found[id] = id, false
    h.freed = h.freed + h.weight(f)
  end

  -- Of those that leave, after all.
  function h.stay()
    h.found, leaving, h.freed = {}, {}, 0
  end

  -- What a change that was decided on means for what is held of its item.
  function h.supersede(kind, id, order, type_)
    if ONCE[kind] or (kind ~= 'remove' and type_ == '-') then return end
    local f = h.find(id)
    if f and (kind == 'remove' or order == ZERO or not lower(order, f[h.ORDER])) then h.leave(id) end
  end

  function h.let_go()
    if #leaving == 0 then return end
    pieces(leaving, function(i, j)
      redis.call('HDEL', key, unpack(leaving, i, j))
      for _, name in ipairs({'-waiting', '-stopped', '-due'}) do
        redis.call('ZREM', key .. name, unpack(leaving, i, j))
      end
    end)
    h.bytes, leaving, h.freed = h.bytes - h.freed, {}, 0
    if redis.call('HLEN', key) > 2 then redis.call('HSET', key, 'bytes', int(h.bytes))
    else redis.call('DEL', key) end
  end

  return h
end

-- Whether the log would grow beyond the limit.
local function full(o, h, limit)
  local freed = h and h.freed or 0
  return o.grown > freed and o.s.bytes + (h and h.bytes or 0) + o.grown - freed > limit
end
""".replace("OVERHEAD", str(OVERHEAD))


@attrs.frozen
class Script:
    """A Lua script and the name by which Redis knows it."""

    source: bytes
    sha: str


def script(*parts: str) -> Script:
    """One script of several parts."""
    source = "".join(parts).encode("ascii")
    return Script(source, sha1(source, usedforsecurity=False).hexdigest())
