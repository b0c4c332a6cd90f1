-- A client of Server-Sent Events over HTTP/1.1, which reads only when it is asked to.
--
--   local stream = events.follow(gw.address, "/v1/rooms/a:follow", { last = id, receive_buffer = 4096 })
--   stream:next()   --> { id = "7", data = "{…}" }, { event = "end", data = "{}" }; nil at the end of the answer
--   stream:close()
local cjson = require "cjson"
local http1 = require "support.http1"

local events = {}
local stream = {}
stream.__index = stream

function events.follow(address, target, options)
  options = options or {}
  local wire = http1.connect(address, options)
  local last = options.last and ("last-event-id: %s\r\n"):format(options.last) or ""
  wire:send(("GET %s HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n%s\r\n"):format(target, last))
  local head = assert(wire:head(), "no answer")
  assert(head.status == 200 and head.headers["content-type"] == "text/event-stream", head.status)
  return setmetatable({ wire = wire, head = head, text = "" }, stream)
end

-- Comments are passed over.
function stream:next()
  local from = 1
  while not self.text:find("\n\n", from, true) do
    from = math.max(1, #self.text)
    local chunk = assert(self.wire:chunk(), "the connection is gone")
    if chunk == "" then return nil end
    self.text = self.text .. chunk
  end
  local place = self.text:find("\n\n", 1, true)
  local text = self.text:sub(1, place)
  self.text = self.text:sub(place + 2)
  local event = {}
  for line in text:gmatch "([^\n]*)\n" do
    local name, value = line:match "^(%l+): (.*)$"
    if name then event[name] = value else assert(line == ":", line) end
  end
  return next(event) and event or self:next()
end

-- What is in the next one.
function stream:message()
  local event = assert(self:next(), "the stream has ended")
  assert(not event.event, event.data)
  return cjson.decode(event.data), event.id
end

function stream:close() self.wire:close() end

return events
