-- `tidewire call`, and with it the client side of rpc/, against a server that others have written.
local caller = require "support.caller"
local certificates = require "support.certificates"
local foreign = require "support.foreign"
local schema = require "support.schema"

local run = caller.run

describe("tidewire call against grpcio", function()
  after_each(foreign.stop)

  local function types() return "--protoset", schema.descriptor_set() end

  it("makes calls of all four kinds", function()
    local at = foreign.start()
    assert.same({ 0, '{"body":"AAE=","number":7}\n', "" },
      { run('{"number":7,"body":"AAE="}', at, "interop.Interop/Echo", types()) })
    assert.same({ 0, ('{"greeting":"a"}\n'):rep(5), "" },
      { run('{"name":"a"}', at, "greet.GreetService/GreetServerStream", types()) })
    assert.same({ 0, '{"greeting":"a,b,c"}\n', "" },
      { run('{"name":"a"}{"name":"b"}{"name":"c"}', at, "greet.GreetService/GreetClientStream", types()) })
    local call = caller.start(at, "interop.Interop/EchoStream", types())
    for i = 1, 20 do
      call:write_line('{"number":' .. i .. '}')
      assert.equal('{"number":' .. i .. '}', call:read_line())
    end
    call:end_input()
    assert.equal(0, call:wait())
  end)

  it("carries a flood both ways", function()
    local at = foreign.start()
    local lines = {}
    for i = 1, 3000 do lines[i] = ('{"body":"%s","number":%d}\n'):format(("QUJD"):rep(300), i) end
    local text = table.concat(lines)
    local code, out, err = run(text, at, "interop.Interop/EchoStream", types())
    assert.same({ 0, "" }, { code, err })
    assert.is_true(out == text)
  end)

  it("carries a large message, and hears of one that is too large", function()
    local at = foreign.start()
    local body = ("QUJD"):rep(1024 * 1024) -- 3 MiB
    local code, out = run('{"body":"' .. body .. '"}', at, "interop.Interop/Echo", types())
    assert.equal(0, code)
    assert.is_true(out == '{"body":"' .. body .. '"}\n')
    local _, _, err = run('{"body":"' .. body .. ("QUJD"):rep(400 * 1024) .. '"}', at, "interop.Interop/Echo", types())
    assert.is_truthy(err:find "^RESOURCE_EXHAUSTED: ", err)
  end)

  it("reads responses that the server compresses, and sends compressed requests", function()
    local body = ("QUJD"):rep(50000)
    local at = foreign.start "--gzip"
    for _, flags in ipairs { {}, { "--gzip" } } do
      local line = { at, "interop.Interop/Echo", "--protoset", schema.descriptor_set(), unpack(flags) }
      local code, out = run('{"body":"' .. body .. '"}', unpack(line))
      assert.equal(0, code)
      assert.is_true(out == '{"body":"' .. body .. '"}\n')
    end
  end)

  it("hears every status with its text, and details", function()
    local at = foreign.start()
    local function fail(request)
      local code, out, err = run(request, at, "interop.Interop/Fail", types())
      assert.same({ 1, "" }, { code, out })
      return err
    end
    for _, name in ipairs { "CANCELLED", "UNKNOWN", "NOT_FOUND", "UNAVAILABLE", "UNAUTHENTICATED" } do
      assert.equal(name .. ": 100 % zwölf\n", fail('{"code":"' .. name .. '","text":"100 % zwölf"}'))
    end
    assert.equal('ABORTED: t\n{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"WHY","domain":"specs"}\n',
      fail '{"code":"ABORTED","text":"t","reason":"WHY"}')
  end)

  it("hears of a method that the server does not have", function()
    local code, _, err = run("", foreign.start(), "tutorial.NumberService/AccumulateNumbers", types())
    assert.equal(1, code)
    assert.is_truthy(err:find "^UNIMPLEMENTED: ")
  end)

  it("exchanges metadata", function()
    local at = foreign.start()
    local code, out, err = run("{}", at, "interop.Interop/Echo", "-v", "-H", "x-echo: one, two", "-H",
      "x-echo-bin: AP8", types())
    assert.same({ 0, "{}\n" }, { code, out })
    assert.is_truthy(err:find("header x-echo: one, two\n", 1, true), err)
    assert.is_truthy(err:find("trailer x-echo-bin: AP8=\n", 1, true), err)
  end)

  it("ends at its deadline, or when it is interrupted, and the server hears of both", function()
    local at = foreign.start()
    local code, out, err = run("{}", at, "interop.Interop/Wait", "--timeout", "300ms", types())
    assert.same({ 1, "{}\n" }, { code, out })
    assert.is_truthy(err:find "^DEADLINE_EXCEEDED: ")
    assert.equal("a call of Wait has ended", foreign.read_line())
    local call = caller.start(at, "interop.Interop/Wait", "-d", "{}", types())
    assert.equal("{}", call:read_line())
    call:interrupt()
    assert.equal(1, call:wait())
    assert.equal("CANCELLED: the call was cancelled\n", call.errors())
    assert.equal("a call of Wait has ended", foreign.read_line())
  end)

  it("cancels when a later message is none", function()
    local at = foreign.start()
    local call = caller.start(at, "interop.Interop/EchoStream", types())
    call:write_line '{"number":1}'
    assert.equal('{"number":1}', call:read_line())
    call:write_line '{"number":"x"}'
    assert.equal(1, call:wait())
    assert.equal("<stdin>:2: error: number: expected a number (int32)\n", call.errors())
  end)

  it("learns types from either version of reflection, file by file", function()
    for _, version in ipairs { "v1", "v1alpha" } do
      local at = foreign.start("--reflection", version)
      assert.same({ 0, "greet.GreetService\ninterop.Interop\n", "" }, { run("", at) })
      assert.same({ 0, '{"number":7}\n', "" }, { run('{"number":7}', at, "interop.Interop/Echo") })
      -- google_status.proto imports any.proto, which this server sends only when it is asked for.
      assert.same({ 0, "message google.rpc.Status {\n  int32 code = 1;\n  string message = 2;\n" ..
        "  repeated google.protobuf.Any details = 3;\n}\n", "" }, { run("", at, "google.rpc.Status") })
      local _, _, err = run('{"code":"ABORTED","text":"t","reason":"WHY"}', at, "interop.Interop/Fail")
      assert.equal('ABORTED: t\n' ..
        '{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"WHY","domain":"specs"}\n', err)
      _, _, err = run("", at, "interop.Interup/Echo")
      assert.equal('tidewire call: there is no "interop.Interup" (did you mean "interop.Interop"?)\n', err)
      foreign.stop()
    end
    local _, _, err = run("", foreign.start())
    assert.equal("tidewire call: the server has no reflection: name the types with --proto or --protoset\n", err)
  end)
end)

