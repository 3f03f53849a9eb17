#!lua name=moyiza
-- Positions and who is reading, one room in each call; all keys of a room are in one slot. The rules are those
-- of `reading/state.rs`, which is tested against this.
--
-- KEYS: 1 positions (sorted set: members who are not reading now, by seq)
--       2 active (hash: user -> "member floor node,node,…")
--       3 meta (hash: version, told, loading)
--       4 changes (list: the last of them)
-- ARGV: 1 the channel of the room's changes, then the function's own
--
-- A seq has up to 53 bits: numbers are compared as doubles, which hold them, and kept as the strings they
-- came in, because Lua writes only 14 digits.

local KEPT = 1000
local NOBODY = '-'

local function is_cold(keys)
  return redis.call('HEXISTS', keys[3], 'version') == 0
end

local function larger(a, b)
  if tonumber(a) < tonumber(b) then return b end
  return a
end

local function change(keys, channel, user, to)
  local version = string.format('%.0f', redis.call('HINCRBY', keys[3], 'version', 1))
  local line = version .. ' ' .. user .. ' ' .. to
  redis.call('RPUSH', keys[4], line)
  redis.call('LTRIM', keys[4], -KEPT, -1)
  redis.call('SPUBLISH', channel, line)
  return line
end

local function read_active(keys, user)
  local text = redis.call('HGET', keys[2], user)
  if not text then return nil end
  local member, floor, nodes = string.match(text, '^(%d) (%d+) (.*)$')
  local active = { member = member == '1', floor = floor, nodes = {} }
  for node in string.gmatch(nodes, '[^,]+') do table.insert(active.nodes, node) end
  return active
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

-- Gives a member who reads nowhere any more their position back; keeps the others as they are.
local function settle(keys, channel, user, active)
  if #active.nodes > 0 or not active.member then
    write_active(keys, user, active)
    return false
  end
  redis.call('HDEL', keys[2], user)
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
  if not position or tonumber(position) >= tonumber(seq) then return false end
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

local function remove(keys, channel, user)
  redis.call('HDEL', keys[2], user)
  if redis.call('ZREM', keys[1], user) == 0 then return false end
  return change(keys, channel, user, NOBODY)
end

-- channel user node
local function enter(keys, args)
  if is_cold(keys) then return 'COLD' end
  local channel, user, node = args[1], args[2], args[3]
  local active = read_active(keys, user)
  if active then
    if not place(active, node) then
      table.insert(active.nodes, node)
      write_active(keys, user, active)
    end
    return false
  end
  local position = redis.call('ZSCORE', keys[1], user)
  local member = position ~= false
  write_active(keys, user, { member = member, floor = position or '0', nodes = { node } })
  if not member then return false end
  redis.call('ZREM', keys[1], user)
  return change(keys, channel, user, NOBODY)
end

-- channel user node taken
local function leave(keys, args)
  if is_cold(keys) then return 'COLD' end
  local channel, user, node, taken = args[1], args[2], args[3], args[4]
  local active = read_active(keys, user)
  local at = active and place(active, node)
  if not at then return false end
  table.remove(active.nodes, at)
  active.floor = larger(active.floor, taken)
  return settle(keys, channel, user, active)
end

-- channel node: the node is dead, nobody reads on it any more. A member falls back to where they came from, or to
-- their last message: a crash may show a read message as unread, never the other way round.
local function bury(keys, args)
  local channel, node = args[1], args[2]
  for _, user in ipairs(redis.call('HKEYS', keys[2])) do
    local active = read_active(keys, user)
    local at = place(active, node)
    if at then
      table.remove(active.nodes, at)
      settle(keys, channel, user, active)
    end
  end
  return redis.status_reply('OK')
end

-- KEYS: 1 the living nodes (sorted set: node by the time of its last call, in milliseconds)
-- ARGV: the node, and how long a lease lasts, in milliseconds
-- Renews the node's lease. Returns whether it still had one, and the nodes that have lost theirs.
local function renew(keys, args)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local held = redis.call('ZSCORE', keys[1], args[1]) ~= false
  redis.call('ZADD', keys[1], string.format('%.0f', now), args[1])
  local lost = redis.call('ZRANGEBYSCORE', keys[1], '-inf', string.format('(%.0f', now - args[2]))
  return { held and 1 or 0, lost }
end

-- KEYS: 1 the living nodes
-- ARGV: a node that is one no longer
local function strike(keys, args)
  return redis.call('ZREM', keys[1], args[1])
end

-- channel, then for each record: seq user effect (sent, joined or left)
local function tell(keys, args)
  if is_cold(keys) then
    -- Whoever is reading positions from the database may have read them before this record: they read again.
    redis.call('HDEL', keys[3], 'loading')
    return 0
  end
  local channel, told = args[1], redis.call('HGET', keys[3], 'told')
  for i = 2, #args, 3 do
    local seq, user, effect = args[i], args[i + 1], args[i + 2]
    if tonumber(seq) > tonumber(told) then
      told = seq
      if effect == 'joined' then join(keys, channel, user, seq)
      elseif effect == 'left' then remove(keys, channel, user)
      else advance(keys, channel, user, seq) end
    end
  end
  redis.call('HSET', keys[3], 'told', told)
  return 1
end

-- The version, then user and position in turn.
local function snapshot(keys)
  if is_cold(keys) then return 'COLD' end
  local answer = redis.call('ZRANGE', keys[1], 0, -1, 'WITHSCORES')
  table.insert(answer, 1, redis.call('HGET', keys[3], 'version'))
  return answer
end

-- token
local function begin_load(keys, args)
  if not is_cold(keys) then return 'WARM' end
  redis.call('HSET', keys[3], 'loading', args[1])
  return 'LOAD'
end

-- token version told, then user and position in turn
local function load(keys, args)
  if not is_cold(keys) then return 'WARM' end
  if redis.call('HGET', keys[3], 'loading') ~= args[1] then return 'AGAIN' end
  redis.call('DEL', keys[1], keys[2], keys[4])
  for i = 4, #args, 2 do redis.call('ZADD', keys[1], args[i + 1], args[i]) end
  redis.call('HDEL', keys[3], 'loading')
  redis.call('HSET', keys[3], 'version', args[2], 'told', args[3])
  return 'LOADED'
end

redis.register_function('moyiza_enter', enter)
redis.register_function('moyiza_leave', leave)
redis.register_function('moyiza_bury', bury)
redis.register_function('moyiza_renew', renew)
redis.register_function('moyiza_strike', strike)
redis.register_function('moyiza_tell', tell)
redis.register_function('moyiza_snapshot', snapshot)
redis.register_function('moyiza_begin_load', begin_load)
redis.register_function('moyiza_load', load)
