#!lua name=moyiza
-- Positions and who is reading, one room in each call; all keys of a room are in one slot. The rules are those
-- of `reading/state.rs`, which is tested against this.
--
-- KEYS: 1 positions (sorted set: members who are not reading now, by seq)
--       2 active (hash: user -> "member floor node,node,…")
--       3 meta (hash: generation, life, version, told, loading, buried, and attempt:NODE for each node that called)
--       4 changes (list: the last of them)
--       5 checkpoints (hash: node -> "number seq user:seq user:seq …", node# -> how many entered since, and for each of
--         them node@1, node@2 and so on -> "user:seq")
-- ARGV: 1 the channel of the room's changes, 2 the generation of Redis' data that the caller knows, then the
--       function's own
--
-- Every function of a room answers COLD where the room is not here, or is of an older generation: it is to be loaded.
-- STALE and the room's generation: the caller's is older. LOST: the node that calls was taken for dead. LATE: it has made calls
-- since that were heard before this one.
--
-- A seq has up to 53 bits: numbers are compared as doubles, which hold them, and kept as the strings they
-- came in, because Lua writes only 14 digits.

local KEPT = 1000
-- For so many seconds, from the last of them on. Who missed them by then fetches all positions.
local KEPT_FOR = 3600
local BURIED = 64
local NOBODY = '-'
-- Fields of meta that are no attempts, and attempts that are kept.
local FIELDS = 6
local ATTEMPTS = 64

-- Why the room cannot be worked on, if so.
local function refusal(keys, args)
  local meta = redis.call('HMGET', keys[3], 'version', 'generation')
  if not meta[1] then return 'COLD' end
  local generation, known = tonumber(meta[2]), tonumber(args[2])
  if generation < known then return 'COLD' end
  if generation > known then return 'STALE ' .. meta[2] end
end

local function is_buried(keys, node)
  local buried = redis.call('HGET', keys[3], 'buried')
  if not buried then return false end
  return string.find(',' .. buried .. ',', ',' .. node .. ',', 1, true) ~= nil
end

-- Which nodes called here longest ago: their attempts need not be known any more. Attempts begin at the time.
local function forget_attempts(keys)
  if redis.call('HLEN', keys[3]) <= FIELDS + ATTEMPTS then return end
  local meta, attempts = redis.call('HGETALL', keys[3]), {}
  for i = 1, #meta, 2 do
    if string.find(meta[i], 'attempt:', 1, true) == 1 then table.insert(attempts, { meta[i], tonumber(meta[i + 1]) }) end
  end
  table.sort(attempts, function(a, b) return a[2] < b[2] end)
  for i = 1, #attempts - ATTEMPTS / 2 do redis.call('HDEL', keys[3], attempts[i][1]) end
end

-- Why a call of a node is not heard, if so. Calls leave a node in order, and each attempt to make them has a number above
-- all before it. One that was given up and comes after all, by a connection that nobody reads any more, may say what is
-- not so any longer; one that is repeated changes nothing.
local function deafness(keys, args)
  local refused = refusal(keys, args)
  if refused then return refused end
  local node, attempt = args[3], args[4]
  local field = 'attempt:' .. node
  local last = redis.call('HGET', keys[3], field)
  if last == attempt then return end
  if last and tonumber(last) > tonumber(attempt) then return 'LATE' end
  redis.call('HSET', keys[3], field, attempt)
  if not last then forget_attempts(keys) end
end

local function larger(a, b)
  if tonumber(a) < tonumber(b) then return b end
  return a
end

local function change(keys, channel, user, to)
  local version = string.format('%.0f', redis.call('HINCRBY', keys[3], 'version', 1))
  local line = redis.call('HGET', keys[3], 'life') .. ' ' .. version .. ' ' .. user .. ' ' .. to
  redis.call('RPUSH', keys[4], line)
  redis.call('LTRIM', keys[4], -KEPT, -1)
  redis.call('EXPIRE', keys[4], KEPT_FOR)
  redis.call('SPUBLISH', channel, line)
  return line
end

local function parse_active(text)
  local member, floor, nodes = string.match(text, '^(%d) (%d+) (.*)$')
  local active = { member = member == '1', floor = floor, nodes = {} }
  for node in string.gmatch(nodes, '[^,]+') do table.insert(active.nodes, node) end
  return active
