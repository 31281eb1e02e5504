#!lua flags=allow-oom
-- wake: ends a worker's own wait for its control list. Of a worker that is no member any more the
-- word goes after the longest wait, if nobody has taken it by then.
--
-- ARGV: queue, worker
local q, worker = ARGV[1], ARGV[2]
local LISTEN_MS = 4000 -- PL_LISTEN_S and a little
local list = T .. 'ctl:' .. worker
call('RPUSH', list, 'wake')
if not is_member(q, worker) then call('PEXPIRE', list, LISTEN_MS) end
return 'OK'
