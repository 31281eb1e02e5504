#!lua flags=no-writes
-- list: one step back through an index of ids, newest first, with each record as find shows it.
--
-- Indexes: "i" of all, "x" of the failed, "n:<label>" of a label.
-- ARGV: index, slot (-1: the newest), position in it (-1: its end), id there ("" any), how many,
--   host concurrency, host rate, cold ms, owner ("" may see all)
-- Returns { next slot (-1: the end), next position, next id, then per request as find: id, record,
--   held, reason, until, ahead, slot, position }.
local index, slot, position, expected = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local most = tonumber(ARGV[5])
local limits = { host_concurrency = tonumber(ARGV[6]), rate = tonumber(ARGV[7]), cold_ms = tonumber(ARGV[8]) }
local owner = ARGV[9]
local STEP_BYTES = 512 * 1024 -- of records in one answer, or a single one that is longer
local EMPTY_MAX = 50 -- slots passed over that hold nothing any more
local now = now_ms()

local function list_key(s) return T .. index .. ':' .. s end
local function before(s)
	local older = call('ZREVRANGEBYSCORE', T .. 'm:' .. index, s < 0 and '+inf' or '(' .. s, '-inf', 'LIMIT', 0, 1)
	return tonumber(older[1] or -1)
end

-- One seek: what is read, and before it the id where the next call goes on.
local function read(s, last)
	return call('LRANGE', list_key(s), math.max(0, last - most), last)
end

if slot < 0 then slot = before(-1) end
local answer, ids = { -1, -1, '' }, {}
for _ = 1, EMPTY_MAX do
	if slot < 0 then return answer end
	local length = call('LLEN', list_key(slot))
	if position < 0 or position >= length then position = length - 1 end
	ids = position >= 0 and read(slot, position) or {}
	-- The head may have been trimmed since: everything has moved down by as much.
	if expected ~= '' and ids[#ids] ~= expected then
		position = call('LPOS', list_key(slot), expected) or -1
		ids = position >= 0 and read(slot, position) or {}
	end
	expected = ''
	if #ids > 0 then break end
	slot, position = before(slot), -1
end
if slot < 0 then return answer end
if #ids == 0 then return { slot, -1, '' } end

local from = math.max(0, position - most + 1)
local next_id = #ids > most and table.remove(ids, 1) or ''
local bytes = 0
for i = #ids, 1, -1 do
	local id = ids[i]
	local size = call('STRLEN', record_key(id))
	if bytes > 0 and bytes + size > STEP_BYTES then
		from, next_id = from + i, id -- it and the rest are for the next call
		break
	end
	if size > 0 and (owner == '' or head_line(id)[6] == owner) then
		local record = call('GET', record_key(id))
		bytes = bytes + size
		local last = split(last_of(record))
		local q = queue_of(last[3])
		local held = q and holder_of(q, id) and 1 or 0
		local reason, till, ahead = '', 0, -1
		if held == 0 then
			reason, till, ahead = waiting_of(id, last, split(string.sub(record, 1, HEAD_MAX)), now, limits)
		end
		for _, value in ipairs({ id, record, held, reason, till, ahead, slot, from + i - 1 }) do answer[#answer + 1] = value end
	end
end
if from > 0 then
	answer[1], answer[2], answer[3] = slot, from - 1, next_id
else
	answer[1] = before(slot)
end
return answer