end

local function read_active(keys, user)
  local text = redis.call('HGET', keys[2], user)
  return text and parse_active(text)
end

local function write_active(keys, user, active)
  local member = active.member and '1' or '0'
  local text = member .. ' ' .. active.floor .. ' ' .. table.concat(active.nodes, ',')
  redis.call('HSET', keys[2], user, text)
end

local function place(active, node)
  for at, reading in ipairs(active.nodes) do
    if reading == node then return at end
  end
end

-- Somebody who is not known to be a member has read up to seq. That is of use only for a joining before it that is still to
-- be told.
local function remember(keys, user, seq)
  if tonumber(seq) > tonumber(redis.call('HGET', keys[3], 'told')) then
    write_active(keys, user, { member = false, floor = seq, nodes = {} })
  end
end

-- Gives a member who reads nowhere any more their position back, and forgets who is not one.
local function settle(keys, channel, user, active)
  if #active.nodes > 0 then
    write_active(keys, user, active)
    return false
  end
  redis.call('HDEL', keys[2], user)
  if not active.member then
    remember(keys, user, active.floor)
    return false
  end
  redis.call('ZADD', keys[1], active.floor, user)
  return change(keys, channel, user, active.floor)
end

local function advance(keys, channel, user, seq)
  local active = read_active(keys, user)
  if active then
    active.floor = larger(active.floor, seq)
    write_active(keys, user, active)
    return false
  end
  local position = redis.call('ZSCORE', keys[1], user)
  if not position then
    remember(keys, user, seq)
    return false
  end
  if tonumber(position) >= tonumber(seq) then return false end
  redis.call('ZADD', keys[1], seq, user)
  return change(keys, channel, user, seq)
end

local function join(keys, channel, user, seq)
  local active = read_active(keys, user)
  if active then
    active.member = true
    active.floor = larger(active.floor, seq)
    return settle(keys, channel, user, active)
  end
  if redis.call('ZSCORE', keys[1], user) then return advance(keys, channel, user, seq) end
  redis.call('ZADD', keys[1], seq, user)
  return change(keys, channel, user, seq)
end

-- Nothing counts them any more. Where they still read, or read again since, is kept, and what they have read of what is still
-- to be told: they may have joined again, and nobody says either a second time.
local function remove(keys, channel, user)
  local active = read_active(keys, user)
  if active then
    active.member = false
    return settle(keys, channel, user, active)
  end
  local position = redis.call('ZSCORE', keys[1], user)
  if not position then return false end
  redis.call('ZREM', keys[1], user)
  remember(keys, user, position)
  return change(keys, channel, user, NOBODY)
end

-- Until the node's next checkpoint, somebody who enters is known to have taken no more than where they came from. That costs
-- the same however many have: what is said of them is a field of its own.
local function begin_checkpoint(keys, node, user, floor)
  local count = redis.call('HINCRBY', keys[5], node .. '#', 1)
  redis.call('HSET', keys[5], node .. '@' .. count, user .. ':' .. floor)
end

-- The fields of those who entered since the node's last checkpoint, as many to a list as Lua takes as arguments.
local function entered_since(keys, node)
  local lists, count = {}, tonumber(redis.call('HGET', keys[5], node .. '#') or '0')
  for from = 1, count, KEPT do
    local fields = {}
    for i = from, math.min(from + KEPT - 1, count) do table.insert(fields, node .. '@' .. i) end
    table.insert(lists, fields)
  end
  return lists
end

local function clear_checkpoint(keys, node)
  for _, fields in ipairs(entered_since(keys, node)) do redis.call('HDEL', keys[5], unpack(fields)) end
  redis.call('HDEL', keys[5], node, node .. '#')
end

-- What the readers of a node are known to have taken: all of them, and those of whom more was said, of whom the last counts.
local function taken_on(keys, node)
  local text, own = redis.call('HGET', keys[5], node) or '0 0', {}
  for user, seq in string.gmatch(text, ' (%d+):(%d+)') do own[user] = seq end
  for _, fields in ipairs(entered_since(keys, node)) do
    for _, entered in ipairs(redis.call('HMGET', keys[5], unpack(fields))) do
      local user, seq = string.match(entered, '^(%d+):(%d+)$')
      own[user] = seq
    end
  end
  return string.match(text, '^%d+ (%d+)'), own
