#!lua flags=allow-oom
-- recover: what the worker holds without knowing it: a reserve was carried out, its answer was lost.
--
-- ARGV: queue, worker, the ids it knows …
-- Answers as reserve does.
local q, worker = ARGV[1], ARGV[2]
local RECOVER_MAX = 128 -- PL_RESERVE_MAX
if not is_member(q, worker) then return { 'STALE', -1 } end
local known = {}
for i = 3, #ARGV do known[ARGV[i]] = true end
local answer = { 'OK', -1 }
for _, id in ipairs(call('HKEYS', held_key(worker))) do
	if not known[id] and #answer < 2 * RECOVER_MAX then
		answer[#answer + 1] = id
		answer[#answer + 1] = call('GET', record_key(id))
	end
end
return answer
