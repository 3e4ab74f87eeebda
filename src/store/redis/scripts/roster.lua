-- What all scripts of rosters share beside what channels do. KEYS: the head and the log of the channel that tells of the
-- roster; its members in order, a user's sessions side by side; what each session is there, and under '' how many members
-- there are; stays that are over, by when they may be forgotten.
-- Of a session: its stay, since when and when it was last heard of, and the user that it counts as.
local VISIT = '>c8I6I6I2'
-- Milliseconds that a stay which is over is remembered, that a roster is kept without being touched, and after which
-- a member of which nobody speaks any more is taken for gone.
local OVER_TTL, ROSTER_TTL, STALE = 120000, 3600000, 1800000
-- Members that are looked at, by chance, whenever one comes.
local LOOKS = 2

local told = {}

-- Where a session stands among the members: `ref` has 24 bytes.
local function place(ref, user)
  if user == '' then return '1' .. ref end
  return '0' .. user .. '\0' .. ref
end

local function has_session(user)
  if user == '' then return false end
  return #redis.call('ZRANGEBYLEX', KEYS[3], '[0' .. user .. '\0', '(0' .. user .. '\1', 'LIMIT', 0, 1) > 0
end

-- What a session is in the roster: stay, since, heard of, user, what is told of it.
local function visit(packed)
  local stay, since, heard, length, at = struct.unpack(VISIT, packed)
  return stay, since, heard, string.sub(packed, at, at + length - 1), string.sub(packed, at + length)
end

-- An instant as RFC 3339 writes it.
local function instant(at)
  local day, ms = math.floor(at / 86400000), at % 86400000
  local z = day + 719468
  local era = math.floor(z / 146097)
  local of_era = z - era * 146097
  local year = math.floor(
    (of_era - math.floor(of_era / 1460) + math.floor(of_era / 36524) - math.floor(of_era / 146096)) / 365
  )
  local of_year = of_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * of_year + 2) / 153)
  local date = of_year - math.floor((153 * month + 2) / 5) + 1
  month = month < 10 and month + 3 or month - 9
  year = year + era * 400 + (month <= 2 and 1 or 0)
  local hour, minute, second = math.floor(ms / 3600000), math.floor(ms / 60000) % 60, math.floor(ms / 1000) % 60
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', year, month, date, hour, minute, second, ms % 1000)
end

-- Tells what has become of a member, behind what follows the first byte of `lead`; that is empty where nothing is told.
local function tell(lead, kind, about, count, at)
  if lead == '' then return end
  local frame = 'a["' .. string.sub(lead, 2) .. '{\\"type\\":\\"' .. kind .. '\\",' .. about .. ',\\"count\\":' .. count ..
    ',\\"at\\":\\"' .. instant(at) .. '\\"}"]'
  told[#told + 1] = frame
end

-- Takes a session out of the roster; whether its member is gone with it.
local function depart(ref, user, about, lead, at)
  redis.call('ZREM', KEYS[3], place(ref, user))
  redis.call('HDEL', KEYS[4], ref)
  if has_session(user) then return false end
  local count = redis.call('HINCRBY', KEYS[4], '', -1)
  if count <= 0 then
    count = 0
    redis.call('UNLINK', KEYS[3], KEYS[4])
  end
  tell(lead, 'leave', about, count, at)
  return true
end

-- Appends what is to be told to the channel.
local function publish_told(inbox, epoch, writer, ttl, most, most_bytes, age, at)
  if #told == 0 then return end
  local entries, count, weight = joined(told)
  accept(begin(load(), epoch, writer), at, inbox, ttl, entries, count, weight, most, most_bytes, age)
end

local function is_over(ref, stay, at)
  redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', at)
  return redis.call('ZSCORE', KEYS[5], ref .. stay)
end
