#!lua flags=allow-oom
-- settle: takes requests out of the worker's held set and carries out their verdicts.
--
-- ARGV: queue, worker, host concurrency, cold ms, breaker ms, how many failure callbacks, these (failed
--   id, own id, priority, lane, record text), then per request: id, serial of its hold, verdict,
--   outcome, hold ms, delay ms, deliver lane, data bytes, chunk token, chunks, owner,
--   bytes the record will use, text
-- verdict  D done · R retry after delay ms · F failed · B back to its lane's head, after delay ms · X let go of
--          (what was written while it was held stands: cancelled, paused)
-- outcome  what the host showed: s success · a answer · b failure that counts for the breaker · - none
-- text     the event line (data block first), made for a record that nobody touched meanwhile
-- Stale is what the worker does not hold, or holds anew: a settle whose answer was lost may come
-- again after its request has come back. Returns a number each: 1 settled, 0 stale.
local q, worker = ARGV[1], ARGV[2]
local limits = { host_concurrency = tonumber(ARGV[3]), cold_ms = tonumber(ARGV[4]) }
local breaker_ms = tonumber(ARGV[5])
local STEP, FIRST = 13, 7 + 5 * tonumber(ARGV[6])
local now = now_ms()

local ids = {}
for i = FIRST, #ARGV, STEP do ids[#ids + 1] = ARGV[i] end
local holds = is_member(q, worker) and call('HMGET', held_key(worker), unpack(ids)) or {}

local answers, gone, hosts = {}, {}, {}
local onward, back, ended = {}, {}, {}
local bytes, dead = 0, {}

local function host_for(lane)
	local host = hosts[lane]
	if not host then
		host = { n = 0, s = 0, a = 0, b = 0, hold = 0 }
		hosts[lane] = host
	end
	return host
end

