-- lib: what the verbs share. script_link.c puts before each what it uses of this, behind T = KEYS[1], the
-- shard's tag "{f0}:", and call = redis.call. A call makes each function anew and pays for what it
-- captures, so definitions stand at the left margin, one by one, and begin with "local"; what only a
-- function marked "-- rarely" uses is made when that runs, so whoever calls it asks first.
--
-- What is paid for, too: a number as an argument of call (Redis prints it as a double), tonumber, and
-- each call. So common numbers are texts here, and what is rare is asked for together (learn).
--
-- Letters: queue f(etch) d(eliver) · priority h d l · state s(cheduled) q(ueued) f(etched)
-- d(elivered) x(failed) c(ancelled), a 'p' behind it: paused. docs/PIPELINE.md draws the keys.
local PRIORITIES = { 'h', 'd', 'l' }
local BREAKER_AT = 10 -- failures in a row that open the breaker
local COLD_SLOTS = 2  -- for a host that is new or had no success lately
local COLD_ANSWERS = 8

local ANSWER_MAX = 8 * 1024 * 1024 -- bytes of records in one answer, about

local function now_ms()
	local t = call('TIME')
	return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function record_key(id) return T .. 'r:' .. id end
local function lane_key(q, p, lane) return T .. q .. ':l:' .. p .. ':' .. lane end
local function turn_key(q, p) return T .. q .. ':t:' .. p end
local function host_key(q, lane) return T .. q .. ':h:' .. lane end
local function held_key(worker) return T .. 'held:' .. worker end

local format = string.format
local function int(n) return format('%d', n) end

local function count(field, by)
	if by ~= 0 then call('HINCRBY', T .. 'c', field, int(by)) end
end

-- Which keys exist, for what is rarely there. What a script makes itself it notes in memo.
local memo = {}
local function any(name)
	if memo[name] == nil then memo[name] = call('EXISTS', T .. name) == 1 end
	return memo[name]
end

-- Asks for several at once; if none exists, nobody asks for any of them again.
local function learn(...)
	local names, keys = { ... }, {}
	for i, name in ipairs(names) do keys[i] = T .. name end
	if call('EXISTS', unpack(keys)) > 0 then return end
	for _, name in ipairs(names) do memo[name] = false end
end

-- It is not there, as far as is known without asking.
local function is_none(name) return memo[name] == false end

-- One token at most: whoever takes it reserves, and rings again if work remains. rung: this script did.
local rung = {}
local function ring(q)
	rung[q] = true
	local bell = T .. q .. ':bell'
	if call('LLEN', bell) == 0 then call('RPUSH', bell, '1') end
end

-- Puts a lane into its turn, once. Whether its host may be dialled now is reserve's to judge.
local function offer(q, p, lane)
	local key = host_key(q, lane)
	local turns = call('HGET', key, 't') or ''
	if not string.find(turns, p, 1, true) then
		memo[q .. ':t:' .. p] = true
		call('HSET', key, 't', turns .. p)
		call('PERSIST', key)
		call('RPUSH', turn_key(q, p), lane)
	end
end

