#!lua flags=allow-oom
-- recover: what the worker holds without knowing it: a reserve was carried out, and its answer was
-- lost or would have been too long.
--
-- ARGV: queue, worker, serial of this call, cold ms, then what it knows: id, serial …
-- Answers as reserve does.
local q, worker, serial = ARGV[1], ARGV[2], ARGV[3]
local limits, now = { cold_ms = tonumber(ARGV[4]) }, now_ms()
local RECOVER_MAX = 128 -- PL_RESERVE_MAX
if not is_member(q, worker) then return { 'STALE', -1 } end
local known = {}
for i = 5, #ARGV, 2 do known[ARGV[i] .. ' ' .. ARGV[i + 1]] = true end
local holds = call('HGETALL', held_key(worker))
local told = {}
local answer, count_ids, bytes = { 'OK', -1 }, 0, 0
for i = 1, #holds, 2 do
	local id = holds[i]
	local mark, p, lane, before = hold_parts(holds[i + 1])
	if not known[id .. ' ' .. before] then
		if count_ids == RECOVER_MAX or bytes > ANSWER_MAX then
			answer[1] = 'MORE'
			break
		end
		local record = call('GET', record_key(id))
		bytes = bytes + (record and #record or 0)
		count_ids = count_ids + 1
		told[#told + 1] = id
		told[#told + 1] = hold_text(mark, p, lane, serial)
		answer[#answer + 1] = id
		answer[#answer + 1] = record
		answer[#answer + 1] = is_unproven(host_of(q, lane), now, limits) and 1 or 0
	end
end
if #told > 0 then call('HSET', held_key(worker), unpack(told)) end
return answer
