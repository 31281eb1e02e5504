-- lib: what every verb shares. It is put before each script; KEYS[1] is the shard's tag, "{f0}:".
--
-- Letters: queue f(etch) d(eliver) · priority h d l · state s(cheduled) q(ueued) f(etched)
-- d(elivered) x(failed) c(ancelled), a 'p' behind it: paused. docs/PIPELINE.md draws the keys.
local T = KEYS[1]
local PRIORITIES = { 'h', 'd', 'l' }
local BREAKER_AT = 10 -- failures in a row that open the breaker
local COLD_SLOTS = 2  -- for a host that is new or had no success lately
local COLD_ANSWERS = 8

local call = redis.call

local function now_ms()
	local t = call('TIME')
	return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function record_key(id) return T .. 'r:' .. id end
local function lane_key(q, p, lane) return T .. q .. ':l:' .. p .. ':' .. lane end
local function turn_key(q, p) return T .. q .. ':t:' .. p end
local function host_key(q, lane) return T .. q .. ':h:' .. lane end
local function held_key(worker) return T .. 'held:' .. worker end

local function count(field, by)
	if by ~= 0 then call('HINCRBY', T .. 'c', field, by) end
end

-- One token at most: whoever takes it reserves, and rings again if work remains.
local function ring(q)
	local bell = T .. q .. ':bell'
	if call('LLEN', bell) == 0 then call('RPUSH', bell, '1') end
end

-- Puts a lane into its turn, once. Whether its host may be dialled now is reserve's to judge.
local function offer(q, p, lane)
	local key = host_key(q, lane)
	local turns = call('HGET', key, 't') or ''
	if not string.find(turns, p, 1, true) then
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

local function enqueue(q, groups, verb)
	local total = 0
	for p, lanes in pairs(groups) do
		for lane, ids in pairs(lanes) do
			push_all(verb or 'RPUSH', lane_key(q, p, lane), ids)
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

-- Delays an id; rings when it is due before everything else that waits.
local function delay(q, id, due)
	local key = T .. q .. ':z'
	local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
	call('ZADD', key, due, id)
	if not first[2] or due < tonumber(first[2]) then ring(q) end
end

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

-- Appends an event of the queue's own to a record whose last line is given as fields.
local function append_event(id, last, now, state, who, name, stage, fault, message, till)
	local created = created_of(id)
	local line = table.concat({ last[1] + 1, math.max(0, now - created), state, last[4], last[5],
		last[6], who, name, stage, '', '', '', fault or '', message or '',
		till and till > 0 and math.max(0, till - created) or '' }, '\t')
	call('APPEND', record_key(id), string.gsub(line, '\t+$', '') .. '\n')
end

-- What a host may still take. Fields of a host: n in flight, s slots earned, g last success,
-- a answers since, b failures in a row, o breaker open until, u held until, t turns, w starving.
local FIELDS = { 'n', 's', 'g', 'a', 'b', 'o', 'u', 't', 'w' }
local function host_of(q, lane)
	local values = call('HMGET', host_key(q, lane), unpack(FIELDS))
	local host = {}
	for i, field in ipairs(FIELDS) do
		host[field] = (field == 't') and (values[i] or '') or tonumber(values[i] or 0)
	end
	return host
end

-- Writes changes of a host back. One that has nothing in flight and no turn is forgotten in time,
-- with what it has earned.
local IDLE_S = 3600
local function save_host(q, lane, in_flight, turns, ...)
	local key = host_key(q, lane)
	call('HSET', key, 'n', in_flight, ...)
	if in_flight == 0 and turns == '' then call('EXPIRE', key, IDLE_S) end
end

local function offer_waiting(q, lane)
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

-- Free slots, and until when there are none if that is a matter of time, with the reason.
local function room_of(host, now, limits)
	if host.u > now then return 0, host.u, 'held' end
	if host.b >= BREAKER_AT then
		if host.o > now then return 0, host.o, 'breaker' end
		return 1 - host.n, nil, 'breaker' -- one probe
	end
	local slots = is_cold(host, now, limits) and COLD_SLOTS or host.s
	return math.min(slots, limits.host_concurrency) - host.n, nil, 'host_concurrency'
end

local function is_member(q, worker)
	return call('ZSCORE', T .. q .. ':workers', worker)
end
