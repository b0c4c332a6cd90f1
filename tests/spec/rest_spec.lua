-- Calls as plain HTTP: paths by annotation and by config, bodies, and streams as lines, lists and events.
local events = require "support.events"
local gateway = require "support.gateway"
local http1 = require "support.http1"

local proto = [[
syntax = "proto3";
package rooms;
import "google/api/annotations.proto";
import "google/api/httpbody.proto";
message Note { int64 position = 1; string room = 2; string text = 3; }
message Wanted { string room = 1; int32 count = 2; string since = 3; }
message Notes { repeated Note notes = 1; }
message File { string name = 1; google.api.HttpBody body = 2; }
service Rooms {
  rpc Post(Note) returns (Note) { option (google.api.http) = { post: "/v1/{room=rooms/*}/notes" body: "*" }; }
  rpc List(Wanted) returns (Notes) {
    option (google.api.http) = { get: "/v1/{room=rooms/*}/notes" response_body: "notes" };
  }
  rpc Many(stream Note) returns (Notes) { option (google.api.http) = { post: "/v1/notes:many" body: "*" }; }
  rpc Some(Wanted) returns (stream Note) { option (google.api.http) = { get: "/v1/{room=rooms/*}:some" }; }
  rpc Follow(Wanted) returns (stream Note);
  rpc Keep(File) returns (File) {
    option (google.api.http) = { put: "/v1/files/{name=**}" body: "body" response_body: "body" };
  }
  rpc Pieces(File) returns (stream google.api.HttpBody) { option (google.api.http) = { get: "/v1/files/{name=**}" }; }
  rpc Seldom(Wanted) returns (Notes) { option (google.api.http) = { get: "/v1/seldom" }; }
}
]]