end

-- channel generation node attempt user life. UNLISTED and the life, where the node has listed the room in another one: the
-- list may have gone with that, and a dead node is buried where it has listed that it reads.
local function enter(keys, args)
  local channel, node, user = args[1], args[3], args[5]
  local refused = deafness(keys, args)
  if refused then return refused end
  if is_buried(keys, node) then return 'LOST' end
  local life = redis.call('HGET', keys[3], 'life')
  if life ~= args[6] then return 'UNLISTED ' .. life end
  local active = read_active(keys, user)
  if active then
    if not place(active, node) then
      begin_checkpoint(keys, node, user, active.floor)
      table.insert(active.nodes, node)
      write_active(keys, user, active)
    end
    return false
  end
  local position = redis.call('ZSCORE', keys[1], user)
  begin_checkpoint(keys, node, user, position or '0')
  write_active(keys, user, { member = position ~= false, floor = position or '0', nodes = { node } })
  if not position then return false end
  redis.call('ZREM', keys[1], user)
  return change(keys, channel, user, NOBODY)
end

-- channel generation node attempt user taken: they read on that node no longer, and have taken so much, which is true
-- however late it is said.
local function leave(keys, args)
  local channel, node, user, taken = args[1], args[3], args[5], args[6]
  local refused = deafness(keys, args)
  if refused == 'LATE' then return advance(keys, channel, user, taken) end
  if refused then return refused end
  local active = read_active(keys, user)
  local at = active and place(active, node)
  if not at then return advance(keys, channel, user, taken) end
  table.remove(active.nodes, at)
  active.floor = larger(active.floor, taken)
  return settle(keys, channel, user, active)
end

-- channel generation user seq: they have read up to there, without reading now.
local function read(keys, args)
  local refused = refusal(keys, args)
  if refused then return refused end
  return advance(keys, args[1], args[3], args[4])
end

-- channel generation node attempt number text: what all readers of the node have taken, and what those who lag have, as
-- "seq user:seq …". In place of what was said before; nothing for a node without readers. One that is repeated, by its
-- number, does not speak of those who came since it was made.
local function checkpoint(keys, args)
  local refused = deafness(keys, args)
  if refused then return refused end
  local node, number, text = args[3], args[5], args[6]
  if is_buried(keys, node) then return 'LOST' end
  if text == '' then
    clear_checkpoint(keys, node)
    return false
  end
  local last = string.match(redis.call('HGET', keys[5], node) or '0', '^%d+')
  if tonumber(number) <= tonumber(last) then return false end
  clear_checkpoint(keys, node)
  redis.call('HSET', keys[5], node, number .. ' ' .. text)
  return false
end

-- channel generation node: it is dead, nobody reads on it any more, and what it says later is not heard. A member falls
-- back to the last checkpoint: a crash may show a read message as unread, never the other way round.
local function bury(keys, args)
  local refused = refusal(keys, args)
  -- A room that is not here has nobody to be taken out.
  if refused then return refused end
  local channel, node = args[1], args[3]
  if not is_buried(keys, node) then
    local buried = { node }
    for other in string.gmatch(redis.call('HGET', keys[3], 'buried') or '', '[^,]+') do
      if #buried < BURIED then table.insert(buried, other) end
    end
    redis.call('HSET', keys[3], 'buried', table.concat(buried, ','))
  end
  local all, own = taken_on(keys, node)
  local everybody = redis.call('HGETALL', keys[2])
  for i = 1, #everybody, 2 do
    local user, active = everybody[i], parse_active(everybody[i + 1])
    local at = place(active, node)
    if at then
      table.remove(active.nodes, at)
      active.floor = larger(active.floor, own[user] or all)
      settle(keys, channel, user, active)
    end
  end
  clear_checkpoint(keys, node)
  redis.call('HDEL', keys[3], 'attempt:' .. node)
  return false
end

