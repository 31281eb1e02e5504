#!lua flags=allow-oom
-- reserve: moves up to `want` ids from the lanes into the worker's held set.
--
-- ARGV: queue, worker, serial of this call, want, weighing position, host concurrency, host rate,
--   cold ms, most bytes of bodies, how many of them may be of unproven hosts
-- Returns { "OK", "MORE" (held beyond this answer: recover), "STALE", "PAUSED" or "FULL", next due (ms
--   from now, -1: none), then per request: id, record, 1 if it counts as one of an unproven host }.
local q, worker, serial, want, position = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local limits = { host_concurrency = tonumber(ARGV[6]), rate = tonumber(ARGV[7]), cold_ms = tonumber(ARGV[8]) }
local bytes_max, unproven_room = tonumber(ARGV[9]), tonumber(ARGV[10])
local READ_STEP = 16 -- records read at once
local PROMOTE_MAX = 128 -- due ids, lanes that wake, and turns of a priority, a call
local now = now_ms()

if not is_member(q, worker) then return { 'STALE', -1 } end
learn(q .. ':e', q .. ':z', q .. ':b')
learn(q .. ':paused', q .. ':g', q .. ':u:h', q .. ':u:d', q .. ':u:l', 'fan', 'orphans', 'cuts')
learn(q .. ':t:h', q .. ':t:l', 'limits')

local ids, holds, marks = {}, {}, {}
local function hold(id, text, unproven)
	local n = #ids + 1
	ids[n] = id
	marks[n] = unproven and 1 or 0
	holds[2 * n - 1] = id
	holds[2 * n] = text
end

-- Gives this worker what it only has to settle: beyond the slots of its host, since that is not asked.
local function hand(id, head) -- rarely
	local lane = lane_of(head, q)
	local host = host_of(q, lane)
	hold(id, hold_text('-', head[2], lane, serial))
	save_host(q, lane, host.n + 1, host.t)
	call('PERSIST', host_key(q, lane))
end

local function promote() -- rarely
	local due = call('ZRANGEBYSCORE', T .. q .. ':z', '-inf', now, 'LIMIT', 0, PROMOTE_MAX)
	if #due == 0 then return end
	call('ZREM', T .. q .. ':z', unpack(due))
	local groups = {}
	for _, id in ipairs(due) do
		local head = head_line(id)
		if head then group(groups, head[2], lane_of(head, q), id) end
	end
	enqueue(q, groups)
end

local function wake() -- rarely
	local lanes = call('ZRANGEBYSCORE', T .. q .. ':b', '-inf', now, 'LIMIT', 0, PROMOTE_MAX)
	if #lanes == 0 then return end
	call('ZREM', T .. q .. ':b', unpack(lanes))
	for _, lane in ipairs(lanes) do offer_waiting(q, lane) end
end

-- sets: those that matter now; in a queue that is held a time that is over changes nothing but expiry.
local function next_due(sets)
	local least
	for _, key in ipairs(sets) do
		local first = is_none(q .. key) and {} or call('ZRANGE', T .. q .. key, '0', '0', 'WITHSCORES')
		local at = first[2] and tonumber(first[2])
		if at and (not least or at < least) then least = at end
	end
	return least and math.max(0, least - now) or -1
end

-- Serves followers whose leader's fetch is over, a few a call: each gets the data and goes on to its
-- delivery, or learns of the failure (this worker then settles it so, paused or not).
local FAN_MAX = 64
local function fan() -- rarely
	local first = call('LINDEX', T .. 'fan', '0')
	if not first then return end
	local group_id, leader = unpack(split(first))
	local fetched, last = fetched_of(leader), last_line(leader)
	local onward, again = {}, {}
	local most = math.min(FAN_MAX, want)
	local followers = most > 0 and call('LPOP', T .. 'j:' .. group_id, most) or {}
	for _, id in ipairs(followers) do
		if call('HGET', T .. 'joined', id) == group_id then
			call('HDEL', T .. 'joined', id)
			local own, head = last_line(id), head_line(id)
			if own and fetched then
				take_over(id, fetched, now, onward)
			elseif own and last and string.sub(last[3], 1, 1) == 'x' then
				append_event(id, own, now, {}, 'qw', 'join_failed', 'f', last[13], last[14])
				hand(id, head)
			elseif own and not is_paused(own[3]) then
				place('f', id, own, head, now, again)
			end
		end
	end
	if #followers < most then call('LPOP', T .. 'fan') end
	if call('EXISTS', T .. 'fan') == 1 then ring('f') end
	enqueue('d', onward)
	enqueue('f', again)
