#!lua
-- push: stores new requests and puts each into its lane. Idempotent by id.
--
-- ARGV: queue max, then per request: id, first queue, priority, lane, delay ms, record text
-- Returns a number each: 1 stored (now or before), 0 refused: the backlog is full.
local now = now_ms()
local room = tonumber(ARGV[1]) - tonumber(call('HGET', T .. 'c', 'live') or 0)
local answers, groups, index = {}, { f = {}, d = {} }, {}
for i = 2, #ARGV, 6 do
	local id, q, p, lane, delay_ms = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], tonumber(ARGV[i + 4])
	local answer = 1
	if room <= 0 then
		answer = call('EXISTS', record_key(id))
	elseif call('SET', record_key(id), ARGV[i + 5], 'NX') then
		room = room - 1
		index[#index + 1] = id
		if delay_ms > 0 then
			delay(q, id, now + delay_ms)
		else
			group(groups[q], p, lane, id)
		end
	end
	answers[#answers + 1] = answer
end
if #index > 0 then
	local minute = math.floor(now / 60000)
	local key = T .. 'i:' .. minute
	if call('EXISTS', key) == 0 then call('ZADD', T .. 'i', minute, minute) end
	push_all('RPUSH', key, index)
	count('live', #index)
	enqueue('f', groups.f)
	enqueue('d', groups.d)
end
return answers
