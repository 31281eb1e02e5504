#!lua flags=allow-oom
-- register: a worker's incarnation enters its queue.
--
-- ARGV: queue, worker, lease ms, Redis' run id, layout version
-- Returns OK, NEW where nothing stood before, or the version that Redis holds when it is another.
local now = now_ms()
local version = call('GET', T .. 'version')
if not version then
	call('SET', T .. 'version', ARGV[5])
elseif version ~= ARGV[5] then
	return 'VERSION ' .. version
end
note_boot(ARGV[4], now)
call('ZADD', T .. ARGV[1] .. ':workers', now + ARGV[3], ARGV[2])
return version and 'OK' or 'NEW'
