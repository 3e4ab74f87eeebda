-- What scripts share that take messages once. Ids are kept in two generations, so that forgetting costs nothing: when the
-- younger is full, or as old as ids have to become, it takes the elder's place. An id leads to the digest of its message
-- and the place of that; the time of the first stands under the empty name.
-- A name of a message: its id and digest, and how many bytes both have.
local NAME, NAME_BYTES = '>c16c8', 24

-- Makes room for more ids. When the younger generation begins or has begun.
local function make_room(young, old, at, most, time)
  local begun = tonumber(redis.call('HGET', young, '') or at)
  if at - begun < time and redis.call('HLEN', young) <= most then return begun end
  redis.call('UNLINK', old)
  redis.call('RENAME', young, old)
  return at
end

-- Tells messages whose ids are new, which are to stand behind a place, from those that are known already or that `mine`
-- knows. The new ones; what to remember of them; and what to answer of each: `a` for a new one, `r` for a repeated one,
-- `c` for the same id with another content, and where the message of that id is.
local function sift(young, old, mine, names, frames, epoch, seq)
  local fresh, ids, told = {}, {}, {}
  for i, frame in ipairs(frames) do
    local id, digest = struct.unpack(NAME, names, (i - 1) * NAME_BYTES + 1)
    local known = ids[id] or mine[id] or redis.call('HGET', young, id) or redis.call('HGET', old, id)
    if known then
      told[i] = (string.sub(known, 1, 8) == digest and 'r' or 'c') .. string.sub(known, 9)
    else
      fresh[#fresh + 1] = frame
      local place = epoch .. struct.pack('>I6', seq + #fresh)
      ids[id], told[i] = digest .. place, 'a' .. place
    end
  end
  return fresh, ids, told
end

-- Remembers ids for so long, and up to twice as long.
local function remember(young, begun, ids, time)
  if not next(ids) then return end
  redis.call('HSET', young, '', begun)
  for id, known in pairs(ids) do redis.call('HSET', young, id, known) end
  redis.call('PEXPIREAT', young, begun + 2 * time)
end
