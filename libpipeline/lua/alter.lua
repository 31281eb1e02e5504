#!lua flags=allow-oom
-- alter: what people do to one request: cancel, pause, resume, redeliver, delete; look changes
-- nothing.
--
-- ARGV: verb, id, owner ("" may touch all), who (service and level letters of the event)
-- Returns { word, holder }: NONE no such request · OK changed · SAME it was so already ·
--   HELD changed, now or before, and the worker that holds it was told · FINAL, BUSY, EXPIRED: not in
--   this state.
local verb, id, owner, who = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local now = now_ms()
if verb == 'look' then return { is_told(id) and 'HELD' or 'SAME', '' } end
local last = last_line(id)
if not last then return { 'NONE', '' } end
local head = head_line(id)
if owner ~= '' and head[6] ~= owner then return { 'NONE', '' } end
local state = last[3]
local letter = string.sub(state, 1, 1)
local q = queue_of(state)
local stage = q or '-'
local worker, hold
if q then worker, hold = holder_of(q, id) end

local function till_of()
	local till = tonumber(last[15] or '') or 0
	return till > 0 and created_of(id) + till or 0
end

local function cancel(name, message)
	if worker then
		touch(id, worker, hold, '#', 'cancel')
	else
		take_out(q, id, state)
	end
	local data = data_of(call('GET', record_key(id)))
	if q == 'd' and data then count('bytes', -data.bytes) end
	append_event(id, last, now, { state = 'c' }, who, name, stage, 'cancelled', message)
	finish(id, head[6], last[1] + 1, size_of(id, data), now)
	if q == 'f' then leader_leaves(id) end
	return worker and 'HELD' or 'OK'
end

local verbs = {}

function verbs.cancel()
	if letter == 'c' then return is_told(id) and 'HELD' or 'SAME' end
	if not q then return 'FINAL' end
	local message = 'cancelled on request'
	if worker and q == 'd' then message = 'mayHaveArrived: the callback was under way and has been cut' end
	return cancel('cancelled', message)
end

-- A fetch is cut; a delivery is not, its verdict counts. A due time stands.
function verbs.pause()
	if not q then return 'FINAL' end
	if is_paused(state) then return worker and q == 'f' and 'HELD' or 'SAME' end
	local due = 0
	if worker then
		touch(id, worker, hold, '!', q == 'f' and 'pause' or nil)
	elseif not group_of(id) then -- who waits for another keeps that place
		due = take_out(q, id, state)
	end
	if q == 'f' then leader_leaves(id) end
	append_event(id, last, now, { state = letter .. 'p' }, who, 'paused', stage, nil, nil, due)
	return worker and q == 'f' and 'HELD' or 'OK'
end

function verbs.resume()
	if not q then return 'FINAL' end
	if not is_paused(state) then return 'SAME' end
	local due = till_of()
	append_event(id, last, now, { state = letter }, who, 'resumed', stage, nil, nil, due > now and due or nil)
	if worker then return 'OK' end -- settle sees the record as it is by then
	if group_of(id) then return 'OK' end -- it goes on waiting for another
	if due > now then delay(q, id, due) else put_in(q, id) end
	return 'OK'
end

-- No new fetch: what was fetched goes out again, attempts anew.
function verbs.redeliver()
	if letter == 'f' and not worker then
		local due = tonumber(call('ZSCORE', T .. 'd:z', id) or 0)
		if due == 0 then return 'BUSY' end
		call('ZREM', T .. 'd:z', id)
		append_event(id, last, now, {}, who, 'redeliver', 'd', nil, 'due now')
		put_in('d', id)
		return 'OK'
	end
	if q or is_told(id) then return 'BUSY' end -- told: what it holds must be gone first
	local data = data_of(call('GET', record_key(id)))
	if not data then return 'EXPIRED' end
	if letter == 'x' then count('dead', -1) end
	revive(id, data, last[1])
	if head[6] ~= '' then count('live:' .. head[6], 1) end
	count('bytes', data.bytes)
	append_event(id, last, now, { state = 'f', deliveries = 0 }, who, 'redeliver', 'd')
	expires_anew('d', id, now)
	put_in('d', id)
	return 'OK'
end

function verbs.delete()
	local word = is_told(id) and 'HELD' or 'OK'
	local data = data_of(call('GET', record_key(id)))
	if q then word = cancel('cancelled', 'deleted') end
	if letter == 'x' then count('dead', -1) end
	revive(id, data, q and last[1] + 1 or last[1]) -- its bytes are counted no more,
	count('live', -1) -- and it does not live
	erase(id, data)
	return word
end

return { verbs[verb](), worker or '' }
