#!lua flags=no-writes
-- queues: how each of the two stands.
--
-- Returns per queue (f, d): ready, delayed, leased, workers, 1 if paused, age of the oldest that is
-- first in its lane (ms; -1: none seen), and at the end: live, dead, undelivered bytes, bytes that finished requests
-- use, requests taken away by retention so far.
local LANES_MAX = 64  -- of each turn those that are first; of those set aside or apart the longest waiting
local GHOSTS_MAX = 64 -- in front of a lane: behind more of them nobody is seen
local now = now_ms()
local answer = {}
local function counted(field) return tonumber(call('HGET', T .. 'c', field) or 0) end

local function first_in(q, p, lane)
	local key = lane_key(q, p, lane)
	local first = call('LINDEX', key, 0)
	if not first or call('SISMEMBER', T .. q .. ':g', first) == 0 then return first end
	for _, id in ipairs(call('LRANGE', key, 1, GHOSTS_MAX)) do
		if call('SISMEMBER', T .. q .. ':g', id) == 0 then return id end
	end
	return nil
end

local function oldest_of(q)
	local oldest = -1
	local function look(p, lane)
		local id = first_in(q, p, lane)
		if id then oldest = math.max(oldest, now - created_of(id)) end
	end
	local aside = call('ZRANGE', aside_key(q), 0, LANES_MAX - 1)
	for _, p in ipairs(PRIORITIES) do
		for _, lane in ipairs(call('LRANGE', turn_key(q, p), 0, LANES_MAX - 1)) do look(p, lane) end
		for _, lane in ipairs(aside) do look(p, lane) end
		for _, lane in ipairs(call('ZRANGE', apart_key(q, p), 0, LANES_MAX - 1)) do look(p, lane) end
	end
	return oldest
end

for _, q in ipairs({ 'f', 'd' }) do
	local leased = 0
	local workers = call('ZRANGE', T .. q .. ':workers', 0, -1)
	for _, worker in ipairs(workers) do leased = leased + call('HLEN', held_key(worker)) end
	for _, value in ipairs({ counted(q), call('ZCARD', T .. q .. ':z'), leased, #workers,
		call('EXISTS', T .. q .. ':paused'), oldest_of(q) }) do
		answer[#answer + 1] = value
	end
end
answer[#answer + 1] = counted('live')
answer[#answer + 1] = counted('dead')
answer[#answer + 1] = counted('bytes')
answer[#answer + 1] = math.max(0, counted('kept'))
answer[#answer + 1] = counted('trimmed')
return answer
