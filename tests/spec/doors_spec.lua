-- One script, and the same questions to it by every way in: a row of `ways` for each, and a version of HTTP.
local gateway = require "support.gateway"
local client = require "support.client"
local doors = require "support.doors"

local script = [[
local tidewire = require "tidewire"
local doors = {}

-- What the client said is said back, among the headers and behind the end.
local function greet(stream)
  if not stream:metadata "x-word" then return end
  stream:set_header("x-begin", stream:metadata "x-word")
  stream:set_header("x-begin-bin", stream:metadata "x-word-bin")
  for _, word in ipairs(stream:metadata_all "x-words") do stream:add_trailer("x-end", word) end
  stream:set_trailer("x-end-bin", "\0\255")
end

local function answer(stream, word)
  if word.text == "fail" then
    tidewire.fail("NOT_FOUND", "no such word: \195\188, 100%\n", {
      tidewire.message.new("doors.Word", { text = "why", number = 7 }) })
  elseif word.text == "wait" then
    stream:on_close(function(_, code) tidewire.log.info("waited until " .. code) end)
    stream:send_headers()
    tidewire.log.info "waits"
    tidewire.sleep(3600)
  end
  return { text = stream.protocol .. " " .. word.text, number = word.number }
end

function doors.Unary(stream, word)
  greet(stream)
  return answer(stream, word)
end
doors.Safe = doors.Unary

function doors.Server(stream, word)
  greet(stream)
  for i = 1, word.number do stream:send { text = word.text, number = i } end
  if word.number == 0 then stream:send(answer(stream, word)) end
end

function doors.Client(stream)
  greet(stream)
  local texts = {}
  for word in stream:messages() do texts[#texts + 1] = answer(stream, word).text end
  return { text = table.concat(texts, ","), number = #texts }
end

function doors.Bidi(stream)
  greet(stream)
  for word in stream:messages() do stream:send(answer(stream, word)) end
end

return doors
]]

local config = [[
proto = { "doors.proto" }
service "doors.Doors" {
  script = "doors.lua"
  method "Safe" { message = 10KiB }
}
route { websocket = "GET /goa/doors.Doors/Server" method = "doors.Doors/Server" dialect = goa }
route { websocket = "GET /goa/doors.Doors/Client" method = "doors.Doors/Client" dialect = goa }
route { websocket = "GET /goa/doors.Doors/Bidi" method = "doors.Doors/Bidi" dialect = goa }
limits { message = 3MiB }
]]
for _, method in ipairs { "Unary", "Safe", "Server", "Client", "Bidi", "Nobody" } do
  config = config .. ('route { http = "POST /rest/%s" method = "doors.Doors/%s" body = "*" }\n'):format(method, method)
end

-- `says` is stream.protocol; `is_gradual`: a call that streams both ways may go on as it comes, and is read so.
-- `kinds`: where not all kinds of methods can be called so; `unary`: the method that is, where not all can. `is_terse`:
-- the dialect has no trailers, details and deadlines, and behind the handshake only one kind of failure. `packs_one`:
-- only what is one message can be compressed.
local ways = {
  { name = "gRPC", says = "grpc", is_gradual = true, versions = { 2 },
    connect = function(address) return client.connect(address) end },
}
for _, codec in ipairs { "proto", "json" } do
  ways[#ways + 1] = { name = "grpc+" .. codec, says = "grpc", is_gradual = true, versions = { 2 },
    options = { protocol = "grpc", codec = codec } }
  for _, protocol in ipairs { "grpc-web", "grpc-web-text", "connect", "websocket" } do
    ways[#ways + 1] = { name = protocol .. "+" .. codec, says = protocol:gsub("%-text", ""), is_gradual = true,
      versions = { 1, 2 }, options = { protocol = protocol, codec = codec } }
  end
  ways[#ways + 1] = { name = "Triple+" .. codec, says = "grpc", is_gradual = true, versions = { 2 },
    options = { protocol = "triple", codec = codec } }
  ways[#ways + 1] = { name = "Connect's GET, " .. codec, says = "connect", kinds = "Unary", unary = "Safe",
    versions = { 1, 2 }, options = { protocol = "connect-get", codec = codec } }
  ways[#ways + 1] = { name = "Triple without gRPC, " .. codec, says = "connect", kinds = "Unary", versions = { 1, 2 },
    options = { protocol = "triple-unary", codec = codec } }
end
ways[#ways + 1] = { name = "Goa", says = "websocket", is_gradual = true, is_terse = true, versions = { 1 },
  kinds = "Server Client Bidi", options = { protocol = "goa", codec = "json" } }

for _, form in ipairs { "rest", "rest-list", "rest-events" } do
  ways[#ways + 1] = { name = form, says = "rest", is_gradual = form ~= "rest-list", packs_one = true,
    versions = { 1, 2 }, options = { protocol = form, codec = "json" } }
end

local gw

local function connect(way, version, more)
  if way.connect then return way.connect(gw.address) end
  local options = { http = version }
  for k, v in pairs(way.options) do options[k] = v end
  for k, v in pairs(more or {}) do options[k] = v end
  return doors.connect(gw.address, options)
end

local metadata = { ["x-word"] = "a b", ["x-word-bin"] = "\0\1\254", ["x-words"] = { "one", "two" } }

-- What came back of it; other names are the protocol's own.
local function check_metadata(way, result)
  assert.same({ "a b" }, result.headers["x-begin"])
  assert.same({ "\0\1\254" }, result.headers["x-begin-bin"])
  if way.is_terse then return end
  assert.same({ "one, two" }, { table.concat(result.trailers["x-end"], ", ") })
  assert.same({ "\0\255" }, result.trailers["x-end-bin"])
end

-- grpcio gives details as { list = … }.
local function check_failure(way, result, is_late)
  assert.equal(way.is_terse and is_late and "UNKNOWN" or "NOT_FOUND", result.code)
  assert.equal("no such word: \195\188, 100%\n", result.text)
  if way.is_terse then return end
  local detail = (result.details.list or result.details)[1]
  assert.matches("doors%.Word$", detail.type or detail.type_url)
  assert.equal("\10\3why\16\7", detail.value)
end

local function has(way, kind) return not way.kinds or way.kinds:find(kind, 1, true) end

local function check(way, version)
  local channel
  local unary = "doors.Doors/" .. (way.unary or "Unary")
  before_each(function() channel = connect(way, version) end)

  local function ended(stream)
    local status = stream:status()
    assert.equal("OK", status.code)
    return status
  end

  if has(way, "Unary") then
    it("asks and is answered, with metadata both ways", function()
      local reply = channel:call(unary, { text = "h\195\188", number = "9007199254740993" },
        { metadata = metadata, timeout = gateway.patience })
      assert.equal("OK", reply.code)
      assert.same({ text = way.says .. " h\195\188", number = "9007199254740993" }, reply.message)
      check_metadata(way, reply)
    end)
  end

  if has(way, "Server") then
    it("gets a stream of answers", function()
      local stream = channel:open("doors.Doors/Server", { metadata = metadata })
      stream:send { text = "x", number = 5 }
      stream:half_close()
      for i = 1, 5 do assert.same({ text = "x", number = i }, stream:receive()) end
      assert.same({ nil, "end" }, { stream:receive() })
      check_metadata(way, ended(stream))
    end)
  end

  if has(way, "Client") then
    it("sends a stream of requests", function()
      local stream = channel:open("doors.Doors/Client", { metadata = metadata })
      for i = 1, 5 do stream:send { text = tostring(i) } end
      stream:half_close()
      local says = way.says
      assert.same({ text = ("%s 1,%s 2,%s 3,%s 4,%s 5"):format(says, says, says, says, says), number = 5 },
        stream:receive())
      check_metadata(way, ended(stream))
    end)
  end

  if has(way, "Bidi") then
    it("talks both ways", function()
      local stream = channel:open("doors.Doors/Bidi", { metadata = metadata })
      if way.is_gradual then
        for i = 1, 5 do
          stream:send { text = "x", number = i }
          assert.same({ text = way.says .. " x", number = i }, stream:receive())
        end
      end
      for i = 1, 5 do stream:send { text = "y", number = i } end
      stream:half_close()
      for i = 1, 5 do assert.same({ text = way.says .. " y", number = i }, stream:receive()) end
      check_metadata(way, ended(stream))
    end)
  end

  it("is told of failures, with text and details, before the first message and behind it", function()
    for _, method in ipairs { "Server", "Client", "Bidi" } do
      if has(way, method) then
        local stream = channel:open("doors.Doors/" .. method)
        if method ~= "Server" then stream:send { text = "x" } end
        stream:send { text = "fail" }
        stream:half_close()
        if method == "Bidi" then assert.equal(way.says .. " x", stream:receive().text) end
        assert.same({ nil, "end" }, { stream:receive() })
        check_failure(way, stream:status(), method ~= "Server")
      end
    end
    if not has(way, "Unary") then return end
    local reply = channel:call(unary, { text = "fail" }, { metadata = metadata })
    check_failure(way, reply)
    assert.same({ "one, two" }, { table.concat(reply.trailers["x-end"], ", ") })
    if way.unary then return end
    assert.equal("UNIMPLEMENTED", channel:call("doors.Doors/Nobody", { text = "a" }).code)
  end)

  it("cancels", function()
    local mark = gw:mark()
    local stream = channel:open(has(way, "Bidi") and "doors.Doors/Bidi" or unary, client.soon)
    stream:send { text = "wait" }
    if not has(way, "Bidi") then stream:half_close() end
    gw:wait_for_log("waits", mark)
    stream:cancel()
    gw:wait_for_log("waited until CANCELLED", mark)
  end)

  it("sends and gets large messages, and is told when one is too large", function()
    local text = ("0123456789abcdef"):rep(128 * 1024) -- 2 MiB
    if has(way, "Bidi") then
      local stream = channel:open "doors.Doors/Bidi"
      for _ = 1, 2 do
        stream:send { text = text }
        if way.is_gradual then assert.equal(#way.says + 1 + #text, #stream:receive().text) end
      end
      stream:half_close()
      ended(stream)
    end
    if not has(way, "Unary") then return end
    if way.unary then text = text:sub(1, 9000) end -- which the method's own limit lets in
    local reply = channel:call(unary, { text = text })
    assert.equal("OK", reply.code)
    assert.is_true(reply.message.text == way.says .. " " .. text)
    if way.unary then text = text .. text end
    assert.equal("RESOURCE_EXHAUSTED", channel:call("doors.Doors/Safe", { text = text:sub(1, 11000) }).code)
  end)

  if way.options then
    it("compresses", function()
      local packing = connect(way, version, { compression = "gzip" })
      local text = ("so much of it "):rep(500)
      if has(way, "Unary") then
        assert.equal(way.says .. " " .. text, packing:call(unary, { text = text }).message.text)
      end
      if way.packs_one or not has(way, "Bidi") then return end
      local stream = packing:open "doors.Doors/Bidi"
      stream:send { text = text }
      stream:half_close()
      assert.equal(way.says .. " " .. text, stream:receive().text)
      ended(stream)
    end)
  end
end

describe("one script", function()
  setup(function() gw = gateway.start { scripts = { ["doors.lua"] = script }, config = config } end)
  teardown(gateway.stop_all)

  for _, way in ipairs(ways) do
    for _, version in ipairs(way.versions) do
      describe(("for a client of %s over HTTP/%s:"):format(way.name, version == 1 and "1.1" or "2"), function()
        check(way, version)
      end)
    end
  end

  it("is held to the deadline of each client", function()
    local streams = {}
    for _, way in ipairs(ways) do
      for _, version in ipairs(way.versions) do
        if has(way, "Server") and not way.is_terse then
          local stream = connect(way, version):open("doors.Doors/Server", client.brief)
          stream:send { text = "wait" }
          stream:half_close()
          streams[way.name .. "/" .. version] = stream
        end
      end
    end
    for name, stream in pairs(streams) do
      assert.same({ nil, "end" }, { stream:receive() })
      assert.equal(name .. " DEADLINE_EXCEEDED", name .. " " .. stream:status().code)
    end
  end)
end)
