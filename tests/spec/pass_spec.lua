-- Pass-through between programs that others have written: a gateway that knows no types, a grpcio server behind it.
local behind = require "support.behind"
local certificates = require "support.certificates"
local client = require "support.client"
local foreign = require "support.foreign"
local gateway = require "support.gateway"
local process = require "support.process"
local raw = require "support.raw"

local echo = "interop.Interop/EchoStream"

describe("a gateway that passes calls on", function()
  local gw, channel

  local function start(options, ...)
    gw = behind.start(foreign.start(...), options)
    channel = client.connect(gw.address)
  end

  after_each(gateway.stop_all)
  after_each(foreign.stop)

  it("is not noticed in calls of all four kinds", function()
    start()
    assert.same({ body = "\0\1", number = 7 },
      channel:call("interop.Interop/Echo", { body = "\0\1", number = 7 }).message)
    local replies = channel:exchange("greet.GreetService/GreetServerStream", { { name = "a" } })
    assert.same({ { greeting = "a" }, { greeting = "a" }, { greeting = "a" }, { greeting = "a" }, { greeting = "a" } },
      replies)
    assert.same({ { greeting = "a,b" } },
      (channel:exchange("greet.GreetService/GreetClientStream", { { name = "a" }, { name = "b" } })))
    local stream = channel:open(echo, client.soon)
    for i = 1, 50 do
      stream:send { number = i }
      assert.same({ number = i }, stream:receive())
    end
    stream:half_close()
    assert.equal("OK", stream:status().code)
  end)

  it("is not noticed in statuses, their details, and metadata", function()
    start()
    local failure = { code = "NOT_FOUND", text = "no „such“ thing", reason = "GONE" }
    local reply = channel:call("interop.Interop/Fail", failure)
    assert.same({ "NOT_FOUND", "no „such“ thing" }, { reply.code, reply.text })
    assert.is_truthy(reply.trailers["grpc-status-details-bin"])
    local metadata = { ["x-echo"] = "here", ["x-echo-bin"] = "\0\255\1" }
    reply = channel:call("interop.Interop/Echo", {}, { metadata = metadata })
    assert.equal("OK", reply.code)
    assert.is_truthy(reply.headers["x-echo"] and reply.trailers["x-echo-bin"])
    assert.equal("UNIMPLEMENTED", channel:call("greet.GreetService/Greet", {}).code)
  end)

  it("carries messages of every size, and compressed ones as they are", function()
    start({}, "--gzip")
    local other = client.connect(gw.address, { compression = "gzip" })
    for _, one in ipairs { channel, other } do
      local sent = {}
      for i, size in ipairs { 0, 1, 100, 16384, 65535, 65536, 300000, 1048576 } do
        sent[i] = { number = i, body = size > 0 and ("0123456789abcdef"):rep(math.ceil(size / 16)):sub(1, size) or nil }
      end
      local replies, status = one:exchange(echo, sent)
      assert.equal("OK", status.code)
      assert.is_true(#replies == #sent)
      for i, reply in ipairs(replies) do assert.is_true(reply.body == sent[i].body and reply.number == i) end
    end
  end)

  it("does not know of a server's fields that it has no types for", function()
    start()
    -- Field 99, which the server's own types do not have: it comes back.
    local wire = raw.connect(gw.address)
    local unknown = "\154\6\3new" .. "\16\7"
    wire:headers(1, "interop.Interop/Echo")
    wire:data(1, raw.message(unknown), true)
    local reply = assert(wire:expect { type = "DATA", stream = 1 }).bytes
    assert.is_truthy(reply:find("\154\6\3new", 1, true) and reply:find("\16\7", 1, true))
  end)

  it("lets a client cancel what the server does", function()
    start()
    local stream = channel:open("interop.Interop/Wait", client.soon)
    stream:send { number = 1 }
    stream:half_close()
    assert.same({ number = 1 }, stream:receive())
    stream:cancel()
    assert.equal("a call of Wait has ended", foreign.read_line())
    assert.equal("CANCELLED", stream:status().code)
    assert.is_truthy(gw:wait_for_log "status=CANCELLED")
  end)

  it("tells the server of a deadline", function()
    start()
    local stream = channel:open("interop.Interop/Wait", client.brief)
    stream:send {}
    stream:half_close()
    assert.equal("DEADLINE_EXCEEDED", stream:status().code)
    assert.equal("a call of Wait has ended", foreign.read_line())
  end)

  it("ends the calls of a killed server UNAVAILABLE, and calls the next one that comes", function()
    start { upstream = "backoff = 50ms  backoff_most = 100ms" }
    local streams = channel:open_many(6, echo)
    for i, stream in ipairs(streams) do
      stream:send { number = i }
      assert.same({ number = i }, stream:receive())
    end
    foreign.kill()
    for _, stream in ipairs(streams) do
      assert.equal("UNAVAILABLE", stream:status().code)
    end
    assert.equal("UNAVAILABLE", channel:call("interop.Interop/Echo", {}, client.soon).code)
    local port = gw:wait_for_log("target=127"):match "target=127%.0%.0%.1:(%d+)"
    foreign.start("--port", port)
    assert.is_true(process.await(gateway.patience, function()
      return channel:call("interop.Interop/Echo", {}, client.soon).code == "OK"
    end))
  end)

  it("waits for a paused server no longer than the deadline says, and for it alone", function()
    local quick = gateway.start { config = gateway.examples }
    start { more = ('upstream quick { target = "%s" }\nservice "greet.GreetService" { upstream = "quick" }\n')
      :format(quick.address) }
    local stream = channel:open(echo)
    stream:send { number = 1 }
    assert.same({ number = 1 }, stream:receive())
    foreign.signal "STOP"
    stream:send { number = 2 }
    assert.equal("DEADLINE_EXCEEDED", channel:call("interop.Interop/Echo", {}, { timeout = 0.5 }).code)
    assert.equal("ann", channel:call("greet.GreetService/Greet", { name = "ann" }, client.soon).message.greeting)
    foreign.signal "CONT"
    assert.same({ number = 2 }, stream:receive())
    assert.equal("OK", channel:call("interop.Interop/Echo", {}, client.soon).code)
    stream:half_close()
    assert.equal("OK", stream:status().code)
  end)

  it("speaks TLS to the server, and to the client", function()
    local folder = certificates.folder
    certificates.authority "ca"
    certificates.certificate("server", "ca", "DNS:one.example, IP:127.0.0.1")
    start({ upstream = ('tls { ca = "%s/ca.pem" }'):format(folder) },
      "--tls", folder .. "/server.pem", folder .. "/server.key")
    assert.same({ number = 7 }, channel:call("interop.Interop/Echo", { number = 7 }, client.soon).message)
  end)

  it("answers some services itself and passes others on", function()
    gw = gateway.start { config = ([[
proto = { "greet.proto" }
upstream behind { target = "%s" }
service "interop.*" { upstream = "behind" }
service "interop.mine.*" { script = "any.lua" }
service "greet.GreetService" { script = "greet.lua" }
]]):format(foreign.start()), scripts = { ["any.lua"] = "return {}",
      ["greet.lua"] = "return { Greet = function(_, request) return { greeting = 'mine ' .. request.name } end }" } }
    channel = client.connect(gw.address)
    assert.same({ greeting = "mine ann" }, channel:call("greet.GreetService/Greet", { name = "ann" }).message)
    assert.same({ number = 7 }, channel:call("interop.Interop/Echo", { number = 7 }).message)
    local wire = raw.connect(gw.address)
    wire:headers(1, "interop.mine.Service/Method", nil, true)
    assert.equal("unknown service interop.mine.Service", assert(wire:trailers(1)).fields["grpc-message"])
    wire:headers(3, "interop.Unknown/Method", nil, true) -- the server's own words
    assert.equal("12", assert(wire:trailers(3)).fields["grpc-status"])
    wire:headers(5, "other.Service/Method", nil, true)
    assert.equal("unknown service other.Service", assert(wire:trailers(5)).fields["grpc-message"])
  end)

  it("says in the access line where a call went", function()
    start()
    channel:call("interop.Interop/Echo", {})
    local line = gw:wait_for_log "call ended"
    for _, part in ipairs { "method=interop.Interop/Echo", "status=OK", "reason=upstream", "upstream=behind",
      "target=127.0.0.1:", "bytes_in=5 bytes_out=5" } do
      assert.is_truthy(line:find(part, 1, true), line)
    end
    assert.is_falsy(line:find "messages_in")
  end)

  it("passes a test of another make that knows nothing of it", function()
    local answers = gateway.start { file = "tests/interop/interop.conf" }
    gw = behind.start(answers.address)
    local output = gw:path "grpc++"
    local code = process.start({ "build/interop-cpp/interop_cpp", gw.address }, { output = output })
      :wait(2 * gateway.patience)
    local file = assert(io.open(output))
    local text = file:read "*a"
    file:close()
    assert(code == 0, text)
  end)
end)
