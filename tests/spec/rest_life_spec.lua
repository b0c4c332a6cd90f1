-- Streams of REST over time: clients that do not read, that come back, that stay while the gateway changes or ends.
local events = require "support.events"
local gateway = require "support.gateway"
local http1 = require "support.http1"
local process = require "support.process"

local MIB = 1048576

local proto = [[
syntax = "proto3";
package rooms;
import "google/api/annotations.proto";
message Note { int64 position = 1; int32 number = 2; string text = 3; }
message Wanted { int32 size = 1; }
message Count { int32 notes = 1; }
service Rooms {
  rpc Flood(Wanted) returns (stream Note) { option (google.api.http) = { get: "/flood" }; }
  rpc Follow(Wanted) returns (stream Note);
  rpc Add(stream Note) returns (Count) { option (google.api.http) = { post: "/notes" body: "*" }; }
}
]]

local script = [[
local tidewire = require "tidewire"
local notes = tidewire.topic("notes", { type = "rooms.Note", history = 100000, position = "position" })
local rooms = {}

-- Sends for ever, and says how far it got.
function rooms.Flood(stream, wanted)
  local text, number = ("x"):rep(wanted.size), 0
  while stream:send { number = number + 1, text = text } do
    number = number + 1
    if number % 16 == 0 then tidewire.log.info(("sent %d"):format(number)) end
  end
end

function rooms.Follow(stream)
  notes:subscribe(stream, { since = stream:metadata "last-event-id" or "all" })
  stream:on_close(function(_, code) tidewire.log.info("a follower is gone: " .. code) end)
  stream:wait()
end

function rooms.Add(stream)
  local count = 0
  for note in stream:messages() do
    notes:publish(note)
    count = count + 1
  end
  return { notes = count }
end

return rooms
]]

local config = [[
proto = { "rooms.proto" }
service "rooms.Rooms" { script = "rooms.lua" }
route { http = "GET /notes" method = "rooms.Rooms/Follow" event_id = position }
]]

