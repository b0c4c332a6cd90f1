-- tidewire/pump.lua: gives messages to hooks, one after the other in one coroutine.

local step, filter_step = ...

-- The on_message hook of a stream. step(results…) sends what it returned for the last message and fetches the next one:
-- true and the hook's arguments behind the stream, or false when there is none now. When there is no room for the
-- results it gives false and them: they are sent as what the coroutine returns.

-- For hooks with one argument, a message or a field, and at most one result: nearly all.
local function each_one(hook, stream)
  local is_one, argument = step()
  while is_one do is_one, argument = step(hook(stream, argument)) end
  return argument
end

local function go_on(hook, stream, is_one, ...)
  if not is_one then return ... end
  return go_on(hook, stream, step(hook(stream, ...)))
end

-- For projections with any number of fields.
local function each_list(hook, stream) return go_on(hook, stream, step()) end

-- The hooks of one direction of a filter. filter_step(argument, results…) takes what a hook has returned, with the
-- message that it was given, and gives the next hook, its stream and its arguments; or nothing when none runs now.

local function filter_one()
  local hook, stream, argument = filter_step()
  while hook do hook, stream, argument = filter_step(argument, hook(stream, argument)) end
end

local function filter_on(hook, stream, ...)
  if hook then return filter_on(filter_step((...), hook(stream, ...))) end
end

local function filter_list() return filter_on(filter_step()) end

return { each_one, each_list, filter_one, filter_list }
