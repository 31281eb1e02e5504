#!lua flags=no-writes
-- find: a record, who holds it, and why it waits.
--
-- ARGV: id, host concurrency, host rate, cold ms
-- Returns false, or { record, 1 if held, reason or "", until (Unix ms, 0), ahead (-1: not given) }.
local id = ARGV[1]
local limits = { host_concurrency = tonumber(ARGV[2]), rate = tonumber(ARGV[3]), cold_ms = tonumber(ARGV[4]) }
local now = now_ms()
local record = call('GET', record_key(id))
if not record then return false end
local last = split(last_of(record))
local q = queue_of(last[3])
if q and holder_of(q, id) then return { record, 1, '', 0, -1 } end
local head = split(string.sub(record, 1, HEAD_MAX))
local reason, till, ahead = waiting_of(id, last, head, now, limits)
return { record, 0, reason, till, ahead }
