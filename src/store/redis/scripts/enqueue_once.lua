-- Takes, of each group of messages, all or none of those whose ids the queue does not remember. What became of each
-- message; `f` where there was no room for those of its group.
local epoch, writer, most, most_bytes = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local most_ids, time = tonumber(ARGV[5]), tonumber(ARGV[6])
local q = begin_queue(load_queue(), epoch, writer)
local at = now()
local begun = make_room(KEYS[2], KEYS[3], at, most_ids, time)
local held, mine, answers, from = redis.call('HLEN', key('messages')), {}, {}, 7
while from <= #ARGV do
  local names, frames = ARGV[from], {}
  for i = from + 1, from + #names / NAME_BYTES do frames[#frames + 1] = ARGV[i] end
  local fresh, ids, told = sift(KEYS[2], KEYS[3], mine, names, frames, q[Q_EPOCH], q[Q_LAST])
  local fits = #fresh == 0
  if not fits then
    local holds = put(q, held, fresh, most, most_bytes)
    fits, held = holds, holds or held
  end
  for _, answer in ipairs(told) do answers[#answers + 1] = fits and answer or 'f' end
  for id, known in pairs(fits and ids or {}) do mine[id] = known end
  from = from + #frames + 1
end
assign(q, at, epoch, writer)
save_queue(q, at)
-- Taken first, remembered then: what goes wrong between the two is sent twice, and not lost.
remember(KEYS[2], begun, mine, time)
return answers
