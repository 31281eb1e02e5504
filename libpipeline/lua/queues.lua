#!lua flags=no-writes
-- queues: how each of the two stands.
--
-- Returns per queue (f, d): ready, delayed, leased, workers, 1 if paused, age of the oldest ready
-- (ms; -1: none seen), and at the end: live, dead, undelivered bytes, bytes that finished requests
-- use, requests taken away by retention so far.
local LANES_MAX = 64 -- heads looked at for the oldest
local now = now_ms()
local answer = {}
local function counted(field) return tonumber(call('HGET', T .. 'c', field) or 0) end
for _, q in ipairs({ 'f', 'd' }) do
	local leased, oldest = 0, -1
	local workers = call('ZRANGE', T .. q .. ':workers', 0, -1)
	for _, worker in ipairs(workers) do leased = leased + call('HLEN', held_key(worker)) end
	for _, p in ipairs(PRIORITIES) do
		for _, lane in ipairs(call('LRANGE', turn_key(q, p), 0, LANES_MAX - 1)) do
			local id = call('LINDEX', lane_key(q, p, lane), 0)
			if id then oldest = math.max(oldest, now - created_of(id)) end
		end
	end
	for _, value in ipairs({ counted(q), call('ZCARD', T .. q .. ':z'), leased, #workers,
		call('EXISTS', T .. q .. ':paused'), oldest }) do
		answer[#answer + 1] = value
	end
end
answer[#answer + 1] = counted('live')
answer[#answer + 1] = counted('dead')
answer[#answer + 1] = counted('bytes')
answer[#answer + 1] = math.max(0, counted('kept'))
answer[#answer + 1] = counted('trimmed')
return answer
