"""The steps by which a live log in Redis is restored, beside those of every day in
:mod:`afeed.livelog.redis_lua`, which says what the keys are.

Close the log to appends, stage an empty one beside it (unless the log itself is only to be continued), restore
what witnesses remember into that, and publish it under a new epoch.
"""

from __future__ import annotations

from afeed.livelog.redis_lua_parts import COMMON, HOLDING, WRITING, script

# KEYS: meta.  ARGV: expected epoch, expected head.  Reply: "ok" | "moved".
# Appends are refused from now on, until a new epoch is published.
_CLOSE = """
local s = open(KEYS[1])
if not s or s.epoch ~= ARGV[1] or s.head ~= tonumber(ARGV[2]) then return 'moved' end
redis.call('HSET', KEYS[1], 'run', '-')
return 'ok'
"""

# KEYS: staging set.  ARGV: keys prefix, run.  Reply: "ok".
_STAGE = """
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('HSET', ARGV[1] .. 'meta', 'epoch', 'unfinished', 'run', ARGV[2], 'keys', ARGV[1],
           'base', '0', 'bytes', '0', 'ancestors', '[]')
return 'ok'
"""

# KEYS: meta.  ARGV: expected epoch, keep above, packed: per change seq, the first letter of its kind ("-" for
# one that is redacted), id key, version key, order, body.
# Reply: "ok" | "moved".
_RESTORE = """
local s = open(KEYS[1])
if not s or s.epoch ~= ARGV[1] then return 'moved' end
local keep, packed = tonumber(ARGV[2]), ARGV[3]
local KINDS = {p = 'post', r = 'remove', g = 'gap', f = 'file', s = 'schedule', ['-'] = 'redacted'}

local function empty(upto)
  redis.call('DEL', s.log)
  s.base, s.head, s.bytes = upto, upto, 0
end

local changes, ids, at = {}, {}, 1
while at <= #packed do
  local change = {struct.unpack('>I8c1c16c16c8I4c0', packed, at)}
  changes[#changes + 1], at = change, change[7]
  if change[2] ~= '-' then ids[#ids + 1] = change[3] end
end
local o = session(s)
look_up(o, ids)
for _, change in ipairs(changes) do
  local seq, kind, id, version, order, body = unpack(change)
  kind = KINDS[kind]
  if seq > s.head + #o.bodies + 1 then
    commit(o)
    local known = o.known
    o = session(s)
    o.known = known
    empty(seq - 1)
  end
  if seq == s.head + #o.bodies + 1 then
    if seq <= keep then
      -- Its body is not kept, and those below it neither.
      if s.base < s.head then empty(s.head) end
      note(o, seq, kind, id, version, order)
      s.base, s.head = seq, seq
    else
      add(o, kind, id, version, order, body)
    end
  end
end
commit(o)
drop(s, keep)
save(s)
return 'ok'
"""

# KEYS: meta, staging set, channel.  ARGV: expected epoch or "", new epoch, ancestors, run, keys prefix for an
# empty log, keys prefix of what was staged or "".  Reply: "ok" | "moved".
_PUBLISH = """
local s = open(KEYS[1])
if (s and s.epoch or '') ~= ARGV[1] then return 'moved' end
if ARGV[6] ~= '' then
  if redis.call('EXISTS', ARGV[6] .. 'meta') == 0 then return 'moved' end
  if s then redis.call('UNLINK', s.log, s.items, s.versions) end
  redis.call('RENAME', ARGV[6] .. 'meta', KEYS[1])
  redis.call('SREM', KEYS[2], ARGV[6])
elseif not s then
  redis.call('HSET', KEYS[1], 'keys', ARGV[5], 'base', '0', 'bytes', '0')
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'ancestors', ARGV[3], 'run', ARGV[4])
-- What others staged is of no use any more, and what they left when they died never was.
for _, keys in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  redis.call('UNLINK', keys .. 'meta', keys .. 'log', keys .. 'items', keys .. 'versions')
end
redis.call('DEL', KEYS[2])
-- What is held stays, as positions do, apart from what the log has by now: it may know more than before.
s = open(KEYS[1])
local h = holding(s)
if h then
  local o = session(s)
  for _, name in ipairs({'-waiting', '-stopped'}) do
    local ids = redis.call('ZRANGE', h.key .. name, 0, -1)
    look_up(o, ids)
    for _, id in ipairs(ids) do
      -- Most of them the log knows nothing of; what is held of these need not even be looked at.
      local f = item(o, id) and h.find(id)
      if f and decide(o, 'post', id, f[h.VERSION], f[h.ORDER]) then h.leave(id) end
    end
  end
  h.let_go()
end
redis.call('PUBLISH', KEYS[3], ARGV[2] .. ' -')
return 'ok'
"""

CLOSE = script(COMMON, _CLOSE)
STAGE = script(_STAGE)
RESTORE = script(COMMON, WRITING, _RESTORE)
PUBLISH = script(COMMON, WRITING, HOLDING, _PUBLISH)

#: Loaded into every server before its first use.
ALL = (CLOSE, STAGE, RESTORE, PUBLISH)