-- groups[p][lane] = { id, … }, in order; verb RPUSH: to the tail, LPUSH: back to the head.
local function group(groups, p, lane, id)
	local lanes = groups[p]
	if not lanes then lanes = {}; groups[p] = lanes end
	local ids = lanes[lane]
	if not ids then ids = {}; lanes[lane] = ids end
	ids[#ids + 1] = id
end

local CHUNK = 1000 -- below Lua's limit for unpack
local function push_all(verb, key, ids)
	for i = 1, #ids, CHUNK do
		call(verb, key, unpack(ids, i, math.min(i + CHUNK - 1, #ids)))
	end
end

-- An id whose ghost still stands in its lane comes back in that place: no id stands in a lane twice.
local function revived(q, ids) -- rarely
	local others = {}
	for _, id in ipairs(ids) do
		if call('SREM', T .. q .. ':g', id) == 0 then others[#others + 1] = id end
	end
	return others
end

local function enqueue(q, groups, verb)
	local total = 0
	if not next(groups) then return 0 end
	local ghosts = any(q .. ':g')
	for p, lanes in pairs(groups) do
		for lane, ids in pairs(lanes) do
			push_all(verb or 'RPUSH', lane_key(q, p, lane), ghosts and revived(q, ids) or ids)
			offer(q, p, lane)
			total = total + #ids
		end
	end
	if total > 0 then
		count(q, total)
		ring(q)
	end
	return total
end

-- Enters an id with its time; rings when that comes before all others of the set.
local function await(q, set, id, due)
	local key = T .. q .. set
	memo[q .. set] = true
	local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
	call('ZADD', key, due, id)
	if not first[2] or due < tonumber(first[2]) then ring(q) end
end

local function delay(q, id, due) await(q, ':z', id, due) end

local function split(line)
	local fields, at = {}, 1
	while true do
		local tab = string.find(line, '\t', at, true)
		if not tab then
			fields[#fields + 1] = string.sub(line, at)
			return fields
		end
		fields[#fields + 1] = string.sub(line, at, tab - 1)
		at = tab + 1
	end
end

local LINE_MAX = 1024 -- PL_EVENT_LINE_MAX
local function last_of(text)
	local tail = string.sub(text, -LINE_MAX)
	local at = 0
	while true do
		local newline = string.find(tail, '\n', at + 1, true)
		if not newline or newline == #tail then return string.sub(tail, at + 1, #tail - 1) end
		at = newline
	end
end

-- The state: fields of the last event line; nil when there is no such record.
-- 1 n, 2 since, 3 state, 4 fetches, 5 deliveries, 6 refetch, 7 who, 8 name, … 15 until
local function last_line(id)
	local tail = call('GETRANGE', record_key(id), -LINE_MAX, -1)
	if tail == '' then return nil end
	return split(last_of(tail))
end

local HEAD_MAX = 700 -- the fields up to the lanes: 2 x PL_LANE_MAX and a little
-- 1 version, 2 priority, 3 starts in, 4 fetch lane, 5 deliver lane
local function head_line(id)
	local head = call('GETRANGE', record_key(id), 0, HEAD_MAX)
	if head == '' then return nil end
	return split(head)
end

local function lane_of(head, q)
	return q == 'f' and head[4] or head[5]
end

local function created_of(id)
	return tonumber(string.sub(id, 1, 8) .. string.sub(id, 10, 13), 16)
end

-- Tells whoever follows this request that its record has grown. Costs one call while nobody follows
-- anything. `watched` is a sorted set: id by when its follower will have forgotten it.
local function nudge(id)
	if any('watched') and call('ZSCORE', T .. 'watched', id) then call('PUBLISH', T .. 'tail', id) end
end

local function append(id, text)
	call('APPEND', record_key(id), text)
	nudge(id)
end

-- Calls back with each event line of a record's text (text, from, to), data block included, in
-- order. Data may look like lines, so blocks are stepped over by their length; a record that is not
-- of our form ends where that begins.
local function each_event(text, visit)
	local at = (string.find(text, '\n', 1, true) or #text) + 1
	local from = at
	while at <= #text do
		local newline = string.find(text, '\n', at, true)
		if not newline then return end
		if string.byte(text, at) == 61 then -- '='
			local length = tonumber(string.sub(text, at + 1, newline - 1))
			if not length or length < 0 then return end
			at = newline + 1 + length + 1
		else
			visit(string.sub(text, at, newline - 1), from, newline)
			at = newline + 1
			from = at
		end
	end
end

-- Keeps the first 20 and the last 180 events, and what the last fetch committed, wherever it stands.
local EVENTS_FIRST, EVENTS_LAST, COMPACT_LAG = 20, 180, 50
local function compact(id) -- rarely
	local text = call('GET', record_key(id))
	local total, data_at = 0, nil
	each_event(text, function(line)
		total = total + 1
		local f = split(line)
		if f[16] and f[16] ~= '' and f[16] ~= '-' then data_at = total end
	end)
	if total <= EVENTS_FIRST + EVENTS_LAST + COMPACT_LAG then return end
	local parts, n = { string.sub(text, 1, string.find(text, '\n', 1, true)) }, 0
	each_event(text, function(_, from, to)
		n = n + 1
		if n <= EVENTS_FIRST or n > total - EVENTS_LAST or n == data_at then
			parts[#parts + 1] = string.sub(text, from, to)
		end
	end)
	call('SET', record_key(id), table.concat(parts))
end

-- Appends an event of the queue's own to a record whose last line is given as fields. change may
-- set state, fetches, deliveries, refetch; the others stand.
local function append_event(id, last, now, change, who, name, stage, fault, message, till)
	local created = created_of(id)
	local line = table.concat({ last[1] + 1, math.max(0, now - created), change.state or last[3],
		change.fetches or last[4], change.deliveries or last[5], change.refetch or last[6], who, name,
		stage, '', '', '', fault or '', message or '',
		till and till > 0 and math.max(0, till - created) or '' }, '\t')
	append(id, string.gsub(line, '\t+$', '') .. '\n')
	if last[1] + 1 > EVENTS_FIRST + EVENTS_LAST + COMPACT_LAG then compact(id) end
end

-- What the fetch of this round has committed: nil, or { kind, bytes, chunks, token }. A refetch has
-- given up what was there before; a request that starts in deliver brings its data with it.
local function data_of(text)
	local data
	local round = split(last_of(text))[6]
	local any_round = split(string.sub(text, 1, 8))[3] == 'd'
	each_event(text, function(line)
		local f = split(line)
		if f[6] ~= round and not any_round then return end
		if f[16] and f[16] ~= '' and f[16] ~= '-' then
			data = { kind = f[16], bytes = tonumber(f[17] or '') or 0, chunks = tonumber(f[19] or '') or 0, token = f[20] }
		end
	end)
	return data
end

local function chunk_key(token, number) return T .. 'b:' .. token .. ':' .. number end

-- Which queue a state waits in; nil for a final one.
local function queue_of(state)
	local letter = string.sub(state, 1, 1)
	if letter == 'q' or letter == 's' then return 'f' end
	if letter == 'f' then return 'd' end
	return nil
end

local function is_paused(state) return string.sub(state, 2, 2) == 'p' end

-- For what does not change while a script looks at many requests: Redis is asked once.
local asked = {}
local function once(verb, key, ...)
	local name = verb .. key .. (... or '')
	if asked[name] == nil then asked[name] = call(verb, key, ...) end
	return asked[name]
end

local function workers_of(q) return once('ZRANGE', T .. q .. ':workers', 0, -1) end

-- Who holds it: worker and held value, or nil.
local function holder_of(q, id)
	for _, worker in ipairs(workers_of(q)) do
		local hold = call('HGET', held_key(worker), id)
		if hold then return worker, hold end
	end
	return nil
end

-- A held value is a mark, the priority, the lane, and the serial of the reserve or recover that told
-- the worker, by which settle knows this hold from an earlier one of the same request. Marks: '-'
-- nobody has touched the record since reserve · '!' somebody has: settle reads it before it writes ·
-- '#' it is not the worker's business any more: settle lets go, whatever the verdict.
local function hold_text(mark, p, lane, serial) return mark .. p .. lane .. ' ' .. serial end
local function hold_parts(hold) return string.match(hold, '^(.)(.)(%S+) ?(%S*)$') end

local function touch(id, worker, hold, mark, message)
	call('HSET', held_key(worker), id, mark .. string.sub(hold, 2))
	if message then call('RPUSH', T .. 'ctl:' .. worker, message .. ' ' .. id) end
end

-- A worker was told to let go of it, and has not done so yet.
local function is_told(id)
	for _, q in ipairs({ 'f', 'd' }) do
		local _, hold = holder_of(q, id)
		local mark = hold and string.sub(hold, 1, 1)
		if mark == '#' or (mark == '!' and q == 'f') then return true end
	end
	return false
end

-- An index: ids by time under a name, in lists <name>:<slot>; the sorted set m:<name> holds the
-- slots. A slot is ten seconds: a list is sought through from its end, so it must not be long.
local SLOT_MS = 10000
local function slot_of(ms) return math.floor(ms / SLOT_MS) end

local function index_add(name, now, ids)
	local slot = slot_of(now)
	local key = T .. name .. ':' .. slot
	if call('EXISTS', key) == 0 then call('ZADD', T .. 'm:' .. name, slot, slot) end
	push_all('RPUSH', key, ids)
end

-- Requests that share a dedupeKey. joined: follower -> group; leaders: leader -> group, key name;
-- j:<group>: the followers; fan: groups whose leader has come to an end; after: current -> the one
-- that is held until it is final, key name; keyed: id -> its key's name.
local function put(name, field, value)
	memo[name] = true
	call('HSET', T .. name, field, value)
end

local function group_of(id) return any('joined') and call('HGET', T .. 'joined', id) or nil end

-- Requests that expire: <q>:e holds those on their way, by when; lasts: id -> ms that a round may
-- last, from acceptance or from when people began it anew.
local function expires(q, id, at)
	await(q, ':e', id, at)
end

local function expires_anew(q, id, now)
	local lasts = any('lasts') and call('HGET', T .. 'lasts', id)
	if lasts then expires(q, id, now + lasts) end
end

local function expires_no_more(id)
	for _, q in ipairs({ 'f', 'd' }) do
		if any(q .. ':e') then call('ZREM', T .. q .. ':e', id) end
	end
end

-- Its fetch is done: the same time counts for its delivery.
local function expires_onward(id)
	local at = any('f:e') and call('ZSCORE', T .. 'f:e', id)
	if not at then return end
	call('ZREM', T .. 'f:e', id)
	expires('d', id, tonumber(at))
end

-- Takes a request that nobody holds out of where it waits; returns when it was due, or 0. In a lane
-- it leaves a ghost, which reserve passes over: searching the list would cost its length.
local function take_out(q, id, state)
	local due = tonumber(call('ZSCORE', T .. q .. ':z', id) or 0)
	if group_of(id) then
		call('HDEL', T .. 'joined', id) -- it stood in no lane
	elseif due > 0 then
		call('ZREM', T .. q .. ':z', id)
	elseif not is_paused(state) then
		memo[q .. ':g'] = true
		if call('SADD', T .. q .. ':g', id) == 1 then count(q, -1) end
	end
	return due
end

-- Puts it back: where its ghost still stands, else at the tail of its lane (enqueue knows).
local function put_in(q, id)
	local head = head_line(id)
	local groups = {}
	group(groups, head[2], lane_of(head, q), id)
	enqueue(q, groups)
end

-- Lets the key's name stand for another request from now on, for what is left of its window.
local function hand_key(name, id)
	local value = call('GET', name)
	if value then call('SET', name, id .. '\t' .. (split(value)[2] or ''), 'KEEPTTL', 'XX') end
end

-- Where a request that waited for another goes on: into its lane, or until its own time has come.
local function place(q, id, last, head, now, groups)
	local till = tonumber(last[15] or '')
	if till and created_of(id) + till > now then
		delay(q, id, created_of(id) + till)
	else
		group(groups, head[2], lane_of(head, q), id)
	end
end

-- A leader's fetch is over: its followers are served a few at a time (fan in reserve).
local function fan_out(id) -- rarely
	local value = call('HGET', T .. 'leaders', id)
	if not value then return end
	call('HDEL', T .. 'leaders', id)
	memo.fan = true
	call('RPUSH', T .. 'fan', split(value)[1] .. '\t' .. id)
	ring('f')
end

local function leader_done(id)
	if any('leaders') then fan_out(id) end
end

-- The first follower that still waits takes its leader's place; a paused one can't, and fetches by
-- itself when it goes on. Those that have gone are passed over, a few a call: the rest of a long line
-- is reserve's (orphans).
local ELECT_MAX = 64
local function elect(value) -- rarely
	local group_id, name = unpack(split(value))
	for _ = 1, ELECT_MAX do
		local heir = call('LPOP', T .. 'j:' .. group_id)
		if not heir then return end
		if call('HGET', T .. 'joined', heir) == group_id then
			call('HDEL', T .. 'joined', heir)
			local last, groups = last_line(heir), {}
			if last and not is_paused(last[3]) then
				put('leaders', heir, value)
				hand_key(name, heir)
				place('f', heir, last, head_line(heir), now_ms(), groups)
				enqueue('f', groups)
				return
			end
		end
	end
	memo.orphans = true
	call('RPUSH', T .. 'orphans', value)
	ring('f')
end

-- A leader leaves before its fetch was over.
local function leader_leaves(id) -- rarely
	if not any('leaders') then return end
	local value = call('HGET', T .. 'leaders', id)
	if not value then return end
	call('HDEL', T .. 'leaders', id)
	elect(value)
end

-- What a finished request costs beyond its text and chunks: key, index, list.
local RECORD_OVERHEAD = 350

local function size_of(id, data)
	return call('STRLEN', record_key(id)) + RECORD_OVERHEAD + (data and data.chunks > 0 and data.bytes or 0)
end

-- A final request that goes on: what it used is no longer counted as kept. Its entry among the
-- finished goes at once if it is one of the last; an older one is passed over in its turn.
local RECENT = 1000
local function revive(id, data, n)
	local entry = id .. '\t' .. n
	if call('LPOS', T .. 'finished', entry, 'RANK', -1, 'MAXLEN', RECENT) then
		call('LREM', T .. 'finished', -1, entry)
	end
	count('kept', -size_of(id, data))
	count('live', 1)
end

-- APPEND leaves a string as much room again as it has, which a record that is final never uses. A copy
-- has what is needed, and takes its place. Redis does it by itself (REPL_NONE): the value is the same, so
-- neither the append-only file nor a replica hears of it, and neither grows. COPY and RENAME cost
-- 12,000 instructions for 700 bytes, GET and SET, which would take them through Lua, 20,000; a record above
-- FIT_MAX, of many rounds, keeps its room: it would hold Redis up for more than 50 us.
local FIT_MAX = 32 * 1024
local function fit(id, size)
	local key = record_key(id)
	if size > FIT_MAX and call('STRLEN', key) > FIT_MAX then return end -- size: with its chunks
	redis.set_repl(redis.REPL_NONE)
	if call('COPY', key, T .. 'fit') == 1 then call('RENAME', T .. 'fit', key) end
	redis.set_repl(redis.REPL_ALL)
end

-- The end of a request, final in whatever state: what was held for it starts. n: the number of its
-- last event, by which retention knows that this end still stands. size: what it uses.
local function finish(id, owner, n, size, now) -- rarely
	fit(id, size)
	expires_no_more(id)
	count('live', -1)
	count('kept', size)
	if owner and owner ~= '' then count('live:' .. owner, -1) end
	call('RPUSH', T .. 'finished', id .. '\t' .. n)
	if not any('after') then return end
	local value = call('HGET', T .. 'after', id)
	if not value then return end
	call('HDEL', T .. 'after', id)
	local held, name = unpack(split(value))
	if group_of(held) ~= id then return end
	call('HDEL', T .. 'joined', held)
	hand_key(name, held)
	local last, groups = last_line(held), {}
	if last and not is_paused(last[3]) then
		place('f', held, last, head_line(held), now, groups)
		enqueue('f', groups)
	end
end

-- The same for a batch of { id, owner, n, size }, in few calls where nothing is held for any of them.
local function finish_all(ended, now)
	if #ended == 0 then return end
	if any('after') then
		for _, one in ipairs(ended) do finish(one[1], one[2], one[3], one[4], now) end
		return
	end
	local ids, owners, kept = {}, {}, 0
	for i, one in ipairs(ended) do
		fit(one[1], one[4])
		expires_no_more(one[1])
		ids[i] = one[1] .. '\t' .. one[3]
		kept = kept + one[4]
		if one[2] ~= '' then owners[one[2]] = (owners[one[2]] or 0) + 1 end
	end
	count('live', -#ids)
	count('kept', kept)
	for owner, n in pairs(owners) do count('live:' .. owner, -n) end
	push_all('RPUSH', T .. 'finished', ids)
end

-- A held request is replaced by a newer one.
local function supersede(id, now) -- rarely
	if not group_of(id) then return end
	call('HDEL', T .. 'joined', id)
	local last = last_line(id)
	if not last then return end
	append_event(id, last, now, { state = 'c' }, 'qi', 'cancelled', 'f', 'superseded', 'a newer request took its place')
	finish(id, head_line(id)[6], last[1] + 1, size_of(id), now)
end

-- What a record's last fetch committed, ready to be appended to another: { block, fields }.
local function fetched_of(id)
	local text = call('GET', record_key(id))
	if not text then return nil end
	local found
	local round = split(last_of(text))[6]
	each_event(text, function(line, from, to)
		local f = split(line)
		if f[6] == round and f[16] and f[16] ~= '' and f[16] ~= '-' then
			found = { block = string.sub(text, from, to - #line - 1), fields = f }
		end
	end)
	return found
end

-- Gives a follower what its leader has fetched and groups it for its delivery.
local function take_over(id, fetched, now, groups) -- rarely
	local last, head = last_line(id), head_line(id)
	local f = { unpack(fetched.fields) }
	f[1], f[2] = last[1] + 1, math.max(0, now - created_of(id))
	f[3] = is_paused(last[3]) and 'fp' or 'f'
	f[4], f[5], f[6], f[7] = last[4], last[5], last[6], 'qi'
	f[10], f[14] = '', 'fetched once for all that joined'
	if tonumber(f[19] or '') then memo.shared = true; call('HINCRBY', T .. 'shared', f[20], 1) end
	append(id, fetched.block .. table.concat(f, '\t') .. '\n')
	count('bytes', tonumber(f[17] or '') or 0)
	expires_onward(id)
	if not is_paused(last[3]) then place('d', id, last, head, now, groups) end
end

-- Chunks may be shared by requests that joined: the last one takes them away.
local function drop_chunks(data, ttl_ms)
	if not data or data.chunks == 0 then return end
	if any('shared') then
		local others = tonumber(call('HGET', T .. 'shared', data.token) or 0)
		if others > 1 then return call('HINCRBY', T .. 'shared', data.token, -1) end
		if others == 1 then return call('HDEL', T .. 'shared', data.token) end
	end
	for i = 0, data.chunks - 1 do
		if ttl_ms then
			call('PEXPIRE', chunk_key(data.token, i), ttl_ms)
		else
			call('UNLINK', chunk_key(data.token, i))
		end
	end
end

-- Takes what has no record any more off both ends of an index' slot, a little a call; what is left of
-- a long run is retain's (sweep). Between two records that stand, ids stay until one of these goes.
local TRIM_MAX = 50
local function end_trim(key, at, pop)
	for _ = 1, TRIM_MAX do
		local id = call('LINDEX', key, at)
		if not id or call('EXISTS', record_key(id)) == 1 then return true end
		call(pop, key)
	end
	return false
end

local function slot_trim(name, slot)
	local key = T .. name .. ':' .. slot
	local head, tail = end_trim(key, 0, 'LPOP'), end_trim(key, -1, 'RPOP')
	if call('EXISTS', key) == 0 then
		call('ZREM', T .. 'm:' .. name, slot)
	elseif not head or not tail then
		call('SADD', T .. 'sweep', slot .. '\t' .. name)
	end
end

-- A little after a request's id was made it was stored; clocks that differ by more than that leave
-- their ids to the slots that are the oldest.
local function index_trim(name, ms)
	local slot = slot_of(ms)
	slot_trim(name, slot)
	slot_trim(name, slot + 1)
	local oldest = call('ZRANGE', T .. 'm:' .. name, 0, 0)[1]
	if oldest and tonumber(oldest) < slot then slot_trim(name, oldest) end
end

-- Every trace of a request but the lists that pass over what has no record.
local function erase(id, data)
	local head, last = split(string.match(call('GET', record_key(id)), '^[^\n]*')), last_line(id)
	call('DEL', record_key(id))
	local created = created_of(id)
	index_trim('i', created)
	if head[10] and string.find(head[10], '"labels"', 1, true) then
		for _, label in ipairs(cjson.decode(head[10]).labels or {}) do index_trim('n:' .. label, created) end
	end
	if string.sub(last[3], 1, 1) == 'x' then index_trim('x', created + tonumber(last[2])) end
	drop_chunks(data)
	if any('lasts') then call('HDEL', T .. 'lasts', id) end
	if any('keyed') then
		local name = call('HGET', T .. 'keyed', id)
		if name then
			call('HDEL', T .. 'keyed', id)
			local value = call('GET', name)
			if value and split(value)[1] == id then call('DEL', name) end
		end
	end
end

-- What a host may still take. Fields of a host: n in flight, s slots earned, g last success,
-- a answers since, b failures in a row, o breaker open until, u held until, t turns, w starving,
-- v when the next one is due by its rate (a fraction of a ms).
local FIELDS = { 'n', 's', 'g', 'a', 'b', 'o', 'u', 't', 'w', 'v' }
local function host_of(q, lane)
	local values = call('HMGET', host_key(q, lane), unpack(FIELDS))
	local host = {}
	for i, field in ipairs(FIELDS) do
		local value = values[i]
		if field == 't' then
			host.t = value or ''
		else
			host[field] = value and value ~= '0' and tonumber(value) or 0
		end
	end
	return host
end

-- Writes changes of a host back. One that has nothing in flight and no turn is forgotten in time,
-- with what it has earned.
local IDLE_S = 3600
local function save_host(q, lane, in_flight, turns, ...)
	local key = host_key(q, lane)
	call('HSET', key, 'n', int(in_flight), ...)
	if in_flight == 0 and turns == '' then call('EXPIRE', key, IDLE_S) end
end

-- Hosts whose lanes have left their turns although they have requests, with when the first of these
-- was accepted: so the oldest of all is found without a walk.
local function aside_key(q) return T .. q .. ':a' end

local function set_aside(q, p, lane)
	local first = call('LINDEX', lane_key(q, p, lane), 0)
	if first then call('ZADD', aside_key(q), 'LT', created_of(first), lane) end
end

local function offer_waiting(q, lane)
	call('ZREM', aside_key(q), lane)
	for _, p in ipairs(PRIORITIES) do
		if call('EXISTS', lane_key(q, p, lane)) == 1 then
			offer(q, p, lane)
			ring(q)
		end
	end
end

local function is_cold(host, now, limits)
	return host.a >= COLD_ANSWERS or now - host.g > limits.cold_ms
end

-- Cold, and its last word was no success: nobody knows whether it answers at all. A worker takes only
-- so many requests of such hosts at a time, so that those that hang leave room for the others.
local function is_unproven(host, now, limits)
	return is_cold(host, now, limits) and (host.g == 0 or host.a > 0)
end

-- Lanes of unproven hosts that no worker had room for. They keep their letter in t; score: since when.
local function apart_key(q, p) return T .. q .. ':u:' .. p end

-- A host has proven itself: back into the turn.
local function rejoin(q, lane, turns) -- rarely
	for p in string.gmatch(turns, '.') do
		if call('ZREM', apart_key(q, p), lane) == 1 then
			memo[q .. ':t:' .. p] = true
			call('RPUSH', turn_key(q, p), lane)
			ring(q)
		end
	end
end

-- What the operator allows a host: its own line of HOSTS_FILE (kept in `limits`, "concurrency rate",
-- "-" for the default) or the service's settings. rate: requests a second, 0 is any.
local function limits_of(lane, limits)
	local own = any('limits') and call('HGET', T .. 'limits', lane)
	if not own then return limits.host_concurrency, limits.rate end
	local concurrency, rate = string.match(own, '^(%S+) (%S+)$')
	return tonumber(concurrency) or limits.host_concurrency, tonumber(rate) or limits.rate
end

-- How many a rate allows now, and when the next one is due (GCRA; a tenth of a second may go at once).
local function pace_of(host, now, rate)
	local interval = 1000 / rate
	local due = math.max(host.v, now)
	local burst = math.max(1, rate / 10) * interval
	return math.floor((now + burst - due) / interval + 1e-6), math.ceil(due + interval - burst)
end

-- Free slots, and until when there are none if that is a matter of time, with the reason.
local function room_of(host, now, limits, lane)
	local concurrency, rate = limits_of(lane, limits)
	if host.u > now then return 0, host.u, 'held' end
	if host.b >= BREAKER_AT then
		if host.o > now then return 0, host.o, 'breaker' end
		return 1 - host.n, nil, 'breaker' -- one probe
	end
	local slots = is_cold(host, now, limits) and COLD_SLOTS or host.s
	local room = math.min(slots, concurrency) - host.n
	if rate > 0 and room > 0 then
		local paced, due = pace_of(host, now, rate)
		if paced <= 0 then return 0, due, 'host_concurrency' end
		room = math.min(room, paced)
	end
	return room, nil, 'host_concurrency'
end

-- Why a request waits: reason, until (Unix ms, 0), ahead (-1: not given); "" when it does not.
-- fields of its last line, head fields, whether somebody holds it.
local function waiting_of(id, last, head, now, limits)
	local q = queue_of(last[3])
	if not q then return '', 0, -1 end
	if is_paused(last[3]) then return 'paused', 0, -1 end
	local host = host_of(q, lane_of(head, q))
	local due = tonumber(call('ZSCORE', T .. q .. ':z', id))
	if due and due > now then
		-- The client's own time: a follower's data may be there before it.
		local own = string.sub(last[3], 1, 1) == 's' or (q == 'd' and tonumber(last[5]) == 0)
		return own and 'scheduled' or host.u > now and 'held' or 'backoff', due, -1
	end
	if group_of(id) then return 'joined', 0, -1 end
	if once('EXISTS', T .. q .. ':paused') == 1 then return 'queue_paused', 0, -1 end
	if #workers_of(q) == 0 then return 'no_worker', 0, -1 end
	local room, till, reason = room_of(host, now, limits, lane_of(head, q))
	if room <= 0 then return reason, till or 0, -1 end
	return 'queue', 0, math.max(0, tonumber(once('HGET', T .. 'c', q) or 0) - 1)
end

-- Whoever comes first after Redis has started notes when that was.
local function note_boot(run_id, now)
	if call('HGET', T .. 'boot', 'run') ~= run_id then
		call('HSET', T .. 'boot', 'run', run_id, 'at', now)
	end
end

local function is_member(q, worker)
	return call('ZRANK', T .. q .. ':workers', worker)
end

-- Chunks that no settle has committed are noted, name -> bytes, with the worker that has stored them, or
-- in `cut`, of which a fetch that was cut has left them to go on from; c.loose is the sum. `cuts`: their
-- tokens, by when they expire.
local CUT = T .. 'cut'
local function loose_key(worker) return T .. 'loose:' .. worker end

local function chunk_names(token, chunks)
	local names = {}
	for i = 0, chunks - 1 do names[#names + 1] = token .. ':' .. i end
	return names
end

-- Notes them no more, and those that were noted are gone with `unlink`. Returns these: name, bytes …
local function forget_loose(key, names, unlink)
	local noted, bytes = {}, 0
	if call('EXISTS', key) == 0 then return noted end
	for i = 1, #names, CHUNK do
		local some = { unpack(names, i, math.min(i + CHUNK - 1, #names)) }
		local found, gone = {}, {}
		for k, size in ipairs(call('HMGET', key, unpack(some))) do
			if size then
				found[#found + 1] = some[k]
				gone[#gone + 1] = T .. 'b:' .. some[k]
				noted[#noted + 1] = some[k]
				noted[#noted + 1] = size
				bytes = bytes + size
			end
		end
		if #found > 0 then
			call('HDEL', key, unpack(found))
			if unlink then call('UNLINK', unpack(gone)) end
		end
	end
	count('loose', -bytes)
	return noted
end

-- Takes away what a worker has left uncommitted, so much a call; true when nothing is left.
local SWEEP_MAX = 1000
local function sweep_loose(worker)
	local key = loose_key(worker)
	forget_loose(key, call('HRANDFIELD', key, SWEEP_MAX), true)
	return call('EXISTS', key) == 0
end

-- What a cut fetch leaves to go on from is the worker's no more.
local function leave_cut(worker, token, chunks, now) -- rarely
	local noted = forget_loose(loose_key(worker), chunk_names(token, chunks), false)
	for i = 1, #noted, 2 do
		call('HSET', CUT, noted[i], noted[i + 1])
		count('loose', noted[i + 1])
	end
	call('ZADD', T .. 'cuts', now + math.max(0, call('PTTL', chunk_key(token, 0))), token)
end

-- One step for each chunk: its numbers have no gaps.
local function drop_cut(token)
	local chunks = 0
	while call('HEXISTS', CUT, token .. ':' .. chunks) == 1 do chunks = chunks + 1 end
	forget_loose(CUT, chunk_names(token, chunks), true)
	call('ZREM', T .. 'cuts', token)
end

-- Bodies in Redis that somebody still waits for: undelivered, or not committed.
local function bodies()
	local counts = call('HMGET', T .. 'c', 'bytes', 'loose')
	return (tonumber(counts[1] or 0) or 0) + (tonumber(counts[2] or 0) or 0)
end

-- What cuts have left goes when its time is over, and gives way first, the oldest before the others, when
-- bodies take too much room (0: any): its fetch begins at the beginning then.
local CUTS_MAX = 8 -- a call
local function trim_cuts(now, most) -- rarely
	for _, token in ipairs(call('ZRANGEBYSCORE', T .. 'cuts', '-inf', now, 'LIMIT', 0, CUTS_MAX)) do drop_cut(token) end
	for _, token in ipairs(call('ZRANGE', T .. 'cuts', 0, CUTS_MAX - 1)) do
		if most == 0 or bodies() <= most then return end
		drop_cut(token)
	end
end
