#!lua flags=no-writes
-- find: a record, who holds it, and why it waits.
--
-- ARGV: id, host concurrency, cold ms
-- Returns false, or { record, 1 if held, reason or "", until (Unix ms, 0), ahead (-1: not given) }.
local id = ARGV[1]
local limits = { host_concurrency = tonumber(ARGV[2]), cold_ms = tonumber(ARGV[3]) }
local now = now_ms()
local record = call('GET', record_key(id))
if not record then return false end
local last = split(last_of(record))
local state = string.sub(last[3], 1, 1)
if string.find('dxc', state, 1, true) then return { record, 0, '', 0, -1 } end

local q = state == 'f' and 'd' or 'f'
local workers = call('ZRANGE', T .. q .. ':workers', 0, -1)
for _, worker in ipairs(workers) do
	if call('HEXISTS', held_key(worker), id) == 1 then return { record, 1, '', 0, -1 } end
end
if string.sub(last[3], 2) == 'p' then return { record, 0, 'paused', 0, -1 } end

local head = split(string.sub(record, 1, HEAD_MAX))
local host = host_of(q, lane_of(head, q))
local due = tonumber(call('ZSCORE', T .. q .. ':z', id))
if due and due > now then
	local reason = state == 's' and 'scheduled' or host.u > now and 'held' or 'backoff'
	return { record, 0, reason, due, -1 }
end
if call('EXISTS', T .. q .. ':paused') == 1 then return { record, 0, 'queue_paused', 0, -1 } end
if #workers == 0 then return { record, 0, 'no_worker', 0, -1 } end
local room, till, reason = room_of(host, now, limits)
if room <= 0 then return { record, 0, reason, till or 0, -1 } end
return { record, 0, 'queue', 0, math.max(0, tonumber(call('HGET', T .. 'c', q) or 0) - 1) }
