#!lua flags=allow-oom
-- doctor: looks, a page a call, for what nothing will ever move, and puts it right when asked to.
--
-- ARGV: verb, then what it takes: counts · owners, cursor · records, cursor · lanes, cursor ·
--   look, ids … · lane, queue, priority, lane, ids passed over from its tail ·
--   hosts, 1 to put right, queue, lanes … (none: those that are held and of which nothing is known) ·
--   check, 1 to put back, ids … · offer, queue, priority, lane ·
--   count, 1 to write, the counts as they were, live, f, d, bytes, dead, kept, then per owner: name,
--   its count as it was, as it should be
-- Returns, by verb:
--   counts   the layout's version, then COUNTS
--   owners   next cursor ("0": the end), then name and count of each owner of requests that live
--   records  next cursor, ids · lanes: next cursor, then queue, priority, lane of each; of a host that
--            something is known of: queue, '', lane
--   look     per id a letter, bytes and its owner: '-' none of ours · 'e' final · 'x' failed: bytes that
--            it uses · 's' it stands somewhere · 'l' live, in a lane or nowhere: undelivered bytes
--   lane     1 if it is served, entries looked at, then the ids in them that are no ghosts
--   hosts    1, or 0: workers hold too much to look through; then per host whose count of requests in
--            flight is wrong: lane, counted, found
--   check    per id that stands nowhere: id, state, queue
--   offer    1 offered, 0 there was no need
--   count    1 they were as given (and are written), 0 they have changed since; then COUNTS
local SCAN_COUNT = 250    -- keys a call
local LANE_PAGE = 500     -- ids a call
local LANE_LOOK = 20000   -- entries from each end of a lane that a check looks through
local HELD_LOOK = 20000   -- held requests that a call looks through, in 7 ms
local LEADERS_LOOK = 1000 -- above it, a group whose first leader has left counts as led
local COUNTS = { 'live', 'f', 'd', 'bytes', 'dead', 'kept', 'trimmed' }
local now = now_ms()
local verbs = {}

local function rest(from) return { unpack(ARGV, from) } end

local function counts()
	local values = call('HMGET', T .. 'c', unpack(COUNTS))
	for i = 1, #COUNTS do values[i] = tonumber(values[i] or 0) or 0 end
	return values
end

local function owner_count(owner) return tonumber(call('HGET', T .. 'c', 'live:' .. owner) or 0) or 0 end

function verbs.counts()
	return { call('GET', T .. 'version') or '', unpack(counts()) }
end

