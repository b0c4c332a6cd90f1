local gateway = require "support.gateway"
local caller = require "support.caller"
local process = require "support.process"
local certificates = require "support.certificates"

local run = caller.run

local script = [[
local tidewire = require "tidewire"
local greet = {}
local sent = 0

local function metadata(stream)
  stream:set_header("x-header", stream:metadata "x-given" or "none")
  stream:set_trailer("x-trailer-bin", stream:metadata "x-given-bin" or "\0\1")
end

function greet.Greet(stream, request)
  metadata(stream)
  if request.name == "detail" then
    tidewire.fail("NOT_FOUND", "no such\27[31m thing",
      { tidewire.message.new("google.rpc.ErrorInfo", { reason = "WHY" }) })
  end
  if request.name == "colours" then
    tidewire.fail("ABORTED", "\194\15531m \127 zwölf")
  end
  if request.name == "colour" then return { greeting = "\27[31m\127\194\15531m" } end
  if request.name == "sleep" then tidewire.sleep(60) end
  if request.name == "sent" then return { greeting = tostring(sent) } end
  if request.name == "remaining" then return { greeting = tostring(stream:remaining() ~= nil) } end
  if request.name == "long" then return { greeting = ("x"):rep(6 * 1024 * 1024) } end
  return { greeting = request.name }
end

-- Says something before it is asked, and after the client has ended.
function greet.GreetStream(stream)
  stream:send { greeting = "hello" }
  for request in stream:messages() do
    if request.name == "stall" then tidewire.sleep(60) end
    stream:send { greeting = request.name }
  end
  stream:send { greeting = "bye" }
end

function greet.GreetServerStream(stream, request)
  for i = 1, tonumber(request.name) do
    stream:send { greeting = ("%05d"):format(i) .. ("x"):rep(995) }
    sent = i
  end
end

function greet.GreetClientStream(stream)
  local count, bytes = 0, 0
  for request in stream:messages() do count, bytes = count + 1, bytes + #request.name end
  return { greeting = count .. " " .. bytes }
end

return greet
]]

-- What this tells in the end: a value of at least `least` that ten looks in a row find unchanged.
local function settled(look, least)
  local value, unchanged = nil, 0
  assert(process.await(gateway.patience, function()
    local now = look()
    unchanged = now == value and unchanged + 1 or 0
    value = now
    return value >= least and unchanged == 10
  end), value)
  return value
end

local config = [[
service "greet.GreetService" { script = "greet.lua" }
proto = { "greet.proto", "all_types.proto", "google_status.proto" }
workers = 1
]]

