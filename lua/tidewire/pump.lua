-- tidewire/pump.lua: gives a stream's messages to its on_message hook, one after the other in one coroutine.
--
-- step(results…) sends what the hook returned for the last message and fetches the next one: true and the hook's
-- arguments behind the stream, or false when there is none now. When there is no room for the results it gives
-- false and them: they are sent as what the coroutine returns.

local step = ...

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

return { each_one, each_list }
