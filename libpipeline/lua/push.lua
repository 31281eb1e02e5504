#!lua
-- push: stores new requests and puts each into its lane. Idempotent by id.
--
-- ARGV: queue max, then per request: id, first queue, priority, lane, delay ms, labels (tab between),
--   record text
-- Returns a number each: 1 stored (now or before), 0 refused: the backlog is full.
local now = now_ms()
local room = tonumber(ARGV[1]) - tonumber(call('HGET', T .. 'c', 'live') or 0)
local answers, groups, index, labelled = {}, { f = {}, d = {} }, {}, {}
for i = 2, #ARGV, 7 do
	local id, q, p, lane, delay_ms = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], tonumber(ARGV[i + 4])
	local answer = 1
	if room <= 0 then
		answer = call('EXISTS', record_key(id))
	elseif call('SET', record_key(id), ARGV[i + 6], 'NX') then
		room = room - 1
		index[#index + 1] = id
		for label in string.gmatch(ARGV[i + 5], '[^\t]+') do
			labelled[label] = labelled[label] or {}
			table.insert(labelled[label], id)
		end
		if delay_ms > 0 then
			delay(q, id, now + delay_ms)
		else
			group(groups[q], p, lane, id)
		end
	end
	answers[#answers + 1] = answer
end
if #index > 0 then
	index_add('i', now, index)
	for label, ids in pairs(labelled) do index_add('n:' .. label, now, ids) end
	count('live', #index)
	enqueue('f', groups.f)
	enqueue('d', groups.d)
end
return answers