describe("tidewire call", function()
  local gw, address
  before_each(function()
    gw = gateway.start { scripts = { ["greet.lua"] = script }, config = config }
    address = gw.address
  end)
  after_each(gateway.stop_all)

  it("makes a call with one message, from standard input, an argument or a file", function()
    local expected = { 0, '{"greeting":"ann"}\n', "" }
    local path = caller.write("request.json", '\n{\n  "name": "ann"\n}\n')
    assert.same(expected, { run('{"name":"ann"}\n', address, "greet.GreetService/Greet") })
    assert.same(expected, { run('{"name":"ann"}', address, "greet.GreetService/Greet", "-d", "@") })
    assert.same(expected, { run("", address, "greet.GreetService/Greet", "-d", '{"name":"ann"}') })
    assert.same(expected, { run("", address, "/greet.GreetService/Greet", "-d@" .. path) })
    assert.same({ 0, "{}\n", "" }, { run("", address, "greet.GreetService/Greet") })
    assert.same({ 0, "{}\n", "" }, { run("{}", address, "greet.GreetService/Greet", "-d", "") })
  end)

  it("makes streaming calls of all kinds, a line for each response", function()
    local code, out = run('{"name":"3"}', address, "greet.GreetService/GreetServerStream")
    assert.equal(0, code)
    assert.same({ "00001", "00002", "00003" }, { out:match('^' .. ('{"greeting":"(%d+)x+"}\n'):rep(3) .. '$') })
    assert.same({ 0, '{"greeting":"3 6"}\n', "" },
      { run('{"name":"a"} {"name":"bb"}\n{"name"\n:\n"ccc"}', address, "greet.GreetService/GreetClientStream") })
    assert.same({ 0, '{"greeting":"hello"}\n{"greeting":"a"}\n{"greeting":"b"}\n{"greeting":"bye"}\n', "" },
      { run('{"name":"a"}\n\n{"name":"b"}\n', address, "greet.GreetService/GreetStream") })
    assert.same({ 0, '{"greeting":"0 0"}\n', "" }, { run("", address, "greet.GreetService/GreetClientStream") })
  end)

  it("is duplex: every message crosses as soon as it is there", function()
    local call = caller.start(address, "greet.GreetService/GreetStream")
    assert.equal('{"greeting":"hello"}', call:read_line()) -- before anything was sent
    for _, name in ipairs { "a", "b", "c" } do
      call:write_line('{"name":"' .. name .. '"}')
      assert.equal('{"greeting":"' .. name .. '"}', call:read_line())
    end
    call:end_input()
    assert.equal('{"greeting":"bye"}', call:read_line())
    assert.equal(0, call:wait())
    assert.equal("", call.errors())
  end)

  it("ends when the call ends, whatever is still to come on standard input", function()
    local call = caller.start(address, "greet.GreetService/GreetStream", "--timeout", "300ms")
    assert.equal('{"greeting":"hello"}', call:read_line())
    assert.equal(1, call:wait())
    assert.is_truthy(call.errors():find "^DEADLINE_EXCEEDED: ")
  end)

  it("reads no further than the server takes", function()
    local count = 4000
    local lines = ('{"name":"' .. ("y"):rep(5000) .. '"}\n'):rep(count)
    assert.same({ 0, ('{"greeting":"%d %d"}\n'):format(count, count * 5000), "" },
      { run(lines, address, "greet.GreetService/GreetClientStream") })
    local path = caller.write("stall.json", '{"name":"stall"}\n' .. lines)
    local call = caller.start(address, "greet.GreetService/GreetStream", "-d", "@" .. path)
    local furthest = settled(function() return call:bytes_read(path) or 0 end, 100 * 1000)
    assert(furthest < 3 * 1000 * 1000, furthest)
    call:interrupt()
    assert.equal(1, call:wait())
  end)

  it("makes the server wait for who reads its output", function()
    local call = caller.start(address, "greet.GreetService/GreetServerStream", "-d", '{"name":"50000"}')
    assert.is_truthy(call:read_line())
    -- Nobody reads on: what the server has sent stops growing long before its 50 MB.
    local count = settled(function()
      local _, out = run('{"name":"sent"}', address, "greet.GreetService/Greet", "--proto", "proto/greet.proto")
      return tonumber(out:match '"(%d+)"')
    end, 1)
    assert(count < 15000, count)
    for i = 2, 50000 do assert.equal(("%05d"):format(i), call:read_line():match '"(%d+)') end
    assert.equal(0, call:wait())
  end)

  it("ends without a word when nobody reads its output any more", function()
    local call = caller.start(address, "greet.GreetService/GreetServerStream", "-d", '{"name":"50000"}')
    assert.is_truthy(call:read_line())
    call:end_output()
    assert.equal(1, call:wait())
    assert.equal("", call.errors())
  end)

  it("cancels its call on INT", function()
    local call = caller.start(address, "greet.GreetService/GreetStream")
    assert.equal('{"greeting":"hello"}', call:read_line())
    call:interrupt()
    assert.equal(1, call:wait())
    assert.equal("CANCELLED: the call was cancelled\n", call.errors())
  end)

  it("waits for its message without a call, and can be interrupted then", function()
    local mark = gw:mark()
    local call = caller.start(address, "greet.GreetService/Greet")
    gw:wait_for_log("ServerReflectionInfo", mark)
    call:interrupt()
    assert.equal(1, call:wait())
    assert.equal(0, gw:count_in_log("greet.GreetService/Greet", mark))
  end)

  it("says the status of a call that fails, its details in JSON, and exits with 1", function()
    local code, out, err = run("", address, "greet.GreetService/Greet", "-d", '{"name":"detail"}')
    assert.same({ 1, "" }, { code, out })
    assert.equal('NOT_FOUND: no such\\x1b[31m thing\n' ..
      '{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"WHY"}\n', err)
    -- Types that files know; these do not know ErrorInfo.
    code, out, err = run("", address, "greet.GreetService/Greet", "-d", '{"name":"detail"}',
      "--proto", "proto/greet.proto")
    assert.same({ 1, "" }, { code, out })
    assert.equal('NOT_FOUND: no such\\x1b[31m thing\n' ..
      '{"@type":"type.googleapis.com/google.rpc.ErrorInfo","value":"CgNXSFk="}\n', err)
  end)

  it("sends metadata, and shows with -v what comes back", function()
    local code, out, err = run("", address, "greet.GreetService/Greet", "-v", "-H", "X-Given: a b ",
      "-H", "x-given-bin: AP8=")
    assert.same({ 0, "{}\n" }, { code, out })
    assert.equal("header x-header: a b\ntrailer x-trailer-bin: AP8=\n", err)
    for _, header in ipairs { "x", ": x", "grpc-x: y", "x-a-bin: !", "x: \1", "a b: c" } do
      code, out, err = run("", address, "greet.GreetService/Greet", "-H", header)
      assert.same({ 2, "" }, { code, out })
      assert.is_truthy(err:find("tidewire call: -H '" .. header .. "': ", 1, true))
    end
  end)

  it("lets nothing through that would drive a terminal", function()
    assert.same({ 0, '{"greeting":"\\u001b[31m\\u007f\\u009b31m"}\n', "" },
      { run('{"name":"colour"}', address, "greet.GreetService/Greet") })
    assert.same({ 1, "", "ABORTED: \\xc2\\x9b31m \\x7f zwölf\n" },
      { run('{"name":"colours"}', address, "greet.GreetService/Greet") })
  end)

  it("takes a method with a dot where there is data for it", function()
    assert.same({ 0, '{"greeting":"ann"}\n', "" },
      { run("", address, "greet.GreetService.Greet", "-d", '{"name":"ann"}') })
    assert.same({ 1, "", "tidewire call: greet.GreetRequest is not a service\n" },
      { run("", address, "greet.GreetRequest.name", "-d", "{}") })
    assert.same({ 1, "", 'tidewire call: there is no "Greet" in the server\'s reflection\n' },
      { run("", address, "Greet", "-d", "{}") })
  end)

  it("gives the call a deadline", function()
    local _, out = run('{"name":"remaining"}', address, "greet.GreetService/Greet", "--timeout", "30")
    assert.equal('{"greeting":"true"}\n', out)
    -- As grpcurl calls it.
    local code, _, err = run('{"name":"sleep"}', address, "greet.GreetService/Greet", "--max-time=200ms")
    assert.equal(1, code)
    assert.is_truthy(err:find "^DEADLINE_EXCEEDED: ")
    for _, time in ipairs { "0", "-1s", "5parsecs", "nan", "inf", "" } do
      assert.equal(2, (run("", address, "greet.GreetService/Greet", "--timeout=" .. time)))
    end
  end)

  it("compresses when asked to", function()
    local lines = ('{"name":"' .. ("z"):rep(100000) .. '"}\n'):rep(10)
    local code, out = run(lines, address, "greet.GreetService/GreetClientStream", "--gzip")
    assert.same({ 0, '{"greeting":"10 1000000"}\n' }, { code, out })
    local line = { "greet.GreetService/Greet", "-d", '{"name":"' .. ("z"):rep(60000) .. '"}',
      "--proto", "proto/greet.proto" }
    assert(caller.request_bytes(unpack(line)) > 60000)
    assert(caller.request_bytes("--gzip", unpack(line)) < 3000)
  end)

  it("sends and receives messages larger than any window, and hears of limits", function()
    local just = ("b"):rep(4 * 1024 * 1024 - 100)
    local code, out, err = run('{"name":"' .. just .. '"}', address, "greet.GreetService/Greet")
    assert.same({ 0, "" }, { code, err })
    assert.equal('{"greeting":"' .. just .. '"}\n', out)
    code, out = run('{"name":"long"}', address, "greet.GreetService/Greet")
    assert.same({ 0, 6 * 1024 * 1024 + #'{"greeting":""}\n' }, { code, #out })
    code, out, err = run('{"name":"' .. just .. ("b"):rep(100) .. '"}', address, "greet.GreetService/Greet")
    assert.same({ 1, "" }, { code, out })
    assert.is_truthy(err:find "^RESOURCE_EXHAUSTED: ")
  end)
end)

describe("tidewire call and what is no message", function()
  local address
  before_each(function()
    address = gateway.start({ scripts = { ["greet.lua"] = script }, config = config }).address
  end)
  after_each(gateway.stop_all)

  local function fault(input, method, ...)
    local code, out, err = run(input, address, "greet.GreetService/" .. method, ...)
    assert.equal(1, code)
    return err, out
  end

  it("names file, line and field", function()
    assert.equal('<stdin>:1: error: greet.GreetRequest has no field "nme" (did you mean "name"?)\n',
      fault('{"nme":"a"}', "Greet"))
    assert.equal("<stdin>:4: error: name: expected a string\n",
      fault('\n{"name":"a"}\n{\n"name": 7}\n', "GreetClientStream"))
    assert.equal("-d:1: error: column 11: expected ',' or '}'\n", fault("", "Greet", "-d", '{"name":""'))
    local path = caller.write("bad.json", '{"name":"a"}\n{"name":"b"]\n')
    assert.equal(path .. ":2: error: column 12: expected ',' or '}'\n",
      fault("", "GreetClientStream", "-d", "@" .. path))
    assert.equal("<stdin>:1: error: expected an object\n", fault("name=ann\n", "Greet"))
    assert.equal("/nowhere/at/all: error: cannot read it: No such file or directory\n",
      fault("", "Greet", "-d", "@/nowhere/at/all"))
    assert.equal("/: error: cannot read it: Is a directory\n", fault("", "Greet", "-d", "@/"))
  end)

  it("does not swallow the lines after a quote that is missing", function()
    local err, out = fault('{"name":"a"}\n{"name":"b}\n{"name":"c"}\n', "GreetStream")
    assert.equal("<stdin>:2: error: column 9: a control character in a string\n", err)
    assert.is_nil(out:find '"c"')
  end)

  it("makes no call of one request when there are two", function()
    assert.equal("<stdin>:2: error: a second message, but greet.GreetService/Greet has one request\n",
      fault('{"name":"a"}\n{"name":"b"}\n', "Greet"))
  end)

  it("reads and writes every form that JSON has for a type", function()
    -- The whole conversion has tests of its own; this is one that goes through the schema that reflection gave.
    local code, out = run("", address, "tidewire.test.AllTypes")
    assert.equal(0, code)
    assert.is_truthy(out:find "message tidewire.test.AllTypes {\n")
    assert.is_truthy(out:find "  repeated int32 repeated_int32 = %d+;\n")
    assert.is_truthy(out:find "  map<string, tidewire.test.AllTypes.Nested> [%w_]+ = %d+;\n")
    assert.is_truthy(out:find "  oneof [%w_]+ {\n    ")
    assert.is_truthy(out:find "  google.protobuf.Timestamp [%w_]+ = %d+;\n")
  end)
end)

describe("tidewire call without a method", function()
  local address
  before_each(function()
    address = gateway.start({ scripts = { ["greet.lua"] = script }, config = config }).address
  end)
  after_each(gateway.stop_all)

  local methods = [[
service greet.GreetService {
  rpc Greet(greet.GreetRequest) returns (greet.GreetResponse);
  rpc GreetClientStream(stream greet.GreetClientStreamRequest) returns (greet.GreetClientStreamResponse);
  rpc GreetServerStream(greet.GreetServerStreamRequest) returns (stream greet.GreetServerStreamResponse);
  rpc GreetStream(stream greet.GreetStreamRequest) returns (stream greet.GreetStreamResponse);
}
]]

  it("lists services, and shows one, a method, a message or an enum", function()
    local standard = "grpc.health.v1.Health\ngrpc.reflection.v1.ServerReflection\n" ..
      "grpc.reflection.v1alpha.ServerReflection\n"
    assert.same({ 0, "greet.GreetService\n" .. standard, "" }, { run("", address) })
    assert.same({ 0, methods, "" }, { run("", address, "greet.GreetService") })
    assert.same({ 0, "message greet.GreetRequest {\n  string name = 1;\n}\n", "" },
      { run("", address, "greet.GreetRequest") })
    assert.same({ 0, "rpc Greet(greet.GreetRequest) returns (greet.GreetResponse);\n", "" },
      { run("", address, "greet.GreetService.Greet") })
    local _, out = run("", address, "grpc.health.v1.HealthCheckResponse.ServingStatus")
    assert.is_truthy(out:find "^enum grpc.health.v1.HealthCheckResponse.ServingStatus {\n  UNKNOWN = 0;\n")
  end)

  it("takes the types from files when they are named, without asking", function()
    local nobody = "127.0.0.1:1"
    assert.same({ 0, "greet.GreetService\n", "" }, { run("", nobody, "--proto", "greet.proto", "-I", "proto") })
    assert.same({ 0, methods, "" }, { run("", nobody, "greet.GreetService", "--proto", "proto/greet.proto") })
    local set = require("support.schema").descriptor_set()
    assert.same({ 0, methods, "" }, { run("", nobody, "greet.GreetService", "--protoset", set) })
    assert.same({ 0, '{"greeting":"a"}\n', "" },
      { run('{"name":"a"}', address, "greet.GreetService/Greet", "--protoset", set) })
    local code, _, err = run("", address, "--proto", "nowhere.proto")
    assert.equal(1, code)
    assert.is_truthy(err:find "nowhere.proto")
  end)

  it("says the nearest name of one that is unknown", function()
    local cases = {
      ["gret.GreetService/Greet"] = 'there is no "gret.GreetService" (did you mean "greet.GreetService"?)',
      ["GreetService/Greet"] = 'there is no "GreetService" (did you mean "greet.GreetService"?)',
      ["greet.GretService"] = 'there is no "greet.GretService" (did you mean "greet.GreetService"?)',
      ["greet.GreetService/Gret"] = 'greet.GreetService has no method "Gret" (did you mean "Greet"?)',
      ["greet.GreetService/Xyzzyx"] = 'greet.GreetService has no method "Xyzzyx"',
      ["greet.GreetRequest/Greet"] = "greet.GreetRequest is not a service",
    }
    for name, text in pairs(cases) do
      assert.same({ 1, "", "tidewire call: " .. text .. "\n" }, { run("", address, name) })
      assert.same({ 1, "", "tidewire call: " .. text .. "\n" }, { run("", address, name, "--proto", "proto/greet.proto",
        "--proto", "proto/grpc/health/v1/health.proto") })
    end
  end)

  it("says so when there is no reflection", function()
    local plain = gateway.start { scripts = { ["greet.lua"] = script }, config = "reflection = off\n" .. config }
    local code, _, err = run("{}", plain.address, "greet.GreetService/Greet")
    assert.equal(1, code)
    assert.equal("tidewire call: the server has no reflection: name the types with --proto or --protoset\n", err)
  end)

  it("says so when nobody is there, and exits with 2 when the line makes no sense", function()
    local code, _, err = run("", "127.0.0.1:1", "greet.GreetService/Greet")
    assert.equal(1, code)
    assert.is_truthy(err:find "UNAVAILABLE: .*cannot connect to 127.0.0.1:1: Connection refused\n$")
    code, _, err = run("", "127.0.0.1:1", "greet.GreetService/Greet", "--proto", "proto/greet.proto")
    assert.equal(1, code)
    assert.is_truthy(err:find "^UNAVAILABLE: .*cannot connect to 127.0.0.1:1: Connection refused\n$")
    for _, line in ipairs { {}, { "localhost" }, { address, "a/b", "c" }, { address, "--cert", "x" },
      { address, "--nope" } } do
      code, _, err = run("", unpack(line))
      assert.equal(2, code)
      assert.is_truthy(err:find "\nusage: tidewire call ")
    end
  end)
end)

describe("tidewire call and where a gateway listens", function()
  after_each(gateway.stop_all)
  local folder = certificates.folder
  setup(function()
    certificates.authority "ca"
    certificates.authority "stranger"
    certificates.certificate("server", "ca", "DNS:one.example, IP:127.0.0.1, IP:::1")
    certificates.certificate("ann", "ca", "DNS:ann.example")
  end)

  local function start(listen)
    return gateway.start { scripts = { ["greet.lua"] = script },
      config = listen:gsub("DIR", folder) .. '\nservice "greet.GreetService" { script = "greet.lua" }\n' ..
        'proto = { "greet.proto", "google_status.proto" }' }
  end
  local function greets(...)
    return run('{"name":"a"}', ...)
  end

  it("reaches IPv6 and unix sockets", function()
    local gw = start 'listen "[::1]:0" { }\nlisten "unix:DIR/gateway.sock" { }'
    assert.equal(2, #gw.addresses)
    for _, at in ipairs(gw.addresses) do
      assert.same({ 0, '{"greeting":"a"}\n', "" }, { greets(at, "greet.GreetService/Greet") })
    end
  end)

  it("speaks TLS and verifies whom it speaks to", function()
    local gw = start 'listen "127.0.0.1:0" { tls { certificate = "DIR/server.pem"  key = "DIR/server.key" } }'
    local ca, at, method = folder .. "/ca.pem", gw.address, "greet.GreetService/Greet"
    local fine = { 0, '{"greeting":"a"}\n', "" }
    assert.same(fine, { greets(at, method, "--cacert", ca) })
    assert.same(fine, { greets(at, method, "--tls", "--cacert", ca, "--servername", "one.example") })
    assert.same(fine, { greets(at, method, "--cacert", ca, "--authority", "one.example") })
    assert.same(fine, { greets(at, method, "--insecure") })
    for _, flags in ipairs { { "--tls" }, { "--cacert", folder .. "/stranger.pem" },
      { "--cacert", ca, "--servername", "two.example" } } do
      local code, out, err = greets(at, method, unpack(flags))
      assert.same({ 1, "" }, { code, out })
      assert.is_truthy(err:find "UNAVAILABLE: .*certificate" or err:find "UNAVAILABLE: .*hostname mismatch", err)
    end
    local code, _, err = greets(at, method, "--cacert", "/nowhere.pem")
    assert.equal(1, code)
    assert.is_truthy(err:find "/nowhere.pem")
  end)

  it("shows its own certificate where one is wanted", function()
    local gw = start [[listen "127.0.0.1:0" { tls { certificate = "DIR/server.pem"  key = "DIR/server.key"
      client_ca = "DIR/ca.pem"  client_certificate = required } }]]
    local at, method = gw.address, "greet.GreetService/Greet"
    assert.same({ 0, '{"greeting":"a"}\n', "" }, { greets(at, method, "--cacert", folder .. "/ca.pem",
      "--cert", folder .. "/ann.pem", "--key", folder .. "/ann.key") })
    local code, _, err = greets(at, method, "--cacert", folder .. "/ca.pem")
    assert.equal(1, code)
    assert.is_truthy(err:find "UNAVAILABLE: ", err)
  end)

  it("says so when one side speaks TLS and the other does not", function()
    local secret = start 'listen "127.0.0.1:0" { tls { certificate = "DIR/server.pem"  key = "DIR/server.key" } }'
    local plain = start 'listen "127.0.0.1:0" { }'
    for _, line in ipairs { { secret.address, "greet.GreetService" },
      { plain.address, "greet.GreetService", "--tls" } } do
      local code, _, err = run("", unpack(line))
      assert.equal(1, code)
      assert.is_truthy(err:find "^tidewire call: UNAVAILABLE: the connection has failed: ", err)
    end
  end)
end)

describe("tidewire call at a terminal", function()
  after_each(gateway.stop_all)

  -- script(1) gives it a terminal; what is typed comes through a pipe.
  it("says that it reads, and takes one message at the end of its line", function()
    local gw = gateway.start { scripts = { ["greet.lua"] = script }, config = config }
    local line = ("%s call %s greet.GreetService/Greet"):format(gateway.binary, gw.address)
    local typed = process.start({ "script", "-qec", line, "/dev/null" }, { talks = true })
    local seen = {}
    repeat
      local text = assert(typed:read_line(gateway.patience))
      seen[#seen + 1] = text:gsub("\r", "")
    until text:find "reads one JSON message"
    typed:write '{"name":"typed"}\n'
    repeat
      local text = assert(typed:read_line(gateway.patience))
    until text:find '{"greeting":"typed"}'
    assert.equal(0, typed:wait(gateway.patience))
    typed:hang_up()
  end)
end)
