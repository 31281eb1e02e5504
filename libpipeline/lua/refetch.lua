#!lua
-- refetch: from any final state to the beginning, attempts anew. Refused when Redis is full.
--
-- ARGV: id, owner ("" may touch all), who, queue max, how long old chunks are kept (ms)
-- Returns { word }: NONE, OK, BUSY (not final, or a worker still holds it), FULL (the backlog).
local id, owner, who = ARGV[1], ARGV[2], ARGV[3]
local now = now_ms()
local last = last_line(id)
if not last then return { 'NONE', '' } end
local head = head_line(id)
if owner ~= '' and head[6] ~= owner then return { 'NONE', '' } end
if queue_of(last[3]) or is_told(id) then return { 'BUSY', '' } end
if tonumber(call('HGET', T .. 'c', 'live') or 0) >= tonumber(ARGV[4]) then return { 'FULL', '' } end
if string.sub(last[3], 1, 1) == 'x' then count('dead', -1) end
local data = data_of(call('GET', record_key(id)))
if head[3] == 'f' then drop_chunks(data, ARGV[5]) end
revive(id, data, last[1])
if head[6] ~= '' then count('live:' .. head[6], 1) end
append_event(id, last, now,
	{ state = head[3] == 'd' and 'f' or 'q', fetches = 0, deliveries = 0, refetch = last[6] + 1 }, who,
	'refetch', 'f')
if head[3] == 'd' and data then count('bytes', data.bytes) end
expires_anew(head[3], id, now)
put_in(head[3], id)
return { 'OK', '' }
