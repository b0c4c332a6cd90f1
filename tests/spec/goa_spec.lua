-- WebSockets as clients speak them that Goa has generated: paths of a design, plain JSON, "null" as the half-close.
local gateway = require "support.gateway"
local http1 = require "support.http1"
local websocket = require "support.websocket"

-- What Goa writes for a design: sint32 and sint64, `optional` for what is not required, wrappers with `field`.
local proto = [[
syntax = "proto3";
package chatter;
service Chatter {
  rpc Echoer(stream EchoerStreamingRequest) returns (stream EchoerResponse);
  rpc Summary(stream SummaryStreamingRequest) returns (SummaryResponse);
  rpc Listener(stream ListenerStreamingRequest) returns (ListenerResponse);
  rpc Waiter(stream ListenerStreamingRequest) returns (ListenerResponse);
  rpc History(HistoryRequest) returns (stream HistoryResponse);
}
message EchoerStreamingRequest { string field = 1; }
message EchoerResponse { string field = 1; }
message SummaryStreamingRequest { string field = 1; }
message SummaryResponse { repeated ChatSummary field = 1; }
message ChatSummary { string message_ = 1; optional sint32 length = 2; sint64 sent_at = 3; bool is_read = 4; }
message ListenerStreamingRequest { string field = 1; }
message ListenerResponse {}
message HistoryRequest {
  sint64 since = 1;
  optional bool is_open = 2;
  repeated string tag = 3;
  string room = 4;
  optional double weight = 5;
}
message HistoryResponse {
  string room = 1;
  sint64 since = 2;
  bool is_open = 3;
  repeated string tag = 4;
  double weight = 5;
  optional string note = 6;
}
]]