-- The event line, renumbered for what happened to the record while it was held.
local function merge(text, last, paused)
	local line = last_of(text)
	local fields = split(line)
	fields[1] = last[1] + 1
	if paused and not string.find('dxc', fields[3], 1, true) then fields[3] = fields[3] .. 'p' end
	return string.sub(text, 1, #text - #line - 1) .. table.concat(fields, '\t') .. '\n'
end

-- Makes the chunks of a body last; false when one is gone (their fetch took longer than they live).
local function commit(token, chunks)
	local keys = {}
	for i = 0, chunks - 1 do keys[#keys + 1] = chunk_key(token, i) end
	for i = 1, #keys, CHUNK do
		local some = { unpack(keys, i, math.min(i + CHUNK - 1, #keys)) }
		if call('EXISTS', unpack(some)) ~= #some then return false end
	end
	for _, key in ipairs(keys) do call('PERSIST', key) end
	for _, key in ipairs({ loose_key(worker), CUT }) do forget_loose(key, chunk_names(token, chunks), false) end
	call('ZREM', T .. 'cuts', token)
	return true
end

-- What is neither committed nor left by a cut is gone at once. The record names what an earlier cut
-- has left until an attempt has ended.
local function drop_loose(verdict, token, chunks)
	forget_loose(loose_key(worker), chunk_names(token, chunks), true)
	if verdict ~= 'B' then drop_cut(token) end
end

-- A record that its worker could not read ends all the same, if its last line can be.
local function tell_unreadable(id)
	local last = last_line(id)
	if not last or not tonumber(last[1]) or not tonumber(last[2]) then return '' end
	append_event(id, last, now, { state = 'x' }, 'qe', 'failed', q, nil, 'the record is not of our form')
	return tostring(last[1] + 1)
end

-- A leader that has failed fails its followers; one whose own time was over leaves them behind.
local function lead_on(id, text)
	if any('leaders') and split(last_of(text))[13] == 'expired' then
		leader_leaves(id)
	else
		leader_done(id)
	end
end

local function carry_out(id, mark, p, lane, verdict, outcome, hold_ms, delay_ms, deliver_lane, size, token, chunks, owner, kept, text)
	local host = host_for(lane)
	host.n = host.n + 1
	if outcome ~= '-' then host[outcome] = host[outcome] + 1 end
	host.hold = math.max(host.hold, hold_ms)

	local paused = false
	if mark ~= '-' then call('PUBLISH', T .. 'ack', id) end
	if mark == '#' then return end
	if mark == '!' then
		local last = last_line(id)
		if not last or not queue_of(last[3]) then return end
		paused = is_paused(last[3])
		if text ~= '' then text = merge(text, last, paused) end
	end
	if verdict == 'D' and chunks > 0 and not commit(token, chunks) then verdict, text = 'B', '' end
	if verdict ~= 'X' and text ~= '' then append(id, text) end
	local known = mark == '-' -- the record is still as its worker has read it
	if verdict == 'F' and text == '' then
		known, owner = false, (head_line(id) or {})[6] or ''
		text = tell_unreadable(id)
	end

	if verdict == 'D' and q == 'f' then
		bytes = bytes + size
		expires_onward(id)
		if not paused then group(onward, p, deliver_lane, id) end
		leader_done(id)
	elseif verdict == 'R' then
		if not paused then delay(q, id, now + delay_ms) end
	elseif verdict == 'B' then
		if chunks > 0 and text ~= '' then leave_cut(worker, token, chunks, now) end
		if paused then return end
		if delay_ms > 0 then delay(q, id, now + delay_ms) else group(back, p, lane, id) end
	elseif verdict == 'D' or verdict == 'F' then
		local uses = known and kept + RECORD_OVERHEAD or size_of(id, data_of(call('GET', record_key(id)) or ''))
		ended[#ended + 1] = { id, owner, string.match(text, '^%d+') or '0', uses }
		if verdict == 'F' then
			dead[#dead + 1] = id
			if q == 'f' then lead_on(id, text) end
		end
		if q == 'd' then bytes = bytes - size end
	end
end

-- A failure callback is a request of its own, stored with the failure it tells about.
local function tell_failures()
	local failed, told = {}, {}
	for _, id in ipairs(dead) do failed[id] = true end
	for i = 7, FIRST - 1, 5 do
		if failed[ARGV[i]] and call('SET', record_key(ARGV[i + 1]), ARGV[i + 4], 'NX') then
			local owner = split(string.match(ARGV[i + 4], '^[^\n]*'))[6]
			if owner ~= '' then count('live:' .. owner, 1) end
			count('bytes', data_of(ARGV[i + 4]).bytes)
			told[#told + 1] = ARGV[i + 1]
			group(onward, ARGV[i + 2], ARGV[i + 3], ARGV[i + 1])
		end
	end
	if #told == 0 then return end
	index_add('i', now, told)
	count('live', #told)
end

for k, id in ipairs(ids) do
	local at = FIRST + (k - 1) * STEP
	local mark, p, lane, serial
	if holds[k] then mark, p, lane, serial = hold_parts(holds[k]) end
	answers[k] = serial == ARGV[at + 1] and 1 or 0
	if answers[k] == 1 then
		gone[#gone + 1] = id
		carry_out(id, mark, p, lane, ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]),
			ARGV[at + 6], tonumber(ARGV[at + 7]), ARGV[at + 8], tonumber(ARGV[at + 9]), ARGV[at + 10],
			tonumber(ARGV[at + 11]), ARGV[at + 12])
		local chunks = tonumber(ARGV[at + 9])
		if chunks > 0 then drop_loose(ARGV[at + 2], ARGV[at + 8], chunks) end
	end
end

if #gone > 0 then
	call('HDEL', held_key(worker), unpack(gone))
	count('bytes', bytes)
	finish_all(ended, now)
	if #dead > 0 then
		index_add('x', now, dead)
		count('dead', #dead)
	end
	for lane, seen in pairs(hosts) do
		local host = host_of(q, lane)
		host.n = math.max(0, host.n - seen.n)
		local changes = {}
		local function change(field, value)
			changes[#changes + 1] = field
			changes[#changes + 1] = value
		end
		if seen.s > 0 then
			if is_unproven(host, now, limits) then rejoin(q, lane, host.t) end
			local base = is_cold(host, now, limits) and COLD_SLOTS or host.s
			local concurrency = limits_of(lane, limits)
			change('s', math.min(concurrency, base + seen.s))
			change('g', now)
			change('a', 0)
		elseif seen.a + seen.b > 0 then
			change('a', host.a + seen.a + seen.b)
		end
		if seen.s + seen.a > 0 then
			if host.b > 0 then change('b', 0) end
		elseif seen.b > 0 then
			change('b', host.b + seen.b)
			if host.b + seen.b >= BREAKER_AT then change('o', now + breaker_ms) end
		end
		if seen.hold > 0 then change('u', math.max(host.u, now + seen.hold)) end
		if host.w > 0 then change('w', 0) end
		save_host(q, lane, host.n, host.t, unpack(changes))
		if host.w > 0 then offer_waiting(q, lane) end
	end
	tell_failures()
	enqueue('d', onward)
	enqueue(q, back, 'LPUSH')
end
return answers
