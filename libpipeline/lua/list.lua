#!lua flags=no-writes
-- list: one step back through an index of ids, newest first, with each record as find shows it.
--
-- Indexes: "i" of all, "x" of the failed, "n:<label>" of a label.
-- ARGV: index, minute (-1: the newest), position in it (-1: its end), id there ("" any), how many,
--   host concurrency, host rate, cold ms
-- Returns { next minute (-1: the end), next position, next id, then per request as find: id, record,
--   held, reason, until, ahead, minute, position }.
local index, minute, position, expected = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local most = tonumber(ARGV[5])
local limits = { host_concurrency = tonumber(ARGV[6]), rate = tonumber(ARGV[7]), cold_ms = tonumber(ARGV[8]) }
local EMPTY_MAX = 50 -- minutes passed over that hold nothing any more
local now = now_ms()

local function list_key(m) return T .. index .. ':' .. m end
local function before(m)
	local older = call('ZREVRANGEBYSCORE', T .. 'm:' .. index, m < 0 and '+inf' or '(' .. m, '-inf', 'LIMIT', 0, 1)
	return tonumber(older[1] or -1)
end

if minute < 0 then minute = before(-1) end
local answer = { -1, -1, '' }
for _ = 1, EMPTY_MAX do
	if minute < 0 then return answer end
	local length = call('LLEN', list_key(minute))
	if position < 0 or position >= length then
		position = length - 1
	end
	-- The head may have been trimmed since: everything has moved down by as much.
	if expected ~= '' and position >= 0 and call('LINDEX', list_key(minute), position) ~= expected then
		local found = call('LPOS', list_key(minute), expected)
		position = found or -1
		if not found then length = 0 end
	end
	expected = ''
	if length > 0 and position >= 0 then break end
	minute, position = before(minute), -1
end
if minute < 0 then return answer end
if position < 0 then return { minute, -1, '' } end

local from = math.max(0, position - most + 1)
local ids = call('LRANGE', list_key(minute), from, position)
local bytes = 0
for i = #ids, 1, -1 do
	local id = ids[i]
	local record = call('GET', record_key(id))
	if record then
		bytes = bytes + #record
		local last = split(last_of(record))
		local q = queue_of(last[3])
		local held = q and holder_of(q, id) and 1 or 0
		local reason, till, ahead = '', 0, -1
		if held == 0 then
			reason, till, ahead = waiting_of(id, last, split(string.sub(record, 1, HEAD_MAX)), now, limits)
		end
		for _, value in ipairs({ id, record, held, reason, till, ahead, minute, from + i - 1 }) do answer[#answer + 1] = value end
	end
	if bytes > ANSWER_MAX then
		from = from + i - 1 -- the rest is for the next call
		break
	end
end
if from > 0 then
	answer[1], answer[2], answer[3] = minute, from - 1, call('LINDEX', list_key(minute), from - 1)
else
	answer[1] = before(minute)
end
return answer
