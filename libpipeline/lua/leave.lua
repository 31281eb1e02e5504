#!lua flags=allow-oom
-- leave: a worker that holds nothing any more goes; the bell is passed on.
--
-- ARGV: queue, worker
local q, worker = ARGV[1], ARGV[2]
if call('EXISTS', held_key(worker)) == 0 and sweep_loose(worker) then
	call('ZREM', T .. q .. ':workers', worker)
	call('DEL', T .. 'ctl:' .. worker)
end
ring(q)
return 'OK'