-- channel generation, then for each record: seq user effect (sent, joined or left)
local function tell(keys, args)
  local refused = refusal(keys, args)
  if refused then
    -- Whoever is reading positions from the database may have read them before this record: they read again.
    redis.call('HDEL', keys[3], 'loading')
    return refused
  end
  local channel, told = args[1], redis.call('HGET', keys[3], 'told')
  for i = 3, #args, 3 do
    local seq, user, effect = args[i], args[i + 1], args[i + 2]
    local is_news = tonumber(seq) > tonumber(told)
    if is_news then
      told = seq
      redis.call('HSET', keys[3], 'told', told)
    end
    -- However often it is told, and even if the room was loaded with it: the positions of senders come to the database
    -- beside their rows and not with them.
    if effect == 'sent' then advance(keys, channel, user, seq)
    elseif is_news then
      if effect == 'joined' then join(keys, channel, user, seq)
      else remove(keys, channel, user) end
    end
  end
  return false
end

-- channel generation: the life, the version, then user and position in turn.
local function snapshot(keys, args)
  local refused = refusal(keys, args)
  if refused then return refused end
  local answer = redis.call('ZRANGE', keys[1], 0, -1, 'WITHSCORES')
  local meta = redis.call('HMGET', keys[3], 'life', 'version')
  table.insert(answer, 1, meta[2])
  table.insert(answer, 1, meta[1])
  return answer
end

-- channel generation: the life and the version.
local function version(keys, args)
  local refused = refusal(keys, args)
  if refused then return refused end
  return redis.call('HMGET', keys[3], 'life', 'version')
end

