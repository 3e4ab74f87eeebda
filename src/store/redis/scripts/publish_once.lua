-- Appends those messages of a batch whose ids the channel does not remember. What became of each: `a` appended, `r`
-- repeated, `c` the same id with another content; and where the message of that id is.
local inbox, entries, epoch, writer, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local most, most_bytes, age = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local most_ids, remember, names = tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[11]
local h = begin(load(), epoch, writer)
local at = now()

-- Ids are kept in two generations, so that forgetting costs nothing. The time of the first stands under the empty name.
local begun = tonumber(redis.call('HGET', KEYS[3], '') or at)
if at - begun >= remember or redis.call('HLEN', KEYS[3]) > most_ids then
  redis.call('UNLINK', KEYS[4])
  redis.call('RENAME', KEYS[3], KEYS[4])
  begun = at
end

local fresh, count, weight, answers, mine, here = {}, 0, 0, {}, {}, 1
for i = 1, #names / 28 do
  local id, digest, weighs = struct.unpack('>c16c8I4', names, i * 28 - 27)
  local behind = here + 4 + struct.unpack('>I4', entries, here)
  local known = mine[id] or redis.call('HGET', KEYS[3], id) or redis.call('HGET', KEYS[4], id)
  if known then
    answers[i] = (string.sub(known, 1, 8) == digest and 'r' or 'c') .. string.sub(known, 9)
  else
    count, weight = count + 1, weight + weighs
    local place = h[EPOCH] .. struct.pack('>I6', h[SEQ] + count)
    fresh[count], mine[id], answers[i] = string.sub(entries, here, behind - 1), digest .. place, 'a' .. place
  end
  here = behind
end
if count == 0 then return answers end

-- Appended first, remembered then: what goes wrong between the two is sent twice, and not lost.
local element = append(h, at, table.concat(fresh), count, weight, most, most_bytes, age)
redis.call('HSET', KEYS[3], '', begun)
for id, known in pairs(mine) do redis.call('HSET', KEYS[3], id, known) end
redis.call('PEXPIRE', KEYS[3], 2 * remember)
renew(h, at, ttl)
redis.call('PEXPIRE', KEYS[2], age)
save(h)
-- Only a hint: what is appended is accepted, heard of or not.
redis.pcall('SPUBLISH', inbox, h[EPOCH] .. element)
return answers