local script = [[
local tidewire = require "tidewire"
local rooms = {}

local function topic(name)
  return tidewire.topic(name, { type = "rooms.Note", history = 100, position = "position" })
end

function rooms.Post(stream, note)
  if note.text == "" then
    tidewire.fail("INVALID_ARGUMENT", "say something", { tidewire.message.new("rooms.Note", { room = note.room }) })
  end
  topic(note.room):publish(note)
  stream:set_header("x-says", stream:metadata "x-word" or stream.protocol)
  return note
end

function rooms.List(_, wanted)
  local notes = {}
  for i = 1, wanted.count do notes[i] = { room = wanted.room, text = tostring(i) } end
  return { notes = notes }
end

function rooms.Many(stream)
  local notes = {}
  for note in stream:messages() do notes[#notes + 1] = note end
  return { notes = notes }
end

function rooms.Some(stream, wanted)
  for i = 1, wanted.count do stream:send { room = wanted.room, text = tostring(i) } end
  tidewire.fail("OUT_OF_RANGE", "no more")
end

function rooms.Follow(stream, wanted)
  if wanted.room == "rooms/none" then tidewire.fail("NOT_FOUND", "no such room") end
  topic(wanted.room):subscribe(stream, { since = stream:metadata "last-event-id" or "all" })
  stream:on_close(function(_, code) tidewire.log.info("a follower is gone: " .. code) end)
  tidewire.sleep(3600)
end

local files = {}

function rooms.Keep(_, file)
  files[file.name] = { type = file.body.content_type, data = file.body.data }
  return file
end

function rooms.Pieces(stream, wanted)
  local file = files[wanted.name] or tidewire.fail("NOT_FOUND", "no such file")
  for i = 1, #file.data, 10000 do
    stream:send { content_type = file.type, data = file.data:sub(i, i + 9999) }
  end
end

function rooms.Seldom() return {} end

return rooms
]]

local config = [[
proto = { "rooms.proto" }
workers = 1
service "rooms.Rooms" {
  script = "rooms.lua"
  method "Seldom" { limit = seldom }
}
limit seldom { per = service  streams_per_second = 0.001 }
route { http = "GET /v1/{room=rooms/*}:follow" method = "rooms.Rooms/Follow" event_id = position }
]]

local json = { "content-type: application/json" }

-- Status, headers, body.
local function ask(gw, method, target, headers, body)
  local lines = { ("%s %s HTTP/1.1"):format(method, target), "host: a" }
  for _, line in ipairs(headers or {}) do lines[#lines + 1] = line end
  if body then lines[#lines + 1] = "content-length: " .. #body end
  return http1.ask(gw.address, table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or ""))
end

describe("A client of REST", function()
  local gw
  setup(function()
    gw = gateway.start { protos = { ["rooms.proto"] = proto }, scripts = { ["rooms.lua"] = script }, config = config }
  end)
  teardown(gateway.stop_all)

  local function post(room, text)
    local answer = ask(gw, "POST", "/v1/rooms/" .. room .. "/notes", json, ('{"text":"%s"}'):format(text))
    assert.equal(200, answer.status)
  end

  it("asks by path, query and body, and is answered in JSON", function()
    local answer = ask(gw, "POST", "/v1/rooms/x%20y/notes", { json[1], "x-word: w" }, '{"text":"t"}')
    assert.same({ 200, "application/json", "w", '{"room":"rooms/x y","text":"t"}' },
      { answer.status, answer.headers["content-type"], answer.headers["x-says"], answer.body })
    answer = ask(gw, "POST", "/v1/rooms/x/notes", json, '{"text":"t"}')
    assert.equal("rest", answer.headers["x-says"])
    answer = ask(gw, "GET", "/v1/rooms/x/notes?count=2")
    assert.same({ 200, '[{"room":"rooms/x","text":"1"},{"room":"rooms/x","text":"2"}]' },
      { answer.status, answer.body })
    answer = ask(gw, "HEAD", "/v1/rooms/x/notes?count=2")
    assert.same({ 200, nil }, { answer.status, answer.body })
    assert.equal("61", answer.headers["content-length"])
    answer = ask(gw, "POST", "/v1/notes:many", { "content-type: application/x-ndjson" },
      '{"text":"1"}\n{"text":"2"}\n')
    assert.equal('{"notes":[{"text":"1"},{"text":"2"}]}', answer.body)
  end)

  it("is told what was wrong", function()
    local answer = ask(gw, "POST", "/v1/rooms/x/notes", json, '{}')
    assert.same({ 400, '{"code":3,"message":"say something","details":[{"@type":"type.googleapis.com/rooms.Note",' ..
      '"room":"rooms/x"}]}' }, { answer.status, answer.body })
    answer = ask(gw, "PUT", "/v1/rooms/x/notes", json, '{}')
    assert.same({ 405, "GET, HEAD, POST" }, { answer.status, answer.headers.allow })
    answer = ask(gw, "GET", "/v1/rooms/x/notes?count=many")
    assert.same({ 400, '{"code":3,"message":"the query: count: expected a number (int32)","details":[]}' },
      { answer.status, answer.body })
    answer = ask(gw, "GET", "/v1/rooms/none:follow", { "accept: text/event-stream" })
    assert.same({ 404, "application/json" }, { answer.status, answer.headers["content-type"] })
    answer = ask(gw, "POST", "/v1/rooms/x/notes", { "content-type: text/plain" }, '{}')
    assert.equal(415, answer.status)
    assert.equal(200, ask(gw, "GET", "/v1/seldom").status)
    answer = ask(gw, "GET", "/v1/seldom")
    local wait = tonumber(answer.headers["retry-after"])
    assert.equal(429, answer.status)
    assert.matches('^{"code":8,.*google.rpc.RetryInfo', answer.body)
    assert.is_true(wait > 0 and wait <= 1000)
  end)

  it("follows a stream of events, and comes back where it was", function()
    post("a", "1")
    post("a", "2")
    local stream = events.follow(gw.address, "/v1/rooms/a:follow")
    assert.equal("no-store", stream.head.headers["cache-control"])
    local first = stream:next()
    assert.same({ id = first.id, data = ('{"position":"%s","room":"rooms/a","text":"1"}'):format(first.id) }, first)
    assert.equal("2", (stream:message().text))
    post("a", "3")
    assert.equal("3", (stream:message().text))
    local mark = gw:mark()
    stream:close()
    gw:wait_for_log("a follower is gone: CANCELLED", mark)
    post("a", "4")
    stream = events.follow(gw.address, "/v1/rooms/a:follow", { last = first.id })
    for i = 2, 4 do assert.equal(tostring(i), (stream:message().text)) end
  end)

  it("works for curl over both versions", function()
    for _, version in ipairs { "--http1.1", "--http2-prior-knowledge" } do
      assert.equal('{"room":"rooms/c","text":"hi"}', http1.curl(gw, { version, "-H", json[1], "-d", '{"text":"hi"}',
        "http://" .. gw.address .. "/v1/rooms/c/notes" }))
      assert.equal('[{"room":"rooms/c","text":"1"},\n{"room":"rooms/c","text":"2"},\n' ..
        '{"error":{"code":11,"message":"no more","details":[]}}]\n',
        http1.curl(gw, { version, "-H", "accept: application/json",
          "http://" .. gw.address .. "/v1/rooms/c:some?count=2" }))
    end
  end)

  it("sends and gets files as they are, over both versions", function()
    local bytes = {}
    for i = 1, 100000 do bytes[i] = string.char(i * 7919 % 256) end
    local data = table.concat(bytes)
    gw:write("file", data)
    for _, version in ipairs { "--http1.1", "--http2-prior-knowledge" } do
      local url = "http://" .. gw.address .. "/v1/files/a/b" .. version
      assert.is_true(data == http1.curl(gw, { version, "-H", "content-type: image/png", "-T", gw:path "file", url }))
      assert.equal("image/png 100000",
        http1.curl(gw, { version, "-o", gw:path "got", "-w", "%{content_type} %{size_download}", url }))
      local file = assert(io.open(gw:path "got", "rb"))
      assert.is_true(data == file:read "*a")
      file:close()
      assert.equal("404", http1.curl(gw, { version, "-o", gw:path "got", "-w", "%{http_code}", url .. "/no" }))
      assert.matches("405.*\nallow: PUT, GET\r\n", http1.curl(gw, { version, "-I", url }))
    end
  end)

  it("is refused what could mean two things, when the config is read", function()
    local function fault_of(more)
      local folder = gateway.prepare { protos = { ["rooms.proto"] = proto }, scripts = { ["rooms.lua"] = script },
        config = config .. more }
      local code, output = gateway.run { "check", "-c", folder:path "tidewire.conf" }
      assert.equal(1, code)
      return output:match "([^\n/]*: error: [^\n]*)"
    end
    local _, lines = config:gsub("\n", "\n")
    assert.equal(("tidewire.conf:%d: error: {rom}: rooms.Note has no such field"):format(lines + 1),
      fault_of 'route { http = "GET /a/{rom}" method = "rooms.Rooms/Post" }')
    assert.equal(("tidewire.conf:%d: error: another route has the path \"/v1/{room}:many\", or one that means the "
      .. "same: that of rooms.Rooms/Post"):format(lines + 2), fault_of(
      'route { http = "POST /v1/{text}:many" method = "rooms.Rooms/Post" }\n' ..
      'route { http = "POST /v1/{room}:many" method = "rooms.Rooms/Post" }'))
    local _, above = proto:match "^(.*)rpc Many":gsub("\n", "\n")
    assert.equal(("rooms.proto:%d: error: the option google.api.http of rooms.Rooms/Many: another route has the path "
      .. '"/v1/notes:many", or one that means the same: that of rooms.Rooms/Post'):format(above + 1),
      fault_of 'route { http = "POST /v1/notes:many" method = "rooms.Rooms/Post" }')
  end)
end)
