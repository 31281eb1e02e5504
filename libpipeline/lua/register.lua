#!lua flags=allow-oom
-- register: a worker's incarnation enters its queue; the first one after Redis has started notes
-- when that was, so that nobody is reaped for an outage.
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
if call('HGET', T .. 'boot', 'run') ~= ARGV[4] then
	call('HSET', T .. 'boot', 'run', ARGV[4], 'at', now)
end
call('ZADD', T .. ARGV[1] .. ':workers', now + ARGV[3], ARGV[2])
return version and 'OK' or 'NEW'
