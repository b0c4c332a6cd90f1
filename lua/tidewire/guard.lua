-- tidewire/guard.lua: pcall, xpcall and coroutine.* as scripts get them.
--
-- Two things have to work through them. A cancel is raised by a hook at the first Lua instruction after a wait: so a
-- Lua function must stand between pcall and what it calls, or the error would come up behind the pcall. And a wait
-- inside a coroutine that the script has made must reach the gateway's scheduler: so resume hands it outwards and
-- brings the answer back in.

local wait_mark, cancel_mark, deliver_cancel = ...

local pcall, xpcall, error, type = pcall, xpcall, error, type
local create, resume, yield = coroutine.create, coroutine.resume, coroutine.yield

local function keep(...) return ... end
local function guard(f, ...) return keep(f(...)) end -- not a tail call: this frame must stay

local guarded = { coroutine = { status = coroutine.status, isyieldable = coroutine.isyieldable } }

function guarded.pcall(f, ...) return pcall(guard, f, ...) end
function guarded.xpcall(f, handler, ...) return xpcall(guard, handler, f, ...) end

local pass

-- What the scheduler has answered goes to the coroutine that waits.
local function again(co, ...)
  local first = ...
  if first == cancel_mark then return pass(co, deliver_cancel(co)) end
  return pass(co, resume(co, ...))
end

-- What a coroutine has yielded goes to whoever resumed it, or, when it is a wait, to the scheduler.
function pass(co, ...)
  local is_fine, first = ...
  if is_fine and first == wait_mark then return again(co, yield(wait_mark)) end
  return ...
end

local function check(is_fine, ...)
  if not is_fine then error((...), 0) end
  return ...
end

local function make(f)
  if type(f) ~= "function" then error("bad argument #1 to 'create' (function expected)", 3) end
  return create(function(...) return keep(f(...)) end)
end

function guarded.coroutine.create(f) return make(f) end
function guarded.coroutine.resume(co, ...) return pass(co, resume(co, ...)) end
function guarded.coroutine.wrap(f)
  local co = make(f)
  return function(...) return check(pass(co, resume(co, ...))) end
end

return guarded