-- channel generation user user …: the life, the version, then where each of them stands; '-' for who has no position.
local function positions(keys, args)
  local refused = refusal(keys, args)
  if refused then return refused end
  local answer = redis.call('HMGET', keys[3], 'life', 'version')
  -- As many as Lua takes as arguments, and some.
  for from = 3, #args, KEPT do
    local to = math.min(from + KEPT - 1, #args)
    for _, position in ipairs(redis.call('ZMSCORE', keys[1], unpack(args, from, to))) do
      table.insert(answer, position or NOBODY)
    end
  end
  return answer
end

-- channel generation life version: every change since then as lines, or GONE where they are not all kept or the room
-- lives another life.
local function changes_since(keys, args)
  local refused = refusal(keys, args)
  if refused then return refused end
  local meta = redis.call('HMGET', keys[3], 'life', 'version')
  local missing = tonumber(meta[2]) - tonumber(args[4])
  if meta[1] ~= args[3] or missing < 0 or missing > redis.call('LLEN', keys[4]) then return 'GONE' end
  if missing == 0 then return {} end
  return redis.call('LRANGE', keys[4], string.format('%.0f', -missing), -1)
end

-- channel generation token: the token of a loading, this one or that of another who is at it. Whatever any of them reads
-- from the database since is as good: when something is told meanwhile, the token is taken back.
local function begin_load(keys, args)
  local refused = refusal(keys, args)
  if refused ~= 'COLD' then return refused or 'WARM' end
  local generation, token = string.match(redis.call('HGET', keys[3], 'loading') or '', '^(%d+) (%d+)$')
  if generation == args[2] then return token end
  redis.call('HSET', keys[3], 'loading', args[2] .. ' ' .. args[3])
  return args[3]
end

-- channel generation token told closed, then user and position in turn. The token becomes the life of the room: whoever has
-- a copy of an earlier one fetches it anew and says again who reads there. Of one that is closed, which is 1, somebody says
-- something late: it is not kept for long, and nobody is counted there.
local function load(keys, args)
  local refused = refusal(keys, args)
  if refused ~= 'COLD' then return refused or 'WARM' end
  if redis.call('HGET', keys[3], 'loading') ~= args[2] .. ' ' .. args[3] then return 'AGAIN' end
  redis.call('DEL', unpack(keys))
  redis.call('HSET', keys[3], 'generation', args[2], 'life', args[3], 'version', '1', 'told', args[4])
  if args[5] == '1' then redis.call('EXPIRE', keys[3], KEPT_FOR)
  else
    for i = 6, #args, 2 do redis.call('ZADD', keys[1], args[i + 1], args[i]) end
  end
  redis.call('SPUBLISH', args[1], args[3] .. ' 1')
  return 'LOADED'
end

-- The nodes. KEYS: 1 living (sorted set: node by the time of its last call, in milliseconds), 2 dying (set)

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Whether nobody has called for half as long as a lease lasts, which is several renewals. Then it was Redis that was away, as
-- far as anybody can tell: who comes first finds all others as late as itself, and none of them is dead for that.
local function was_silent(keys, time, lease)
  local last = redis.call('ZRANGE', keys[1], -1, -1, 'WITHSCORES')
  return last[2] ~= nil and tonumber(last[2]) < time - lease / 2
end

-- ARGV: the node, how long a lease lasts in milliseconds, and 1 for a node that begins
-- Renews the node's lease. Returns whether it has one, and the nodes that have lost theirs. After a silence all leases begin
-- again.
local function renew(keys, args)
  local time = now()
  local score = string.format('%.0f', time)
  if was_silent(keys, time, args[2]) then
    for _, node in ipairs(redis.call('ZRANGE', keys[1], 0, -1)) do redis.call('ZADD', keys[1], score, node) end
  end
  local held = args[3] == '1' or redis.call('ZSCORE', keys[1], args[1]) ~= false
  if held then redis.call('ZADD', keys[1], score, args[1]) end
  local lost = redis.call('ZRANGEBYSCORE', keys[1], '-inf', string.format('(%.0f', time - args[2]))
  for _, node in ipairs(redis.call('SMEMBERS', keys[2])) do table.insert(lost, node) end
  return { held and 1 or 0, lost }
end

-- KEYS: 3 rooms (sorted set: where the node has readers, by the attempt that listed it)
-- ARGV: a node, and how long a lease lasts
-- The rooms of a node that is to be buried: from here on it cannot renew its lease, nor list a room. Nothing for one that
-- lives, or that may: after a silence leases begin again with the first that is renewed.
local function condemn(keys, args)
  local time = redis.call('ZSCORE', keys[1], args[1])
  if time then
    if tonumber(time) >= now() - args[2] or was_silent(keys, now(), args[2]) then return false end
    redis.call('ZREM', keys[1], args[1])
    redis.call('SADD', keys[2], args[1])
  end
  if redis.call('SISMEMBER', keys[2], args[1]) == 0 then return false end
  return redis.call('ZRANGE', keys[3], 0, -1)
end

-- KEYS: 3 rooms
-- ARGV: the node, the attempt, then rooms
-- Lists rooms for whoever has to bury the node. Returns whether it holds a lease.
local function register(keys, args)
  if not redis.call('ZSCORE', keys[1], args[1]) then return 0 end
  for i = 3, #args do redis.call('ZADD', keys[3], 'GT', args[2], args[i]) end
  return 1
end

-- KEYS: 3 rooms
-- ARGV: the node, the attempt, then rooms where it has no readers any more
-- One that was listed since stays, however late this comes.
local function unregister(keys, args)
  for i = 3, #args do
    local listed = redis.call('ZSCORE', keys[3], args[i])
    if listed and tonumber(listed) < tonumber(args[2]) then redis.call('ZREM', keys[3], args[i]) end
  end
  return 0
end

-- KEYS: 3 rooms
-- ARGV: a node that is one no longer, and whose readers are out of every room
local function strike(keys, args)
  redis.call('DEL', keys[3])
  redis.call('SREM', keys[2], args[1])
  return redis.call('ZREM', keys[1], args[1])
end

redis.register_function('moyiza_enter', enter)
redis.register_function('moyiza_leave', leave)
redis.register_function('moyiza_read', read)
redis.register_function('moyiza_checkpoint', checkpoint)
redis.register_function('moyiza_bury', bury)
redis.register_function('moyiza_tell', tell)
redis.register_function('moyiza_snapshot', snapshot)
redis.register_function('moyiza_version', version)
redis.register_function('moyiza_positions', positions)
redis.register_function('moyiza_changes', changes_since)
redis.register_function('moyiza_begin_load', begin_load)
redis.register_function('moyiza_load', load)
redis.register_function('moyiza_renew', renew)
redis.register_function('moyiza_condemn', condemn)
redis.register_function('moyiza_register', register)
redis.register_function('moyiza_unregister', unregister)
redis.register_function('moyiza_strike', strike)
