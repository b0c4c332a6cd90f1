local gateway = require "support.gateway"
local client = require "support.client"
local raw = require "support.raw"

local script = [[
local tidewire = require "tidewire"
local greet = {}

local ways = {
  fail = function(_, code, text) tidewire.fail(code, text) end,
  close = function(stream, code, text) stream:close(code, text) end,
  details = function(_, code, text)
    tidewire.fail(code, text, { tidewire.message.new("google.rpc.ErrorInfo",
      { reason = "WHY", domain = "specs", metadata = { key = "value" } }) })
  end,
  raise = function() error "secret of the script" end,
  misspell = function() return tidewire.status.NOT_FOUNT end,
  nothing = function() end,
  wrong = function() return { greting = "misspelt" } end,
}

-- "way CODE text"
function greet.Greet(stream, request)
  local way, code, text = request.name:match "^(%S+) ?(%S*) ?(.*)$"
  if not ways[way] then return { greeting = request.name } end
  return ways[way](stream, code, text)
end

function greet.GreetServerStream(stream, request)
  stream:send { greeting = "first" }
  local way, code, text = request.name:match "^(%S+) ?(%S*) ?(.*)$"
  ways[way](stream, code, text)
end

greet.GreetStream = {
  on_message = function(stream, message)
    local way, code, text = message.name:match "^(%S+) ?(%S*) ?(.*)$"
    if not ways[way] then return { greeting = message.name } end
    ways[way](stream, code, text)
  end,
}

return greet
]]

local config = [[
service "greet.GreetService" { script = "greet.lua" }
proto = { "greet.proto", "tutorial.proto", "google_status.proto" }
]]

local codes = { "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
  "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED" }

describe("a call that ends with an error", function()
  local gw, channel
  before_each(function()
    gw = gateway.start { scripts = { ["greet.lua"] = script }, config = config }
    channel = client.connect(gw.address)
  end)
  after_each(gateway.stop_all)

  local function greet(name) return channel:call("greet.GreetService/Greet", { name = name }) end

  it("has the code and the text that the script chose, every one", function()
    for _, code in ipairs(codes) do
      for _, way in ipairs { "fail", "close" } do
        local reply = greet(way .. " " .. code .. " because of " .. way)
        assert.same({ code, "because of " .. way, nil }, { reply.code, reply.text, reply.message })
      end
    end
  end)

  it("keeps every character of the text", function()
    for _, text in ipairs { "100 % sure %41", "zwölf Käfer 🦊", "two\nlines\tand a tab", '"quoted" \\ back' } do
      assert.equal(text, greet("fail ABORTED " .. text).text)
    end
  end)

  it("carries details with the same code and text", function()
    local reply = greet "details NOT_FOUND no such thing: 100 %"
    assert.same({ "NOT_FOUND", "no such thing: 100 %" }, { reply.code, reply.text })
    assert.same({ code = 5, text = "no such thing: 100 %" }, { code = reply.details.code, text = reply.details.text })
    local detail = reply.details.list[1]
    assert.equal("type.googleapis.com/google.rpc.ErrorInfo", detail.type_url)
    assert.same({ reason = "WHY", domain = "specs", metadata = { key = "value" } }, detail.message)
  end)

  it("after messages still delivers them first", function()
    for _, way in ipairs { "fail ABORTED late", "close ABORTED late", "details ABORTED late" } do
      local replies, status = channel:exchange("greet.GreetService/GreetServerStream", { { name = way } })
      assert.same({ { greeting = "first" } }, replies)
      assert.same({ "ABORTED", "late" }, { status.code, status.text })
    end
  end)

  it("is INTERNAL when the script fails; the peer learns nothing, the log everything", function()
    local reply = greet "raise"
    assert.equal("INTERNAL", reply.code)
    assert.is_nil(reply.text:find "secret")
    assert.is_nil(reply.text:find "greet.lua")
    gw:wait_for_log "secret of the script"
    assert.is_truthy(gw:log():find "greet%.lua:%d+: secret of the script")
    assert.is_truthy(gw:log():find "traceback")
    assert.equal("OK", greet("still here").code)
  end)

  it("is one stream's only: others of the connection go on", function()
    local other = channel:open "greet.GreetService/GreetStream"
    other:send { name = "a" }
    assert.equal("a", other:receive().greeting)
    local failing = channel:open "greet.GreetService/GreetStream"
    failing:send { name = "raise" }
    assert.equal("INTERNAL", failing:status().code)
    other:send { name = "b" }
    assert.equal("b", other:receive().greeting)
    other:half_close()
    assert.equal("OK", other:status().code)
  end)

  it("says in the log which name was misspelt", function()
    assert.equal("INTERNAL", greet("misspell").code)
    gw:wait_for_log "NOT_FOUNT"
    assert.is_truthy(gw:log():find("NOT_FOUND", 1, true))
    assert.equal("INTERNAL", greet("wrong").code)
    gw:wait_for_log "greting"
    assert.is_truthy(gw:log():find('"greeting"', 1, true))
  end)

  it("is INTERNAL without the one reply that the method has, and the log names the handler", function()
    local mark = gw:mark()
    assert.equal("INTERNAL", greet("nothing").code)
    assert.is_truthy(gw:wait_for_log("greet.lua", mark))
  end)
end)

