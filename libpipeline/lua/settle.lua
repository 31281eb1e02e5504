#!lua flags=allow-oom
-- settle: takes requests out of the worker's held set and carries out their verdicts.
--
-- ARGV: queue, worker, host concurrency, cold ms, breaker ms, how many failure callbacks, these (failed
--   id, own id, priority, lane, record text), then per request: id, serial of its hold, verdict and
--   outcome, deliver lane, data bytes, bytes the record will use, owner, text, more
-- verdict  D done · R retry after delay ms · F failed · B back to its lane's head, after delay ms · X let go of
--          (what was written while it was held stands: cancelled, paused)
-- outcome  what the host showed: s success · a answer · b failure that counts for the breaker · - none
-- text     the event line (data block first), made for a record that nobody touched meanwhile
-- more     "", or hold ms <tab> delay ms <tab> chunk token <tab> chunks, where one of them is set
-- Stale is what the worker does not hold, or holds anew: a settle whose answer was lost may come
-- again after its request has come back. Returns a number each: 1 settled, 0 stale; then 1 if there is
-- something to reserve now.
local q, worker = ARGV[1], ARGV[2]
local limits = { host_concurrency = tonumber(ARGV[3]), cold_ms = tonumber(ARGV[4]) }
local breaker_ms = tonumber(ARGV[5])
local STEP, FIRST = 9, 7 + 5 * tonumber(ARGV[6])
local now = now_ms()
learn('watched', 'f:e', 'd:e', 'leaders', 'after', 'limits', 'shared', q .. ':g', 'd:g')

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
local function merge(text, last, paused) -- rarely
	local line = last_of(text)
	local fields = split(line)
	fields[1] = last[1] + 1
	if paused and not string.find('dxc', fields[3], 1, true) then fields[3] = fields[3] .. 'p' end
	return string.sub(text, 1, #text - #line - 1) .. table.concat(fields, '\t') .. '\n'
end

-- Somebody has touched the record. Returns the text to write, nil when there is no more to do, and
-- whether it is paused now.
local function heed(id, mark, text) -- rarely
	call('PUBLISH', T .. 'ack', id)
	local last = mark == '!' and last_line(id)
	if not last or not queue_of(last[3]) then return nil end
	local paused = is_paused(last[3])
	return text ~= '' and merge(text, last, paused) or '', paused
end

-- Makes the chunks of a body last; false when one is gone (their fetch took longer than they live).
local function commit(token, chunks) -- rarely
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
local function drop_loose(verdict, token, chunks) -- rarely
	forget_loose(loose_key(worker), chunk_names(token, chunks), true)
	if verdict ~= 'B' then drop_cut(token) end
end

-- A record that its worker could not read ends all the same, if its last line can be. Returns the
-- number of its event, and its owner.
local function tell_unreadable(id) -- rarely
	local owner, last = (head_line(id) or {})[6] or '', last_line(id)
	if not last or not tonumber(last[1]) or not tonumber(last[2]) then return '', owner end
	append_event(id, last, now, { state = 'x' }, 'qe', 'failed', q, nil, 'the record is not of our form')
	return tostring(last[1] + 1), owner
end

-- A leader that has failed fails its followers; one whose own time was over leaves them behind.
local function lead_on(id, text) -- rarely
	if any('leaders') and split(last_of(text))[13] == 'expired' then
		leader_leaves(id)
	else
		leader_done(id)
	end
end

local function size_anew(id) -- rarely
	return size_of(id, data_of(call('GET', record_key(id)) or ''))
end

local function carry_out(at, mark, p, lane, verdict, delay_ms, token, chunks)
	local id, owner, text = ARGV[at], ARGV[at + 6], ARGV[at + 7]
	local host = host_for(lane)
	host.n = host.n + 1

	local paused = false
	if mark ~= '-' then
		text, paused = heed(id, mark, text)
		if not text then return end
	end
	if verdict == 'D' and chunks > 0 and not commit(token, chunks) then verdict, text = 'B', '' end
	if verdict ~= 'X' and text ~= '' then append(id, text) end
	local known = mark == '-' -- the record is still as its worker has read it
	if verdict == 'F' and text == '' then
		known = false
		text, owner = tell_unreadable(id)
	end

	if verdict == 'D' and q == 'f' then
		bytes = bytes + tonumber(ARGV[at + 4])
		expires_onward(id)
		if not paused then group(onward, p, ARGV[at + 3], id) end
		leader_done(id)
	elseif verdict == 'R' then
		if not paused then delay(q, id, now + delay_ms) end
	elseif verdict == 'B' then
		if chunks > 0 and text ~= '' then leave_cut(worker, token, chunks, now) end
		if paused then return end
		if delay_ms > 0 then delay(q, id, now + delay_ms) else group(back, p, lane, id) end
	elseif verdict == 'D' or verdict == 'F' then
		local uses = known and tonumber(ARGV[at + 5]) + RECORD_OVERHEAD or size_anew(id)
		ended[#ended + 1] = { id, owner, string.match(text, '^%d+') or '0', uses }
		if verdict == 'F' then
			dead[#dead + 1] = id
			if q == 'f' then lead_on(id, text) end
		end
		if q == 'd' then bytes = bytes - tonumber(ARGV[at + 4]) end
	end
end

-- A failure callback is a request of its own, stored with the failure it tells about.
local function tell_failures() -- rarely
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

-- hold ms, delay ms, token, chunks
local function more_of(text) -- rarely
	local more = split(text)
	return tonumber(more[1]), tonumber(more[2]), more[3], tonumber(more[4])
end

-- Requests that one reserve brought of one lane and priority are held with the same words.
local parts = {}
local function parts_of(hold)
	if not parts[hold] then parts[hold] = { hold_parts(hold) } end
	return unpack(parts[hold])
end

for k, id in ipairs(ids) do
	local at = FIRST + (k - 1) * STEP
	local mark, p, lane, serial
	if holds[k] then mark, p, lane, serial = parts_of(holds[k]) end
	answers[k] = serial == ARGV[at + 1] and 1 or 0
	if answers[k] == 1 then
		gone[#gone + 1] = id
		local verdict, outcome = string.sub(ARGV[at + 2], 1, 1), string.sub(ARGV[at + 2], 2)
		local host, hold_ms, delay_ms, token, chunks = host_for(lane), 0, 0, '', 0
		if ARGV[at + 8] ~= '' then hold_ms, delay_ms, token, chunks = more_of(ARGV[at + 8]) end
		if outcome ~= '-' then host[outcome] = host[outcome] + 1 end
		host.hold = math.max(host.hold, hold_ms)
		carry_out(at, mark, p, lane, verdict, delay_ms, token, chunks)
		if chunks > 0 then drop_loose(verdict, token, chunks) end
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
			changes[#changes + 1] = int(value)
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
	if FIRST > 7 then tell_failures() end
	enqueue('d', onward)
	enqueue(q, back, 'LPUSH')
end
answers[#ids + 1] = rung[q] and 1 or 0
return answers
