#!lua flags=allow-oom
-- recover: what the worker holds without knowing it: a reserve was carried out, and its answer was
-- lost or would have been too long.
--
-- ARGV: queue, worker, the ids it knows …
-- Answers as reserve does.
local q, worker = ARGV[1], ARGV[2]
local RECOVER_MAX = 128 -- PL_RESERVE_MAX
if not is_member(q, worker) then return { 'STALE', -1 } end
local known = {}
for i = 3, #ARGV do known[ARGV[i]] = true end
local answer, count_ids, bytes = { 'OK', -1 }, 0, 0
for _, id in ipairs(call('HKEYS', held_key(worker))) do
	if not known[id] then
		if count_ids == RECOVER_MAX or bytes > ANSWER_MAX then
			answer[1] = 'MORE'
			break
		end
		local record = call('GET', record_key(id))
		bytes = bytes + (record and #record or 0)
		count_ids = count_ids + 1
		answer[#answer + 1] = id
		answer[#answer + 1] = record
	end
end
return answer