end

-- What is over wherever it waits goes to this worker, which says so. Of what somebody holds, a fetch is
-- cut and a delivery is not: its verdict counts. All come again after a moment, until they are final: a
-- worker whose clock is behind finds them too young.
local EXPIRE_MAX, AGAIN_MS = 64, 1000
local function expire() -- rarely
	local over = call('ZRANGEBYSCORE', T .. q .. ':e', '-inf', now, 'LIMIT', 0, math.min(EXPIRE_MAX, want))
	for _, id in ipairs(over) do
		call('ZADD', T .. q .. ':e', now + AGAIN_MS, id)
		local last, head = last_line(id), head_line(id)
		local holder, held = holder_of(q, id)
		if not last or queue_of(last[3]) ~= q then
			call('ZREM', T .. q .. ':e', id)
		elseif not holder then
			take_out(q, id, last[3])
			hand(id, head)
		elseif q == 'f' and string.sub(held, 1, 1) ~= '#' then
			call('RPUSH', T .. 'ctl:' .. holder, 'expire ' .. id)
		end
	end
end

-- Groups whose leader has gone and whose next one was not found at once.
local function elect_on() -- rarely
	local value = call('LPOP', T .. 'orphans')
	if value then elect(value) end
	if call('EXISTS', T .. 'orphans') == 1 then ring('f') end
end

