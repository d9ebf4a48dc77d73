"""What runs inside Redis: every script is one step that nobody sees half of.  Those by which a log is restored
are in :mod:`afeed.livelog.redis_lua_recovery`.

An event has these keys, all with the hash tag ``{slug}``:

=============================== ================================================================================
``afeed:{slug}:meta``           hash: epoch, run, keys, base, bytes, ancestors
``afeed:{slug}:positions``      hash: source -> how far it has read upstream
``afeed:{slug}:staging``        set: ``keys`` prefixes of recoveries that are under way
``<keys>log``                   list: stored changes ``base + 1`` to the head
``<keys>items``                 hash: key of an id -> the highest version and where the id's changes are
``<keys>versions``              hash: key of an earlier version, or of a source's gap -> seq
``<keys>meta``                  like ``meta``, while a recovery fills a log that nobody sees yet
=============================== ================================================================================

and ``afeed:lease`` holds the token of the term under which sources may append (see
:mod:`afeed.livelog.redis_lease`).  ``run`` is the ``run_id`` of the server
that took the last append; appends for another are refused, so that a server which came back, perhaps with
less, is looked at first.

Lua's numbers are doubles: seqs stay exact to 2^53, versions are 8 bytes and compared in two halves.
"""

from __future__ import annotations

from hashlib import sha1

import attrs

from afeed.core.change import STORED_AT_LENGTH

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

-- The keys of change seq.
local function note(o, seq, kind, id, version, order)
  if kind == 'gap' then
    o.seen[version] = seq
  elseif kind ~= 'redacted' then
    local known, seqs = item(o, id), {}
    if known then
      if known.version ~= version then o.seen[known.version] = latest(known) end
      for text in known.seqs:gmatch('%d+') do
        local earlier = tonumber(text)
        if kind == 'remove' then redact(o, earlier)
        elseif earlier > o.s.base then seqs[#seqs + 1] = text end
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
""".replace("STORED_AT_LENGTH", str(STORED_AT_LENGTH))

# KEYS: meta, positions, lease, channel.  ARGV: run, max bytes, then per append
# packed: epoch, lease, source (each empty for none, else after "="), value, at, and per record kind, id key,
# version key, order, tail.
# Reply: "gone" | "run", or a line "epoch first head bytes" and one per append: "epoch", "lease", "full", or
# "ok" and per record its seq and what it became: p(osted) e(dited) r(emoved) g(ap) or - for a repetition.
_APPEND = """
local TYPES = {p = 'item.posted', e = 'item.edited', r = 'item.removed', g = 'source.gap'}

local function decide(o, kind, id, version, order)
  local seen = o.seen[version] or tonumber(redis.call('HGET', o.s.versions, version) or nil)
  if kind == 'gap' then return seen, 'g' end
  local known = item(o, id)
  if not known then return nil, kind == 'remove' and 'r' or 'p' end
  if known.removed then return latest(known) end
  if kind == 'remove' then return nil, 'r' end
  if known.version == version then return latest(known) end
  if seen then return seen end
  if order ~= ZERO and lower(order, known.order) then return latest(known) end
  return nil, 'e'
end

local s = open(KEYS[1])
if not s then return 'gone' end
if s.run ~= ARGV[1] then return 'run' end
local limit, first = tonumber(ARGV[2]), s.head
local holder = redis.call('GET', KEYS[3])
local lines = {''}
for n = 3, #ARGV do
  local f = fields(ARGV[n])
  local epoch, lease, source, value, at = unpack(f, 1, 5)
  local line
  if epoch ~= '' and epoch ~= '=' .. s.epoch then line = 'epoch'
  elseif lease ~= '' and not (holder and lease == '=' .. holder) then line = 'lease'
  else
    local o, words = session(s), {'ok'}
    for i = 6, #f, 5 do
      local kind, id, version, order, tail = unpack(f, i, i + 4)
      local seq, type_ = decide(o, kind, id, version, order)
      if seq then
        words[#words + 1] = int(seq) .. '-'
      else
        seq = add(o, kind, id, version, order, '{"at":"' .. at .. '","type":"' .. TYPES[type_] .. '",' .. tail)
        words[#words + 1] = int(seq) .. type_
      end
    end
    if o.grown > 0 and s.bytes + o.grown > limit then line = 'full'
    else
      commit(o)
      if source ~= '' then redis.call('HSET', KEYS[2], source:sub(2), value) end
      line = table.concat(words, ' ')
    end
  end
  lines[#lines + 1] = line
end
if s.head > first then
  save(s)
  redis.call('PUBLISH', KEYS[4], s.epoch .. ' ' .. int(s.head))
end
lines[1] = table.concat({s.epoch, int(first), int(s.head), int(s.bytes)}, ' ')
return table.concat(lines, '\\n')
"""

# KEYS: meta.  ARGV: after, limit, max bytes.
# Reply: "" or "epoch base head first length length ...", a line feed, and the stored changes without a gap.
_READ = """
local s = open(KEYS[1])
if not s then return '' end
local first = math.max(tonumber(ARGV[1]), s.base) + 1
local last, room = math.min(s.head, first - 1 + tonumber(ARGV[2])), tonumber(ARGV[3])
local words, bodies = {s.epoch, int(s.base), int(s.head), int(first)}, {}
local seq = first
while seq <= last and room > 0 do
  local upto = math.min(last, seq + 99)
  for _, body in ipairs(redis.call('LRANGE', s.log, int(seq - s.base - 1), int(upto - s.base - 1))) do
    words[#words + 1], bodies[#bodies + 1], room = int(#body), body, room - #body
  end
  seq = upto + 1
end
return table.concat(words, ' ') .. '\\n' .. table.concat(bodies)
"""

# KEYS: metas.  Reply: per event a line "epoch base head bytes run ancestors", or an empty one.
_STATE = """
local lines = {}
for n, meta in ipairs(KEYS) do
  local s = open(meta)
  lines[n] = ''
  if s then
    lines[n] = table.concat({s.epoch, int(s.base), int(s.head), int(s.bytes), s.run, s.ancestors}, ' ')
  end
end
return table.concat(lines, '\\n')
"""

# KEYS: meta.  ARGV: upto, window, how many at most.  Reply: "bytes more"; more is 1 until all is done.
_TRIM = """
local s = open(KEYS[1])
if not s then return 'gone' end
local upto = math.min(tonumber(ARGV[1]), s.head - tonumber(ARGV[2]))
drop(s, math.min(upto, s.base + tonumber(ARGV[3])))
save(s)
return int(s.bytes) .. ' ' .. (s.base < upto and '1' or '0')
"""


@attrs.frozen
class Script:
    """A Lua script and the name by which Redis knows it."""

    source: bytes
    sha: str


def script(*parts: str) -> Script:
    """One script of several parts."""
    source = "".join(parts).encode("ascii")
    return Script(source, sha1(source, usedforsecurity=False).hexdigest())


APPEND = script(COMMON, WRITING, _APPEND)
READ = script(COMMON, _READ)
STATE = script(COMMON, _STATE)
TRIM = script(COMMON, _TRIM)

#: Loaded into every server before its first use.
ALL = (APPEND, READ, STATE, TRIM)