describe("a request that is at fault", function()
  local gw, wire
  before_each(function()
    gw = gateway.start { scripts = { ["greet.lua"] = script }, config = config }
    wire = assert(raw.connect(gw.address))
  end)
  after_each(gateway.stop_all)

  local hello = raw.message(raw.text(1, "hello"))

  local function answer(stream, path, more, body, is_end)
    wire:headers(stream, path, more, body == nil)
    if body then wire:data(stream, body, is_end ~= false) end
    local trailers = assert(wire:trailers(stream))
    return trailers.fields["grpc-status"], trailers.fields
  end

  it("for an unknown service or method is UNIMPLEMENTED, in trailers alone", function()
    local paths = { "greet.GreetService/Nope", "no.Such/Greet", "Greet", "greet.GreetService/", "/", "", "//" }
    for i, path in ipairs(paths) do
      local status, fields = answer(2 * i - 1, path, nil, hello)
      assert.equal("12", status, path)
      assert.equal("200", fields[":status"])
      assert.is_truthy(fields["content-type"]:find "^application/grpc")
    end
  end)

  it("for a service of the schema that no script answers is UNIMPLEMENTED", function()
    assert.equal("12", (answer(1, "tutorial.NumberService/AccumulateNumbers", nil, hello)))
  end)

  it("with another content-type is 415, with a text that says what is served", function()
    for i, content_type in ipairs { "text/plain", "application/jsonp", "application/grpcx", false } do
      local stream = 2 * i - 1
      wire:headers(stream, "greet.GreetService/Greet", { ["content-type"] = content_type })
      local headers = wire:expect { type = "HEADERS", stream = stream }
      assert.equal("415", headers.fields[":status"], tostring(content_type))
      assert.equal("text/plain", headers.fields["content-type"])
      local body = wire:expect { type = "DATA", stream = stream }
      assert.is_truthy(body.bytes:find("application/grpc", 1, true))
      assert.equal(headers.fields["content-length"], tostring(#body.bytes))
      assert.is_true(body.is_end)
    end
    wire:headers(9, "", { [":method"] = "HEAD", ["content-type"] = false }, true)
    assert.is_true(wire:expect({ type = "HEADERS", stream = 9 }).is_end)
    wire:headers(11, "greet.GreetService/Greet", { ["content-type"] = "text/plain" })
    wire:expect { type = "DATA", stream = 11 }
    wire:data(11, "more and more")
    assert.equal("NO_ERROR", wire:expect({ type = "RST_STREAM", stream = 11 }).code)
  end)

  it("with a content-type of gRPC's family is served, and echoed", function()
    for i, content_type in ipairs { "application/grpc", "application/grpc+proto", "application/grpc;x=y" } do
      wire:headers(2 * i - 1, "greet.GreetService/Greet", { ["content-type"] = content_type })
      wire:data(2 * i - 1, hello, true)
      local headers = wire:expect { type = "HEADERS", stream = 2 * i - 1 }
      assert.equal("200", headers.fields[":status"])
      assert.equal((content_type:gsub(";.*", "")), headers.fields["content-type"])
      assert.equal("0", wire:trailers(2 * i - 1).fields["grpc-status"])
    end
  end)

  it("with another HTTP method is 405", function()
    for i, method in ipairs { "GET", "PUT" } do
      local _, fields = answer(2 * i - 1, "greet.GreetService/Greet", { [":method"] = method }, hello)
      assert.equal("405", fields[":status"], method)
    end
  end)

  it("with two messages, or none, where the method takes one, is UNIMPLEMENTED", function()
    assert.equal("12", (answer(1, "greet.GreetService/Greet", nil, hello .. hello)))
    assert.equal("12", (answer(3, "greet.GreetService/Greet", nil, "")))
    assert.equal("12", (answer(5, "greet.GreetService/Greet")))
    assert.equal("12", (answer(7, "greet.GreetService/GreetServerStream", nil, hello .. hello)))
    assert.equal("0", (answer(9, "greet.GreetService/GreetStream", nil, hello .. hello)))
  end)

  it("that ends inside a prefix or a message is INTERNAL", function()
    assert.equal("13", (answer(1, "greet.GreetService/Greet", nil, hello:sub(1, 3))))
    assert.equal("13", (answer(3, "greet.GreetService/Greet", nil, hello:sub(1, -2))))
    assert.equal("13", (answer(5, "greet.GreetService/GreetStream", nil, hello .. hello:sub(1, -2))))
  end)

  it("that is no such message is INTERNAL", function()
    for i, bytes in ipairs { "\255", "\10\5abc", "\10\1\255", "\11", "\10" } do
      assert.equal("13", (answer(2 * i - 1, "greet.GreetService/Greet", nil, raw.message(bytes))), i)
    end
  end)

  it("with a strange flag, or compressed without a name for it, is INTERNAL", function()
    assert.equal("13", (answer(1, "greet.GreetService/Greet", nil, raw.message("", 2))))
    assert.equal("13", (answer(3, "greet.GreetService/Greet", nil, raw.message("", 1))))
    assert.equal("13", (answer(5, "greet.GreetService/Greet", { ["grpc-encoding"] = "identity" }, raw.message("", 1))))
  end)

  it("may come in DATA frames of one byte each", function()
    wire:headers(1, "greet.GreetService/GreetStream")
    wire:send { { send = "data_each_byte", stream = 1, bytes = hello:rep(20), ["end"] = true } }
    local got = ""
    while #got < #hello * 20 do got = got .. wire:expect({ type = "DATA", stream = 1 }).bytes end
    assert.equal(hello:rep(20), got)
    assert.equal("0", wire:trailers(1).fields["grpc-status"])
  end)

  it("may have its headers in pieces, padding and fields that mean nothing", function()
    wire:send { { send = "headers", stream = 1, pieces = 3,
      fields = raw.request("greet.GreetService/Greet", { ["x-nothing"] = "at all", te = false }) } }
    wire:send { { send = "frame", type = "DATA", flags = 8 + 1, stream = 1, bytes = "\3" .. hello .. "\0\0\0" } }
    assert.equal("0", wire:trailers(1).fields["grpc-status"])
  end)

  it("for a finished call gets its upload stopped with NO_ERROR", function()
    wire:headers(1, "greet.GreetService/GreetStream")
    wire:data(1, raw.message(raw.text(1, "fail ABORTED early")))
    assert.equal("10", wire:trailers(1).fields["grpc-status"])
    assert.equal("NO_ERROR", wire:expect({ type = "RST_STREAM", stream = 1 }).code)
  end)
end)
