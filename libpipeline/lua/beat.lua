#!lua flags=allow-oom
-- beat: renews a worker's lease, then does a little of the queue's housekeeping: takes what dead
-- workers held back to its lanes. No attempt is counted.
--
-- ARGV: queue, worker, lease ms, Redis' run id
-- Returns { "OK" or "STALE", workers reaped, requests taken back, 1 if there is more to do }.
local q, worker, lease_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])
local REAP_MAX = 256 -- requests a call
local now = now_ms()
local workers = T .. q .. ':workers'

local status = 'STALE'
if is_member(q, worker) then
	call('ZADD', workers, now + lease_ms, worker)
	status = 'OK'
end

-- After Redis has started nobody is reaped for one lease: an outage is no death.
note_boot(ARGV[4], now)
local boot = tonumber(call('HGET', T .. 'boot', 'at'))
if now < boot + lease_ms then return { status, 0, 0, 0 } end

local reaped, taken = 0, 0
for _, dead in ipairs(call('ZRANGEBYSCORE', workers, '-inf', now, 'LIMIT', 0, 4)) do
	-- First: who fetches anew may go on from the same token.
	if not sweep_loose(dead) then return { status, reaped, taken, 1 } end
	local held = call('HRANDFIELD', held_key(dead), REAP_MAX - taken, 'WITHVALUES')
	local back, gone, slots = {}, {}, {}
	for i = 1, #held, 2 do
		local id, hold = held[i], held[i + 1]
		local mark, p, lane = hold_parts(hold)
		gone[#gone + 1] = id
		slots[lane] = (slots[lane] or 0) + 1
		local last = last_line(id)
		if last then
			if mark ~= '#' and queue_of(last[3]) and not is_paused(last[3]) then
				append_event(id, last, now, {}, 'qw', 'requeued', q, nil, 'its worker is gone')
				group(back, p, lane, id)
			end
		end
	end
	if #gone > 0 then
		call('HDEL', held_key(dead), unpack(gone))
		for lane, n in pairs(slots) do
			local host = host_of(q, lane)
			save_host(q, lane, math.max(0, host.n - n), host.t, 'w', 0)
			offer_waiting(q, lane)
		end
		taken = taken + enqueue(q, back, 'LPUSH')
	end
	if call('EXISTS', held_key(dead)) == 0 then
		call('ZREM', workers, dead)
		call('DEL', T .. 'ctl:' .. dead)
		reaped = reaped + 1
	end
	if taken >= REAP_MAX then return { status, reaped, taken, 1 } end
end
if taken > 0 or reaped > 0 then ring(q) end -- the dead may have taken the bell with them
return { status, reaped, taken, 0 }
