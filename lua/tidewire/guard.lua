-- tidewire/guard.lua: pcall, xpcall and coroutine.* as scripts get them.
--
-- Two things have to work through them. A cancel is raised by a hook at the first Lua instruction after a wait: so a
-- Lua function must stand between pcall and what it calls, or the error would come up behind the pcall. And a wait
-- inside a coroutine that the script has made must reach the gateway's scheduler: so resume hands it outwards and
-- brings the answer back in.
--
-- And three things must not show: the guards' own lines in an error's text; an error handler that runs while the
-- watchdog can't stop it; coroutines so deep inside one another that the thread's own stack ends.

local wait_mark, cancel_mark, deliver_cancel, comes_from_hook = ...

local pcall, xpcall, error, type, select, gsub = pcall, xpcall, error, type, select, string.gsub
local create, yield, running = coroutine.create, coroutine.yield, coroutine.running
local raw_resume = coroutine.resume

local DEEPEST = 150 -- coroutines inside one another

local function keep(...) return ... end
local function guard(f, ...) return keep(f(...)) end -- not a tail call: this frame must stay

local guarded = { coroutine = { status = coroutine.status, isyieldable = coroutine.isyieldable } }

-- A C function that is called by a guard names the guard's line as its caller's.
local function tidy(is_fine, ...)
  if is_fine or type((...)) ~= "string" then return is_fine, ... end
  return false, (gsub((...), "^tidewire/guard%.lua:%d+: ", ""))
end

function guarded.pcall(f, ...) return tidy(pcall(guard, f, ...)) end

-- What a hook raises (a cancel, or the end of the CPU budget) comes while Lua runs no other hook: a handler that
-- never returned could not be stopped. It is called when the stack has been unwound.
function guarded.xpcall(f, handler, ...)
  local is_late = false
  local function handle(fault)
    if comes_from_hook(fault) then
      is_late = true
      return fault
    end
    return handler(select(2, tidy(false, fault)))
  end
  local function finish(is_fine, ...)
    if is_late then return false, select(2, pcall(guard, handler, ...)) end
    return is_fine, ...
  end
  return finish(xpcall(guard, handle, f, ...))
end

local levels = setmetatable({}, { __mode = "k" }) -- of the coroutines that have run

local function resume(co, ...)
  local level = (levels[running()] or 0) + 1
  if level > DEEPEST then return false, "too many coroutines inside one another" end
  levels[co] = level
  return raw_resume(co, ...)
end

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

function guarded.coroutine.resume(co, ...)
  if type(co) ~= "thread" then error("bad argument #1 to 'resume' (coroutine expected)", 2) end
  return pass(co, resume(co, ...))
end
function guarded.coroutine.wrap(f)
  local co = make(f)
  return function(...) return check(pass(co, resume(co, ...))) end
end

return guarded
