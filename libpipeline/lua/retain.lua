#!lua flags=allow-oom
-- retain: takes away what has been kept long enough, the oldest first, a few requests a call. Live
-- requests are never touched.
--
--   finished --data ms--> bare (log and record) --record ms--> gone
--      '---- failed ----> dead (with all it has) --dead ms--> gone
--
-- ARGV: data ms, record ms, dead ms, most bytes that finished requests may use (0: any), most steps
-- Returns { steps taken, 1 if there is more to do }.
local data_ms, record_ms, dead_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local bytes_max, most = tonumber(ARGV[4]), tonumber(ARGV[5])
local now = now_ms()
local kept = tonumber(call('HGET', T .. 'c', 'kept') or 0)
local steps, freed = 0, 0

-- What is counted is what a record uses by itself; its labels and keys are not. So Redis' own figure is
-- asked too: finished requests go while it is above its share, a little below where the api accepts
-- nothing more.
local PRESSED = 0.7
local info = call('INFO', 'memory')
local used, maxmemory = tonumber(string.match(info, '\nused_memory:(%d+)')), tonumber(string.match(info, '\nmaxmemory:(%d+)'))

local function too_much()
	return bytes_max > 0 and kept - freed > bytes_max or maxmemory > 0 and used - freed > PRESSED * maxmemory
end

-- The oldest of a list whose end still stands: an entry is an id and the number of its last event.
-- What went on since stands in the list again by its later end.
local function oldest(list)
	for _ = 1, most do
		local entry = call('LINDEX', T .. list, 0)
		if not entry then return nil end
		local id, n = unpack(split(entry))
		local last = last_line(id)
		if last and last[1] == n and not queue_of(last[3]) then
			return id, last, created_of(id) + tonumber(last[2]), entry
		end
		call('LPOP', T .. list)
		steps = steps + 1
	end
	return nil
end

local function rewrite(id, text)
	freed = freed + call('STRLEN', record_key(id)) - #text
	call('SET', record_key(id), text)
end

-- The record without what its fetches committed; its events stay.
local function strip_data(id)
	local text = call('GET', record_key(id))
	local data = data_of(text)
	if not data then return end
	local parts = { string.sub(text, 1, string.find(text, '\n', 1, true)) }
	each_event(text, function(line)
		local f = split(line)
		for i = 16, #f do f[i] = nil end
		parts[#parts + 1] = string.gsub(table.concat(f, '\t'), '\t+$', '') .. '\n'
	end)
	if data.chunks > 0 then freed = freed + data.bytes end
	drop_chunks(data)
	rewrite(id, table.concat(parts))
end

-- The record with its last event only.
local function strip_log(id)
	local text = call('GET', record_key(id))
	rewrite(id, string.sub(text, 1, string.find(text, '\n', 1, true)) .. last_of(text) .. '\n')
end

local function remove(list, id)
	local text = call('GET', record_key(id))
	local data = data_of(text)
	freed = freed + #text + RECORD_OVERHEAD + (data and data.chunks > 0 and data.bytes or 0)
	call('LPOP', T .. list)
	erase(id, data)
	count('trimmed', 1)
end

local function step()
	local id, last, at, entry = oldest('finished')
	if id and string.sub(last[3], 1, 1) == 'x' then
		call('LPOP', T .. 'finished')
		call('RPUSH', T .. 'dead', entry)
		return true
	end
	if id and (now - at >= data_ms or too_much()) then
		call('LPOP', T .. 'finished')
		strip_data(id)
		call('RPUSH', T .. 'bare', entry)
		return true
	end
	id, last, at, entry = oldest('bare')
	if id and now - at >= record_ms then
		remove('bare', id)
		return true
	end
	if id and too_much() then
		call('LPOP', T .. 'bare')
		strip_log(id)
		call('RPUSH', T .. 'stripped', entry)
		return true
	end
	id, last, at = oldest('stripped')
	if id and (now - at >= record_ms or too_much()) then
		remove('stripped', id)
		return true
	end
	id, last, at = oldest('dead')
	if id and (now - at >= dead_ms or too_much()) then
		count('dead', -1)
		remove('dead', id)
		return true
	end
	return false
end

-- Index slots in which a long run of ids has no record any more.
local SWEEPS = 8
for _ = 1, SWEEPS do
	local entry = call('SPOP', T .. 'sweep')
	if not entry then break end
	slot_trim(string.match(entry, '\t(.*)$'), string.match(entry, '^(%d+)'))
end
local sweeps_more = call('EXISTS', T .. 'sweep') == 1

local more = true
while more and steps < most do
	more = step()
	steps = steps + 1
end
count('kept', -freed)
return { steps, (more or sweeps_more) and 1 or 0 }