local script = [[
local tidewire = require "tidewire"
local chatter = {}

local function check(stream)
  if stream:metadata "authorization" ~= "Bearer sesame" then tidewire.fail("UNAUTHENTICATED", "who are you?") end
end

function chatter.Echoer(stream)
  check(stream)
  stream:set_header("goa-view", "tiny")
  for message in stream:messages() do
    if message.field == "fail" then tidewire.fail("NOT_FOUND", "no such thing") end
    stream:send { field = stream.protocol .. " " .. message.field }
  end
end

function chatter.Summary(stream)
  local list = {}
  for message in stream:messages() do
    list[#list + 1] = { message_ = message.field, length = #message.field, sent_at = 9007199254740991 }
  end
  list[#list + 1] = {}
  return { field = list }
end

function chatter.Listener(stream)
  local texts = {}
  for message in stream:messages() do
    texts[#texts + 1] = message.field
    tidewire.sleep(0.02)
  end
  tidewire.log.info("has heard " .. table.concat(texts, ","))
  return {}
end

-- Behind its last message it has something to do that never ends.
function chatter.Waiter(stream)
  for _ in stream:messages() do end
  tidewire.log.info "has heard all"
  tidewire.sleep(3600)
end

function chatter.History(stream, request)
  check(stream)
  if request.room == "closed" then tidewire.fail("PERMISSION_DENIED", "closed \195\188") end
  stream:set_header("goa-view", stream:metadata "view" or "default")
  for i = 1, 2 do
    stream:send { room = request.room, since = request.since + i, is_open = request.is_open or false,
      tag = request.tag, weight = request.weight or 0 }
  end
end

return chatter
]]

local config = [[
proto = { "chatter.proto" }
service "chatter.Chatter" { script = "chatter.lua" }
route { websocket = "GET /echoer" method = "chatter.Chatter/Echoer" dialect = goa }
route { websocket = "GET /summary" method = "chatter.Chatter/Summary" dialect = goa }
route { websocket = "GET /listener" method = "chatter.Chatter/Listener" dialect = goa }
route { websocket = "GET /waiter" method = "chatter.Chatter/Waiter" dialect = goa }
route { websocket = "GET /rooms/{room}/history" method = "chatter.Chatter/History" dialect = goa }
route { websocket = "GET /plain/{x_word}/{authorization=**}" method = "chatter.Chatter/Echoer" }
]]

describe("a client that Goa has generated", function()
  local gw
  local token = { headers = { "Authorization: Bearer sesame" } }
  setup(function()
    gw = gateway.start {
      config = config,
      scripts = { ["chatter.lua"] = script },
      protos = { ["chatter.proto"] = proto },
    }
  end)
  after_each(http1.close_all)
  teardown(gateway.stop_all)

  local function send(ws, json) ws:text(json .. "\n") end

  it("talks both ways, by JSON of Go with a line end, and ends with null", function()
    local ws = websocket.open(gw.address, "/echoer", token)
    assert.equal("tiny", ws.headers["goa-view"])
    assert.is_nil(ws.headers["sec-websocket-protocol"])
    for _, word in ipairs { "a", "", "null" } do
      send(ws, '"' .. word .. '"')
      assert.equal('"websocket ' .. word .. '"\n', ws:message())
    end
    ws:binary '"b"' -- readers take either kind
    assert.same({ '"websocket b"\n', "text", false }, { ws:message() })
    send(ws, "null")
    assert.same({ 1000, "" }, { ws:closed() })
  end)

  it("may compress, null too", function()
    local ws = websocket.open(gw.address, "/echoer", { headers = token.headers, extensions = "permessage-deflate" })
    ws:send(0xc1, "\82\74\84\2\0") -- "a" between quotes
    assert.equal('"websocket a"\n', ws:message())
    ws:send(0xc1, "\202\43\205\201\225\2\0")
    assert.equal(1000, (ws:closed()))
  end)

  it("sends a stream and gets one answer: a list, its numbers as numbers, and what is zero but required", function()
    local ws = websocket.open(gw.address, "/summary", token)
    send(ws, '"hello"')
    send(ws, "null")
    assert.equal('[{"message":"hello","length":5,"sent_at":9007199254740991,"is_read":false},' ..
      '{"message":"","sent_at":0,"is_read":false}]\n', ws:message())
    assert.equal(1000, (ws:closed()))
  end)

  it("that wants no answer is gone before its messages are worked through, and they are nevertheless", function()
    local ws = websocket.open(gw.address, "/listener", token)
    for i = 1, 5 do send(ws, ('"%d"'):format(i)) end
    send(ws, "null")
    ws:cut()
    gw:wait_for_log "has heard 1,2,3,4,5"
  end)

  it("has its payload in path, query and headers", function()
    local ws = websocket.open(gw.address,
      "/rooms/the%20lobby/history?since=41&is_open=true&tag=a&tag=b%2Cc&view=tiny&weight=0.5", token)
    assert.equal("tiny", ws.headers["goa-view"])
    for since = 42, 43 do
      assert.equal(('{"room":"the lobby","since":%d,"is_open":true,"tag":["a","b,c"],"weight":0.5}\n'):format(since),
        ws:message())
    end
    assert.equal(1000, (ws:closed()))
    ws = websocket.open(gw.address, "/rooms/a/history", { headers = { token.headers[1], "Is-Open: true", "Room: b" } })
    assert.equal('{"room":"a","since":1,"is_open":true,"tag":[],"weight":0}\n', ws:message())
  end)

  it("is refused by HTTP when its call fails at once, with the error's name", function()
    local answer = websocket.refused(gw.address, "/echoer")
    assert.equal(401, answer.status)
    assert.equal("unauthenticated", answer.headers["goa-error"])
    assert.matches('^{"name":"unauthenticated","id":"","message":"who are you%?","temporary":false,"timeout":false,' ..
      '"fault":false}\n$', answer.body)
    answer = websocket.refused(gw.address, "/rooms/closed/history", token)
    assert.equal(403, answer.status)
    assert.matches('"message":"closed \195\188"', answer.body)
    answer = websocket.refused(gw.address, "/rooms/a/history?since=soon", token)
    assert.equal(400, answer.status)
    assert.equal("invalid_argument", answer.headers["goa-error"])
    answer = websocket.refused(gw.address, "/rooms/%ff%zz/history", token)
    assert.equal(400, answer.status)
    assert.equal("invalid_argument", answer.headers["goa-error"])
    assert.matches('^{"name":"invalid_argument","id":"","message":"the path is malformed",', answer.body)
    answer = websocket.refused(gw.address, "/echoer", { origin = "https://elsewhere.example" })
    assert.equal(403, answer.status)
    assert.equal("permission_denied", answer.headers["goa-error"])
    assert.equal(404, websocket.refused(gw.address, "/rooms//history", token).status)
  end)

  it("is closed with 1011 and a reason when its call fails later", function()
    local ws = websocket.open(gw.address, "/echoer", token)
    send(ws, '"fail"')
    assert.same({ 1011, "no such thing" }, { ws:closed() })
  end)

  it("sends one value at a time", function()
    for _, text in ipairs { '"a","other":1', '"a"}', "a", "" } do
      local ws = websocket.open(gw.address, "/echoer", token)
      send(ws, text)
      local code, reason = ws:closed()
      assert.equal(1011, code)
      assert.matches("^the request is no chatter%.EchoerStreamingRequest: ", reason)
    end
  end)

  it("is served at paths that are some, each once, of methods that are known", function()
    local function fault_of(routes)
      local folder = gateway.prepare { protos = { ["chatter.proto"] = proto }, scripts = { ["chatter.lua"] = script },
        config = 'proto = { "chatter.proto" }\nservice "chatter.Chatter" { script = "chatter.lua" }\n' .. routes }
      local code, output = gateway.run { "check", "-c", folder:path "tidewire.conf" }
      assert.equal(1, code)
      return output:match "tidewire%.conf:[^\n]*"
    end
    assert.equal('tidewire.conf:3: error: no `proto` has a method chatter.Chatter/Eco',
      fault_of 'route { websocket = "GET /a" method = "chatter.Chatter/Eco" }')
    assert.equal('tidewire.conf:4: error: another route has the path "/a/{y}", or one that means the same: that of ' ..
      'chatter.Chatter/Echoer',
      fault_of('route { websocket = "GET /a/{x}" method = "chatter.Chatter/Echoer" }\n' ..
      'route { websocket = "GET /a/{y}" method = "chatter.Chatter/Summary" }'))
    assert.equal('tidewire.conf:3: error: "/a/{": a variable has the name of a field',
      fault_of 'route { websocket = "GET /a/{" method = "chatter.Chatter/Echoer" }')
  end)

  it("shares the routes with others: what is in the path is metadata, what is spoken is as elsewhere", function()
    local ws = websocket.open(gw.address, "/plain/word/Bearer%20sesame", { protocol = "tidewire.json" })
    ws:text '{"field":"a"}'
    assert.equal('{"headers":{"goa-view":["tiny"]}}', ws:message())
    assert.equal('{"message":{"field":"websocket a"}}', ws:message())
    ws:half_close()
    assert.equal('{"end":{}}', ws:message())
    assert.equal(1000, (ws:closed()))
  end)
end)

describe("a call whose client of Goa's has gone without waiting for its end", function()
  after_each(gateway.stop_all)

  local function leave(more)
    local gw = gateway.start {
      config = more .. config, scripts = { ["chatter.lua"] = script }, protos = { ["chatter.proto"] = proto },
    }
    local ws = websocket.open(gw.address, "/waiter")
    ws:text '"a"'
    ws:text "null"
    gw:wait_for_log "has heard all"
    ws:cut()
    gw:wait_for_log "connection ends"
    return gw
  end

  it("is ended when it makes no progress for limits.stalled", function()
    local ended = leave("limits { stalled = 300ms }\n"):wait_for_log "call ended"
    assert.is_truthy(ended:find("status=CANCELLED reason=client", 1, true), ended)
  end)

  it("is ended with the process", function()
    for _, signals in ipairs { { "QUIT" }, { "TERM", "TERM" } } do
      local gw = leave "limits { stalled = 1h }\n"
      assert.is_false(gw:said "call ended")
      for i, signal in ipairs(signals) do
        if i > 1 then gw:wait_for_log "draining" end
        gw:signal(signal)
      end
      assert.equal(0, gw:wait_exit())
      assert.is_true(gw:said "status=UNAVAILABLE reason=drain", gw:log())
    end
  end)
end)
