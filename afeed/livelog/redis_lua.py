"""What runs inside Redis: every script is one step that nobody sees half of.  Those by which a log is restored
are in :mod:`afeed.livelog.redis_lua_recovery`, those for what is held in :mod:`afeed.livelog.redis_lua_held`.

An event has these keys, all with the hash tag ``{slug}``:

=============================== ================================================================================
``afeed:{slug}:meta``           hash: epoch, run, keys, base, bytes, ancestors
``afeed:{slug}:positions``      hash: source -> how far it has read upstream
``afeed:{slug}:staging``        set: ``keys`` prefixes of recoveries that are under way
``afeed:{slug}:held``           hash: key of an id -> what is held of it (``holding`` in the parts);
                                ``bytes`` -> what all of it counts, ``last`` -> the last place given away
``afeed:{slug}:held-waiting``   sorted set: key of a held id -> its place in the order in which they came
``afeed:{slug}:held-stopped``   the same for those that were stopped
``afeed:{slug}:held-due``       sorted set: key of an id that waits -> ``until`` in milliseconds since 1970
``<keys>log``                   list: stored changes ``base + 1`` to the head
``<keys>items``                 hash: key of an id -> the highest version and where the id's changes are
``<keys>versions``              hash: key of an earlier version, or of what is recorded once -> seq
``<keys>meta``                  like ``meta``, while a recovery fills a log that nobody sees yet
=============================== ================================================================================

and ``afeed:lease`` holds the token of the term under which sources may append (see
:mod:`afeed.livelog.redis_lease`).  ``run`` is the ``run_id`` of the server
that took the last append; appends for another are refused, so that a server which came back, perhaps with
less, is looked at first.
"""

from __future__ import annotations

from afeed.livelog.redis_lua_parts import COMMON, HOLDING, WRITING, script

# KEYS: meta, positions, lease, channel.  ARGV: run, max bytes, then per append
# packed: epoch, lease, source (each empty for none, else after "="), value, at, and per record kind, id key,
# version key, order, tail.
# Reply: "gone" | "run", or a line "epoch first head bytes" and one per append: "epoch", "lease", "full", or
# "ok" and per record its seq and what it became: p(osted) e(dited) r(emoved) g(ap) f(iled) s(chedule) or - for
# a repetition.
_APPEND = """
local s = open(KEYS[1])
if not s then return 'gone' end
if s.run ~= ARGV[1] then return 'run' end
local limit, first = tonumber(ARGV[2]), s.head
local holder = redis.call('GET', KEYS[3])
local h = holding(s)
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
      local seq, type_ = record(o, kind, id, version, order, at, tail)
      words[#words + 1] = int(seq) .. type_
      if h then h.supersede(kind, id, order, type_) end
    end
    if full(o, h, limit) then
      line = 'full'
      if h then h.stay() end
    else
      commit(o)
      if h then h.let_go() end
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
lines[1] = table.concat({s.epoch, int(first), int(s.head), int(s.bytes + (h and h.bytes or 0))}, ' ')
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

# KEYS: metas.  Reply: per event a line "epoch base head bytes held held-bytes run ancestors", or an empty one;
# held counts the items.
_STATE = """
local lines = {}
for n, meta in ipairs(KEYS) do
  local s = open(meta)
  lines[n] = ''
  if s then
    local h, count, size = holding(s), 0, 0
    if h then count, size = redis.call('HLEN', h.key) - 2, h.bytes end
    lines[n] = table.concat({s.epoch, int(s.base), int(s.head), int(s.bytes + size), int(count), int(size),
                             s.run, s.ancestors}, ' ')
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
local h = holding(s)
return int(s.bytes + (h and h.bytes or 0)) .. ' ' .. (s.base < upto and '1' or '0')
"""

APPEND = script(COMMON, WRITING, HOLDING, _APPEND)
READ = script(COMMON, _READ)
STATE = script(COMMON, WRITING, HOLDING, _STATE)
TRIM = script(COMMON, WRITING, HOLDING, _TRIM)

#: Loaded into every server before its first use.
ALL = (APPEND, READ, STATE, TRIM)