describe("tidewire call against grpcio with TLS", function()
  local folder = certificates.folder
  setup(function()
    certificates.authority "ca"
    certificates.certificate("server", "ca", "DNS:one.example, IP:127.0.0.1")
    certificates.certificate("ann", "ca", "DNS:ann.example")
  end)
  after_each(foreign.stop)

  local function echoes(at, ...)
    return { run('{"number":7}', at, "interop.Interop/Echo", "--protoset", schema.descriptor_set(), ...) }
  end

  it("verifies the server", function()
    local at = foreign.start("--tls", folder .. "/server.pem", folder .. "/server.key")
    assert.same({ 0, '{"number":7}\n', "" }, echoes(at, "--cacert", folder .. "/ca.pem"))
    assert.same({ 0, '{"number":7}\n', "" }, echoes(at, "--insecure"))
    local code, out, err = unpack(echoes(at, "--tls"))
    assert.same({ 1, "" }, { code, out })
    assert.is_truthy(err:find "^UNAVAILABLE: .*certificate", err)
  end)

  it("is verified by the server", function()
    local at = foreign.start("--tls", folder .. "/server.pem", folder .. "/server.key",
      "--clients", folder .. "/ca.pem")
    local trust = { "--cacert", folder .. "/ca.pem", "--cert", folder .. "/ann.pem", "--key", folder .. "/ann.key" }
    assert.same({ 0, '{"number":7}\n', "" }, echoes(at, unpack(trust)))
    local code, out, err = unpack(echoes(at, "--cacert", folder .. "/ca.pem"))
    assert.same({ 1, "" }, { code, out })
    assert.is_truthy(err:find "^UNAVAILABLE: ", err)
  end)
end)
