-- Appends those messages of a batch whose ids the channel does not remember, and answers what became of each.
local inbox, epoch, writer, ttl = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local most, most_bytes, age = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local most_ids, time, names, frames = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10], {}
for i = 11, #ARGV do frames[#frames + 1] = ARGV[i] end
local h = begin(load(), epoch, writer)
local at = now()
local begun = make_room(KEYS[3], KEYS[4], at, most_ids, time)
local fresh, ids, told = sift(KEYS[3], KEYS[4], {}, names, frames, h[EPOCH], h[SEQ])
if #fresh > 0 then
  local entries, count, weight = joined(fresh)
  accept(h, at, inbox, ttl, entries, count, weight, most, most_bytes, age)
end
-- Appended first, remembered then: what goes wrong between the two is sent twice, and not lost.
remember(KEYS[3], begun, ids, time)
return told