function verbs.owners()
	local page = call('HSCAN', T .. 'c', ARGV[2], 'MATCH', 'live:*', 'COUNT', SCAN_COUNT)
	local answer = { page[1] }
	for i = 1, #page[2], 2 do
		answer[#answer + 1] = string.sub(page[2][i], #'live:' + 1)
		answer[#answer + 1] = tonumber(page[2][i + 1]) or 0
	end
	return answer
end

local function scan(pattern, show)
	local page = call('SCAN', ARGV[2], 'MATCH', pattern, 'COUNT', SCAN_COUNT)
	local answer = { page[1] }
	for _, key in ipairs(page[2]) do show(answer, string.sub(key, #T + 1)) end
	return answer
end

function verbs.records()
	return scan(record_key('*'), function(answer, name) answer[#answer + 1] = string.sub(name, 3) end)
end

function verbs.lanes()
	local both = string.gsub(host_key('[fd]', '*'), ':h:', ':[hl]:') -- one walk for hosts and lanes
	return scan(both, function(answer, name)
		local q, p, lane = string.match(name, '^(.):l:(.):(.*)$')
		if not q then
			q, lane = string.match(name, '^(.):h:(.*)$')
			p = ''
		end
		for _, part in ipairs({ q, p, lane }) do answer[#answer + 1] = part end
	end)
end

local function lives_in(q, id)
	local last = last_line(id)
	return last and queue_of(last[3]) == q
end

-- Somebody of this group is being fetched, or was and the others are about to be served.
local led
local function is_led(group_id)
	local value = call('HGET', T .. 'leaders', group_id)
	if value and split(value)[1] == group_id then return lives_in('f', group_id) end
	if call('HLEN', T .. 'leaders') > LEADERS_LOOK then return true end
	if led == nil then
		led = {}
		local leaders = call('HGETALL', T .. 'leaders')
		for i = 1, #leaders, 2 do
			if lives_in('f', leaders[i]) then led[split(leaders[i + 1])[1]] = true end
		end
		for _, served in ipairs(call('LRANGE', T .. 'fan', 0, LEADERS_LOOK)) do led[split(served)[1]] = true end
	end
	return led[group_id]
end

-- One that waits for another: will it ever be told?
local function is_awaited(id, group_id)
	local value = any('after') and call('HGET', T .. 'after', group_id)
	if value and split(value)[1] == id then
		local last = last_line(group_id)
		return last and queue_of(last[3])
	end
	return is_led(group_id)
end

local function stands_outside(id, q, state)
	if is_paused(state) or call('ZSCORE', T .. q .. ':z', id) then return true end
	local group_id = group_of(id)
	if group_id then return is_awaited(id, group_id) end
	return holder_of(q, id)
end

function verbs.look()
	local answer = {}
	for _, id in ipairs(rest(2)) do
		local last = last_line(id)
		local state = last and last[3] or ''
		local q, letter, bytes, owner = queue_of(state), '-', 0, ''
		if q then
			letter = stands_outside(id, q, state) and 's' or 'l'
			local data = q == 'd' and data_of(call('GET', record_key(id)))
			bytes = data and data.bytes or 0
			owner = head_line(id)[6] or ''
		elseif string.find(state, '^[dxc]') then
			letter = state == 'x' and 'x' or 'e'
			bytes = size_of(id, data_of(call('GET', record_key(id))))
		end
		for _, part in ipairs({ letter, bytes, owner }) do answer[#answer + 1] = part end
	end
	return answer
end

-- It stands in its turn or apart, is parked until its host may be dialled, or the next settle offers it.
local function is_served(q, p, lane)
	local host = host_of(q, lane)
	if string.find(host.t, p, 1, true) then
		return call('LPOS', turn_key(q, p), lane) or call('ZSCORE', apart_key(q, p), lane)
	end
	return call('ZSCORE', T .. q .. ':b', lane) or (host.w > 0 and host.n > 0)
end

-- Counted from the tail: what leaves at the head meanwhile moves nothing.
function verbs.lane()
	local q, p, lane, passed = unpack(rest(2))
	local ids = call('LRANGE', lane_key(q, p, lane), -passed - LANE_PAGE, -passed - 1)
	local answer = { (#ids == 0 or is_served(q, p, lane)) and 1 or 0, #ids }
	local ghosts = #ids > 0 and call('SMISMEMBER', T .. q .. ':g', unpack(ids))
	for i, id in ipairs(ids) do
		if ghosts[i] == 0 then answer[#answer + 1] = id end
	end
	return answer
end

-- How many requests of each host the workers of this queue hold; nil: too many to look through.
local function held_by_lane(q)
	local total, held = 0, {}
	for _, worker in ipairs(workers_of(q)) do total = total + call('HLEN', held_key(worker)) end
	if total > HELD_LOOK then return nil end
	for _, worker in ipairs(workers_of(q)) do
		for _, hold in ipairs(call('HVALS', held_key(worker))) do
			local _, _, lane = hold_parts(hold)
			if lane then held[lane] = (held[lane] or 0) + 1 end
		end
	end
	return held
end

-- A host that counts too many would wait for a settle that never comes: its lanes are offered.
local function recount(q, lane, found)
	local host = host_of(q, lane)
	call('PERSIST', host_key(q, lane))
	save_host(q, lane, found, host.t, 'w', 0)
	offer_waiting(q, lane)
end

function verbs.hosts()
	local q, lanes = ARGV[3], rest(4)
	local held = held_by_lane(q)
	if not held then return { 0 } end
	if #lanes == 0 then
		for lane in pairs(held) do
			if call('EXISTS', host_key(q, lane)) == 0 then lanes[#lanes + 1] = lane end
		end
	end
	local answer = { 1 }
	for _, lane in ipairs(lanes) do
		local counted = tonumber(call('HGET', host_key(q, lane), 'n') or 0) or 0
		local found = held[lane] or 0
		if counted ~= found then
			if ARGV[2] == '1' then recount(q, lane, found) end
			for _, part in ipairs({ lane, counted, found }) do answer[#answer + 1] = part end
		end
	end
	return answer
end

-- The whole of a long lane has just been walked; since then an id can only have come to its ends.
local function place_in_lane(id, q)
	local head = head_line(id)
	local key = lane_key(q, head[2], lane_of(head, q))
	return call('LPOS', key, id, 'MAXLEN', LANE_LOOK) or call('LPOS', key, id, 'RANK', -1, 'MAXLEN', LANE_LOOK)
end

local function put_back(id, q, last, place)
	call('HDEL', T .. 'joined', id)
	if not place then call('SREM', T .. q .. ':g', id) end -- else its ghost keeps its place for it
	put_in(q, id)
	append_event(id, last, now, {}, 'qw', 'requeued', q, nil, 'it stood in no queue')
end

function verbs.check()
	local answer = {}
	for _, id in ipairs(rest(3)) do
		local last = last_line(id)
		local q = last and queue_of(last[3])
		if q and not stands_outside(id, q, last[3]) then
			local place = not group_of(id) and place_in_lane(id, q)
			if not place or call('SISMEMBER', T .. q .. ':g', id) == 1 then
				if ARGV[2] == '1' then put_back(id, q, last, place) end
				for _, part in ipairs({ id, string.sub(last[3], 1, 1), q }) do answer[#answer + 1] = part end
			end
		end
	end
	return answer
end

function verbs.offer()
	local q, p, lane = unpack(rest(2))
	if call('EXISTS', lane_key(q, p, lane)) == 0 or is_served(q, p, lane) then return { 0 } end
	call('HSET', host_key(q, lane), 't', (string.gsub(host_of(q, lane).t, p, '')))
	offer(q, p, lane)
	ring(q)
	return { 1 }
end

local COMPARED = #COUNTS - 1 -- what was trimmed can't be found again
function verbs.count()
	local now_are = counts()
	local same = { 1, unpack(now_are) }
	local changed = { 0, unpack(now_are) }
	local owners = 3 + #COUNTS + COMPARED
	for i, value in ipairs(now_are) do
		if value ~= tonumber(ARGV[2 + i]) then return changed end
	end
	for i = owners, #ARGV, 3 do
		if owner_count(ARGV[i]) ~= tonumber(ARGV[i + 1]) then return changed end
	end
	if ARGV[2] ~= '1' then return same end
	for i = 1, COMPARED do call('HSET', T .. 'c', COUNTS[i], ARGV[2 + #COUNTS + i]) end
	for i = owners, #ARGV, 3 do call('HSET', T .. 'c', 'live:' .. ARGV[i], ARGV[i + 2]) end
	return same
end

return verbs[ARGV[1]]()
