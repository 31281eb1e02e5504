#!lua flags=allow-oom
-- stage: holds a whole queue, or lets it go on. What runs, finishes.
--
-- ARGV: queue, "pause" or "resume"
local q = ARGV[1]
if ARGV[2] == 'pause' then
	call('SET', T .. q .. ':paused', now_ms())
else
	call('DEL', T .. q .. ':paused')
	ring(q)
end
return 'OK'