-- What is too much for one answer the worker holds all the same: recover brings it.
local function answer(word, due)
	local told = { word, due }
	if #ids == 0 then return told end
	call('HSET', held_key(worker), unpack(holds))
	local bytes, n = 0, #told
	for from = 1, #ids, READ_STEP do
		if bytes > ANSWER_MAX then
			told[1] = 'MORE'
			break
		end
		local keys = {}
		for i = from, math.min(from + READ_STEP - 1, #ids) do keys[#keys + 1] = record_key(ids[i]) end
		for i, record in ipairs(call('MGET', unpack(keys))) do
			bytes = bytes + (record and #record or 0)
			told[n + 1] = ids[from + i - 1]
			told[n + 2] = record
			told[n + 3] = marks[from + i - 1]
			n = n + 3
		end
	end
	return told
end

if not is_none(q .. ':e') then expire() end
want = want - #ids
if any(q .. ':paused') then return answer('PAUSED', next_due({ ':e' })) end
if not is_none(q .. ':z') then promote() end
if not is_none(q .. ':b') then wake() end
local before = #ids
if q == 'f' and any('fan') then fan() end
want = want - (#ids - before)
if q == 'f' and any('orphans') then elect_on() end
if q == 'f' and any('cuts') then trim_cuts(now, bytes_max) end
if bytes_max > 0 and bodies() > bytes_max then
	return answer('FULL', next_due({ ':z', ':b', ':e' }))
end

local ghosts = any(q .. ':g')

-- Ids that were cancelled, paused or deleted while they stood in a lane are passed over.
local GHOSTS_MAX = 1000 -- a call
local passed = 0
local function living(popped)
	if not ghosts then return popped end
	local kept = {}
	for _, id in ipairs(popped) do
		if call('SREM', T .. q .. ':g', id) == 0 then kept[#kept + 1] = id end
	end
	passed = passed + #popped - #kept
	return kept
end

-- Lanes stand apart until a worker has room for unproven hosts: those come first then, as they have
-- waited since the turn was theirs.
local AFTER_FAILURE_MS = 60000 -- one that has failed is behind those that come within so long
local apart = any(q .. ':u:h') or any(q .. ':u:d') or any(q .. ':u:l')
local function has_turn(p) return not is_none(q .. ':t:' .. p) and call('EXISTS', turn_key(q, p)) == 1 end
local function has_lanes(p)
	return has_turn(p)
		or apart and unproven_room > 0 and call('EXISTS', apart_key(q, p)) == 1
end
local function next_lane(p)
	local lane = apart and unproven_room > 0 and call('ZPOPMIN', apart_key(q, p))[1]
	return lane or call('LPOP', turn_key(q, p))
end

-- Serves one lane: how many it gave, and false when the turn of this priority is empty.
local taken = 0
local function serve(p, most)
	local lane = next_lane(p)
	if not lane then return 0, false end
	local host = host_of(q, lane)
	local turns = string.gsub(host.t, p, '')
	local room, till = room_of(host, now, limits, lane)
	local unproven = is_unproven(host, now, limits)
	if unproven and unproven_room == 0 and room > 0 then
		call('ZADD', apart_key(q, p), now + (host.a > 0 and AFTER_FAILURE_MS or 0), lane)
		apart = true
		return 0, true
	end
	local take = math.min(most, room, unproven and unproven_room or room)
	local popped = {}
	if take > 0 then
		local lanes = call('LLEN', turn_key(q, p)) + 1
		take = math.min(take, math.max(1, math.ceil(most / lanes)))
		popped = call('LPOP', lane_key(q, p, lane), take) or {}
	end
	local alive = living(popped)
	local text = hold_text('-', p, lane, serial)
	for _, id in ipairs(alive) do hold(id, text, unproven) end
	if unproven then unproven_room = unproven_room - #alive end
	taken = taken + #alive
	host.n = host.n + #alive
	local _, rate = limits_of(lane, limits)
	local due = rate > 0 and #alive > 0 and math.max(host.v, now) + #alive * 1000 / rate or nil
	host.v = due or host.v
	local left = 0
	if take > 0 then left, till = room_of(host, now, limits, lane) end
	local starving = host.w
	if take > 0 and #popped < take then
		-- empty: it leaves at once
	elseif left > 0 then
		memo[q .. ':t:' .. p] = true
		call('RPUSH', turn_key(q, p), lane)
		turns = turns .. p
	else
		set_aside(q, p, lane)
		if till then
			memo[q .. ':b'] = true
			call('ZADD', T .. q .. ':b', till, lane)
		else
			starving = 1 -- settle offers it again when a slot is free
		end
	end
	save_host(q, lane, host.n, turns, 't', turns, 'w', int(starving))
	if due then call('HSET', host_key(q, lane), 'v', due) end
	return #alive, true
end

-- Takes up to `most` from one priority's lanes.
local function draw(p, most)
	local got = 0
	for _ = 1, PROMOTE_MAX do
		if got >= most or passed > GHOSTS_MAX then break end
		local n, more = serve(p, most - got)
		got = got + n
		if not more then break end
	end
	return got
end

-- Priorities are drawn 6:3:1, spread over ten; empty ones are passed over. Ten draws are made at a
-- time, so that no priority takes all slots of a host that others wait for too, and whoever is drawn
-- first is served first: a host with one free slot is shared just so over ten calls.
local DRAW = { 'h', 'd', 'h', 'h', 'd', 'h', 'l', 'h', 'd', 'h' }
local live, lives = {}, 0
for _, p in ipairs(PRIORITIES) do
	live[p] = has_lanes(p) or nil
	lives = lives + (live[p] and 1 or 0)
end
while lives > 1 and taken < want do
	local quota, order = {}, {}
	for i = 0, #DRAW - 1 do
		local p = DRAW[(position + i) % #DRAW + 1]
		if live[p] and not quota[p] then order[#order + 1] = p end
		quota[p] = (quota[p] or 0) + 1
	end
	for _, p in ipairs(order) do
		local most = math.min(quota[p], want - taken)
		if most > 0 and draw(p, most) < most then
			live[p] = nil
			lives = lives - 1
		end
	end
end
for _, p in ipairs(PRIORITIES) do
	if live[p] and taken < want then draw(p, want - taken) end
end

if taken > 0 then count(q, -taken) end
local told = answer('OK', next_due({ ':z', ':b', ':e' }))
for _, p in ipairs(PRIORITIES) do
	if has_turn(p) then
		ring(q) -- whoever took the bell may die
		break
	end
end
for _, p in ipairs(apart and PRIORITIES or {}) do
	if call('EXISTS', apart_key(q, p)) == 1 then
		ring(q .. ':u') -- heard by those who have room for unproven hosts
		break
	end
end
return told
