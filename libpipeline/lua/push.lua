#!lua
-- push: stores new requests and puts each into its lane. Idempotent by id.
--
-- ARGV: queue max, most of it for one owner, then per request: id, first queue, priority, lane,
--   delay ms, ms it may last (0: any), labels (tab between), owner, key, record text
-- key   "" or kind <tab> name <tab> hash <tab> window ms; kind i: Idempotency-Key, d: dedupeKey drop,
--       j: join, l: latest. The hash is of what must be the same under one key.
-- Returns one answer each: 1 stored (now or before) · 0 the backlog is full · 2 the owner's share of it
--   is used up · 3 the key stands for another request's content · an id: that request has the key.
local FIRST, STEP = 3, 10
local now = now_ms()
local queue_max, share = tonumber(ARGV[1]), tonumber(ARGV[2])
local live = tonumber(call('HGET', T .. 'c', 'live') or 0)
local answers, groups, index, labelled, owners = {}, { f = {}, d = {} }, {}, {}, {}

local function owned(owner)
	if owners[owner] == nil then
		owners[owner] = { tonumber(call('HGET', T .. 'c', 'live:' .. owner) or 0), 0 }
	end
	return owners[owner]
end

local function store(i)
	if not call('SET', record_key(ARGV[i]), ARGV[i + 9], 'NX') then return false end
	live = live + 1
	index[#index + 1] = ARGV[i]
	if ARGV[i + 6] ~= '' then
		for label in string.gmatch(ARGV[i + 6], '[^\t]+') do
			labelled[label] = labelled[label] or {}
			table.insert(labelled[label], ARGV[i])
		end
	end
	if ARGV[i + 5] ~= '0' then
		local lasts = tonumber(ARGV[i + 5])
		put('lasts', ARGV[i], lasts)
		expires(ARGV[i + 1], ARGV[i], created_of(ARGV[i]) + lasts)
	end
	if ARGV[i + 7] ~= '' then owned(ARGV[i + 7])[2] = owned(ARGV[i + 7])[2] + 1 end
	return true
end

local function start(i)
	if not store(i) then return end
	if ARGV[i + 4] ~= '0' then
		delay(ARGV[i + 1], ARGV[i], now + tonumber(ARGV[i + 4]))
	else
		group(groups[ARGV[i + 1]], ARGV[i + 2], ARGV[i + 3], ARGV[i])
	end
end

-- The first under a key: it is remembered for the window.
local function lead(i, name, hash, window) -- rarely
	call('SET', name, ARGV[i] .. '\t' .. hash, 'PX', window)
	put('keyed', ARGV[i], name)
	start(i)
	return 1
end

-- Waits for another request instead of standing in a lane.
local function wait_for(i, name, group_id) -- rarely
	store(i)
	put('keyed', ARGV[i], name)
	put('joined', ARGV[i], group_id)
end

local function join(i, name, leader, last) -- rarely
	local id = ARGV[i]
	local fetched = last[3] ~= 'q' and last[3] ~= 's' and fetched_of(leader)
	if fetched then
		if store(i) then
			put('keyed', id, name)
			take_over(id, fetched, now, groups.d)
		end
		return
	end
	local value = call('HGET', T .. 'leaders', leader)
	local group_id = value and split(value)[1] or leader
	if not value then put('leaders', leader, group_id .. '\t' .. name) end
	wait_for(i, name, group_id)
	call('RPUSH', T .. 'j:' .. group_id, id)
end

local function hold_latest(i, name, current) -- rarely
	local before = call('HGET', T .. 'after', current)
	if before then supersede(split(before)[1], now) end
	put('after', current, ARGV[i] .. '\t' .. name)
	wait_for(i, name, current)
end

-- Is there, or will there be, what others could join for?
local function is_shareable(id, last) -- rarely
	if queue_of(last[3]) == 'f' then return not is_paused(last[3]) end
	return queue_of(last[3]) == 'd' or (string.sub(last[3], 1, 1) == 'd' and fetched_of(id) ~= nil)
end

-- refused: what is answered when it would have to be stored.
local function keyed(i, refused) -- rarely
	local kind, key, hash, window = unpack(split(ARGV[i + 8]))
	local name = T .. 'k:' .. (kind == 'i' and 'i' or 'd') .. ':' .. ARGV[i + 7] .. ':' .. key
	local earlier, was = unpack(split(call('GET', name) or ''))
	if earlier == ARGV[i] or call('EXISTS', record_key(ARGV[i])) == 1 then return 1 end
	local last = last_line(earlier) -- nil: none, or deleted meanwhile
	if last and was ~= hash then return 3 end
	if last and (kind == 'i' or kind == 'd') then return earlier end
	if refused then return refused end
	if last and kind == 'l' and queue_of(last[3]) then
		hold_latest(i, name, earlier)
	elseif last and kind == 'j' and is_shareable(earlier, last) then
		join(i, name, earlier, last)
	else
		return lead(i, name, hash, window)
	end
	return 1
end

for i = FIRST, #ARGV, STEP do
	local owner = ARGV[i + 7]
	local answer, refused = 1, nil
	if live >= queue_max then
		refused = 0
	elseif owner ~= '' and owned(owner)[1] + owned(owner)[2] >= share and live > owned(owner)[1] + owned(owner)[2] then
		refused = 2
	end
	if ARGV[i + 8] ~= '' then
		answer = keyed(i, refused)
	elseif refused then
		answer = call('EXISTS', record_key(ARGV[i])) == 1 and 1 or refused
	else
		start(i)
	end
	answers[#answers + 1] = answer
end
if #index > 0 then
	index_add('i', now, index)
	for label, ids in pairs(labelled) do index_add('n:' .. label, now, ids) end
	count('live', #index)
	for owner, seen in pairs(owners) do count('live:' .. owner, seen[2]) end
	enqueue('f', groups.f)
	enqueue('d', groups.d)
end
return answers
