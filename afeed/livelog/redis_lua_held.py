"""What runs inside Redis for what is held back, beside the steps of every day in
:mod:`afeed.livelog.redis_lua`, which says what the keys are.

Items are named by the keys of their ids.  Those that write compare the server and the lease as an append does,
and their replies begin with the same words when nothing was done: "gone", "run", "lease" or "full".
"""

from __future__ import annotations

from afeed.livelog.redis_lua_parts import COMMON, HOLDING, WRITING, script

#: What those begin with that write.  KEYS: meta, lease, ...  ARGV: run, max bytes, lease (empty for none, else
#: after "="), at, ...
_OPENED = """
local s = open(KEYS[1])
if not s then return 'gone' end
if s.run ~= ARGV[1] then return 'run' end
local limit, at = tonumber(ARGV[2]), ARGV[4]
if ARGV[3] ~= '' then
  local holder = redis.call('GET', KEYS[2])
  if not (holder and ARGV[3] == '=' .. holder) then return 'lease' end
end
local h, o = holding(s, true), session(s)

local function packed(f)
  local out = {}
  for n, field in ipairs(f) do out[n] = struct.pack('>I4c0', #field, field) end
  return table.concat(out)
end

-- How much there is now.
local function standing()
  local count = redis.call('HLEN', h.key)
  return int(s.bytes + h.bytes) .. ' ' .. int(count > 2 and count - 2 or 0) .. ' ' .. int(h.bytes)
end
"""

# ... ARGV: ... per item packed: id key, version key, order, tail, id, reason, until, due (empty for none).
# Reply: "bytes held held-bytes", and per item 1 where it is new, else 0.
_HOLD = """
local function earlier(f, version)
  for at = 1, #f[h.EARLIER], 16 do
    if f[h.EARLIER]:sub(at, at + 15) == version then return true end
  end
end

local words, changed, grown = {}, {}, 0
for n = 5, #ARGV do
  local id, version, order, tail, text, reason, until_, due = unpack(fields(ARGV[n]))
  local known, new = h.find(id), '0'
  if not (decide(o, 'post', id, version, order)
          or known and (known[h.VERSION] == version or earlier(known, version)
                        or order ~= ZERO and lower(order, known[h.ORDER]))) then
    local f = {version, order, tail, text, reason, until_, due, at, '0', ''}
    if known then
      f[h.AT], f[h.EARLIER] = known[h.AT], known[h.EARLIER] .. known[h.VERSION]
      if lower(order, known[h.ORDER]) then f[h.ORDER] = known[h.ORDER] end
      -- What was stopped waits for somebody's word, in whatever version.
      if known[h.STOPPED] == '1' then f[h.UNTIL], f[h.DUE] = '', '' end
      grown = grown - h.weight(known)
    end
    grown, h.found[id], changed[#changed + 1], new = grown + h.weight(f), f, id, '1'
  end
  words[#words + 1] = new
end
if grown > 0 and s.bytes + h.bytes + grown > limit then return 'full ' .. standing() end
h.bytes = h.bytes + grown
for _, id in ipairs(changed) do
  local f = h.found[id]
  if not redis.call('ZSCORE', h.key .. '-waiting', id) then
    local place = redis.call('ZSCORE', h.key .. '-stopped', id)
    if place then redis.call('ZREM', h.key .. '-stopped', id)
    else place = int(redis.call('HINCRBY', h.key, 'last', 1)) end
    redis.call('ZADD', h.key .. '-waiting', place, id)
  end
  if f[h.DUE] == '' then redis.call('ZREM', h.key .. '-due', id)
  else redis.call('ZADD', h.key .. '-due', f[h.DUE], id) end
  redis.call('HSET', h.key, id, packed(f), 'bytes', int(h.bytes))
end
return standing() .. ' ' .. table.concat(words, ' ')
"""

# KEYS: ..., channel.  ARGV: ... id keys.
# Reply: "bytes held held-bytes", and per item its seq and what it became, as in an append; "0-" for one that is
# not held.
_RELEASE = """
local words = {}
for n = 5, #ARGV do
  local id = ARGV[n]
  local f, seq, type_ = h.find(id), 0, '-'
  if f then
    seq, type_ = record(o, 'post', id, f[h.VERSION], f[h.ORDER], at, f[h.TAIL])
    h.leave(id)
  end
  words[#words + 1] = int(seq) .. type_
end
if full(o, h, limit) then return 'full ' .. standing() end
local first = s.head
commit(o)
h.let_go()
if s.head > first then
  save(s)
  redis.call('PUBLISH', KEYS[3], s.epoch .. ' ' .. int(s.head))
end
return standing() .. ' ' .. table.concat(words, ' ')
"""

# ... ARGV: ... id keys.  Reply: "bytes held held-bytes".
_STOP = """
for n = 5, #ARGV do
  local id = ARGV[n]
  local f = h.find(id)
  if f and f[h.STOPPED] == '0' then
    f[h.STOPPED] = '1'
    redis.call('HSET', h.key, id, packed(f))
    redis.call('ZADD', h.key .. '-stopped', redis.call('ZSCORE', h.key .. '-waiting', id), id)
    redis.call('ZREM', h.key .. '-waiting', id)
    redis.call('ZREM', h.key .. '-due', id)
  end
end
return standing()
"""

# KEYS: held, held-waiting or held-stopped.  ARGV: id key or "", limit, max bytes.
# Reply: one after the other, each after its length, what is held of those behind that id; from the beginning on
# where that is not one of them.
_LIST = """
local start = 0
if ARGV[1] ~= '' then
  local rank = redis.call('ZRANK', KEYS[2], ARGV[1])
  if rank then start = rank + 1 end
end
local found, room = {}, tonumber(ARGV[3])
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], start, start + tonumber(ARGV[2]) - 1)) do
  if room <= 0 then break end
  local raw = redis.call('HGET', KEYS[1], id)
  found[#found + 1], room = struct.pack('>I4c0', #raw, raw), room - #raw
end
return table.concat(found)
"""

# KEYS: held, held-due.  ARGV: milliseconds, limit.  Reply: the ids, each after its length.
_DUE = """
local ID, found = 4, {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  local text = fields(redis.call('HGET', KEYS[1], id))[ID]
  found[#found + 1] = struct.pack('>I4c0', #text, text)
end
return table.concat(found)
"""

HOLD = script(COMMON, WRITING, HOLDING, _OPENED, _HOLD)
RELEASE = script(COMMON, WRITING, HOLDING, _OPENED, _RELEASE)
STOP = script(COMMON, WRITING, HOLDING, _OPENED, _STOP)
LIST = script(_LIST)
DUE = script(COMMON, _DUE)

#: Loaded into every server before its first use.
ALL = (HOLD, RELEASE, STOP, LIST, DUE)