describe("a stream of REST", function()
  local gw
  local function start(more)
    gw = gateway.start { protos = { ["rooms.proto"] = proto }, scripts = { ["rooms.lua"] = script },
      config = config .. (more or "") }
  end
  after_each(gateway.stop_all)

  -- Adds the notes from one number to another, each with a text.
  local function add(from, to, text)
    local lines = {}
    for i = from, to do lines[#lines + 1] = ('{"number":%d,"text":"%s"}\n'):format(i, text or "") end
    local body = table.concat(lines)
    local answer = http1.ask(gw.address, ("POST /notes HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-ndjson\r\n" ..
      "content-length: %d\r\n\r\n%s"):format(#body, body))
    assert.equal(('{"notes":%d}'):format(to - from + 1), answer.body)
  end

  local function follow(options) return events.follow(gw.address, "/notes", options) end

  it("holds back its handler when its client does not read, and goes on without a loss", function()
    start "limits { buffered_per_stream = 256KiB  stalled = 5m }"
    local function sent_so_far()
      local sent = 0
      for figure in gw:log():gmatch "sent (%d+)" do sent = tonumber(figure) end
      return sent
    end
    local stream = events.follow(gw.address, "/flood?size=65536", { receive_buffer = 65536 })
    gw:wait_for_log "sent "
    local last, since = sent_so_far(), process.now()
    process.await(gateway.patience, function()
      local now = sent_so_far()
      if now ~= last then last, since = now, process.now() end
      return process.now() - since > 0.5 * gateway.slowness
    end)
    assert.is_true(last * 65536 < 16 * MIB) -- what kernels hold of it
    add(1, 1) -- others are served
    for i = 1, last + 32 do assert.equal(i, (stream:message().number)) end
  end)

  it("that cannot keep up is told so, comes back where it was, and costs the others nothing", function()
    start "limits { buffered_per_stream = 64KiB  stalled = 5m }"
    local slow, fast = follow { receive_buffer = 4096 }, follow()
    local step, count, text = 200, 2600, ("x"):rep(8000)
    for from = 1, count, step do -- more than the kernels hold, and its queue
      add(from, from + step - 1, text)
      for i = from, from + step - 1 do assert.equal(i, (fast:message().number)) end
    end
    local number, last = 0, nil
    for event in slow.next, slow do
      if event.event then
        assert.same({ "error", '{"code":8,' }, { event.event, event.data:sub(1, 10) })
      else
        number, last = number + 1, event.id
        assert.matches(('"number":%d,'):format(number), event.data)
      end
    end
    assert.is_true(number > 0 and number < count)
    gw:wait_for_log "a follower is gone: RESOURCE_EXHAUSTED"
    slow = follow { last = last }
    for i = number + 1, count do assert.equal(i, (slow:message().number)) end
    slow:close()
    fast:close()
  end)

  it("stays over a reload, and who comes back is with the new scripts where it was", function()
    start()
    local stream = follow()
    add(1, 2)
    local _, first = stream:message()
    assert.equal(2, (stream:message().number))
    gw:write("scripts/rooms.lua", (script:gsub("a follower is gone", "a new follower is gone")))
    gw:reload()
    add(3, 3)
    assert.equal(3, (stream:message().number))
    local mark = gw:mark()
    stream:close()
    gw:wait_for_log("a follower is gone: CANCELLED", mark)
    stream = follow { last = first }
    for i = 2, 3 do assert.equal(i, (stream:message().number)) end
    stream:close()
    gw:wait_for_log("a new follower is gone: CANCELLED", mark)
  end)

  it("goes over to new scripts that take it along, and is written as the path says that it came by", function()
    local hooks = script:gsub("function rooms.Follow.-\nend\n", [[
      rooms.Follow = {
        on_open = function(stream) notes:subscribe(stream, { since = "all" }) end,
        on_reload = function(stream) stream:send { number = 7 } end,
        on_close = function() tidewire.log.info "the end of one" end,
      }
    ]])
    start()
    gw:write("scripts/rooms.lua", hooks)
    gw:reload()
    local stream = follow()
    add(1, 1)
    assert.equal(1, (stream:message().number))
    gw:write("protos/rooms.proto", (proto:gsub("string text = 3;", "string text = 3; int32 more = 4;")))
    gw:reload()
    gw:wait_for_log "generation 2 is gone"
    assert.equal(7, (stream:message().number))
    http1.ask(gw.address, 'POST /notes HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-ndjson\r\n' ..
      'content-length: 23\r\n\r\n{"number":2,"more":100}')
    assert.equal(100, (stream:message().more)) -- the new types
    -- Where the path's rule is another one, the script is the new one, and the rule the one that the call came by.
    gw:write("scripts/rooms.lua", (hooks:gsub("the end of one", "the end of another")))
    gw:configure((config:gsub(" event_id = position", "")))
    gw:reload()
    assert.equal(7, (stream:message().number))
    add(3, 3)
    local message, id = stream:message()
    assert.equal(3, message.number)
    assert.is_truthy(id)
    stream:close()
    gw:wait_for_log "the end of another"
    gw:wait_for_log "generation 3 is gone"
  end)

  it("ends as an error that says so when the gateway does", function()
    start "drain_timeout = 500ms"
    local stream = follow()
    add(1, 1)
    assert.equal(1, (stream:message().number))
    gw:signal "TERM"
    local event = stream:next()
    assert.same({ "error", '{"code":14,' }, { event.event, event.data:sub(1, 11) })
    assert.is_nil(stream:next())
    assert.is_true(stream.wire:is_gone())
    assert.equal(0, gw:wait_exit())
  end)

  it("comes from a server behind as from a script", function()
    start()
    local behind = gw
    gw = gateway.start { protos = { ["rooms.proto"] = proto }, config = [[
      proto = { "rooms.proto" }
      upstream "rooms" { target = "]] .. behind.address .. [[" }
      service "rooms.Rooms" { upstream = "rooms" }
      route { http = "GET /notes" method = "rooms.Rooms/Follow" event_id = position }
    ]] }
    add(1, 3)
    local stream = follow()
    local _, first = stream:message()
    stream:close()
    stream = follow { last = first }
    for i = 2, 3 do assert.equal(i, (stream:message().number)) end
    stream:close()
  end)
end)
