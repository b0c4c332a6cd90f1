-- Upstreams that others have written (grpcio), behind the gateway: killed, paused, changed, gone.
local certificates = require "support.certificates"
local client = require "support.client"
local foreign = require "support.foreign"
local gateway = require "support.gateway"
local process = require "support.process"
local raw = require "support.raw"

local method, stream_method = "interop.Interop/Echo", "interop.Interop/EchoStream"
local proto = 'proto = { "interop.proto" }\n'
local pass = 'service "interop.Interop" { upstream = "u" }\n'

local function config(upstream) return proto .. pass .. upstream .. "\n" end
local function to(...)
  local targets, more = {}, ""
  for _, word in ipairs { ... } do
    if word:find "^127" or word:find "^localhost" or word:find "^unix" then targets[#targets + 1] = '"' .. word .. '"'
    else more = more .. " " .. word end
  end
  return "upstream u { target = { " .. table.concat(targets, ", ") .. " }" .. more .. " }"
end

local function start(upstream) return gateway.start { config = config(upstream) } end

local function echo(channel, options)
  for k, v in pairs(client.soon) do options = options or {}; options[k] = options[k] or v end
  return channel:call(method, { number = 1 }, options)
end

-- Which server answers.
local function server_of(channel) return (echo(channel).trailers["x-server"] or {})[1] end

local function port_of(address) return address:match ":(%d+)$" end

describe("an upstream", function()
  after_each(function()
    gateway.stop_all()
    foreign.stop()
  end)

  local function answers(address)
    local gw = start(to(address))
    local channel = client.connect(gw.address)
    local reply = echo(channel, { metadata = { ["x-echo"] = "there" } })
    assert.equal("OK", reply.code)
    assert.same({ "there" }, reply.headers["x-echo"])
    assert.same({ "a" }, reply.trailers["x-server"])
    local failed = channel:call("interop.Interop/Fail", { code = "NOT_FOUND", text = "no ü", reason = "GONE" },
      client.soon)
    assert.equal("NOT_FOUND", failed.code)
    assert.equal("no ü", failed.text)
    assert.is_truthy(failed.trailers["grpc-status-details-bin"])
    local stream = channel:open(stream_method)
    for i = 1, 50 do
      stream:send { number = i }
      assert.equal(i, stream:receive().number)
    end
    stream:half_close()
    assert.equal("OK", stream:status().code)
  end

  it("of grpcio answers calls of every kind, with metadata, failures and details", function()
    answers(foreign.start("--name", "a"))
  end)

  it("of grpc++ does the same", function() answers(foreign.start_cpp("--name", "a")) end)

  it("that is killed ends its streams UNAVAILABLE, and is called again when it is back", function()
    local address = foreign.start()
    local server = foreign.server(address)
    local other = foreign.start()
    local gw = gateway.start { config = config(to(address, "backoff = 100ms", "backoff_most = 200ms")) ..
      'service "greet.GreetService" { upstream = "v" }\nupstream v { target = "' .. other .. '" }\n' ..
      'proto += "greet.proto"\n' }
    local channel = client.connect(gw.address)
    local hurt = channel:open(stream_method)
    hurt:send { number = 1 }
    assert.equal(1, hurt:receive().number)
    local well = channel:open "greet.GreetService/GreetClientStream"
    well:send { name = "a" }
    server:kill "KILL"
    assert.equal("UNAVAILABLE", hurt:status().code)
    assert.equal("UNAVAILABLE", echo(channel).code)
    well:send { name = "b" }
    well:half_close()
    assert.equal("a,b", well:receive().greeting)
    foreign.start("--port", port_of(address), "--name", "back")
    assert.is_true(process.await(gateway.patience, function() return server_of(channel) == "back" end))
  end)

  it("that is paused is found out by a PING", function()
    local address = foreign.start()
    local server = foreign.server(address)
    local gw = start(to(address, "keepalive { interval = 300ms timeout = 2s }", "connect_timeout = 2s"))
    local channel = client.connect(gw.address)
    local stream = channel:open(stream_method)
    stream:send { number = 1 }
    assert.equal(1, stream:receive().number)
    server:kill "STOP"
    local status = stream:status()
    assert.equal("UNAVAILABLE", status.code)
    assert.is_truthy(status.text:find("pings", 1, true), status.text)
    assert.equal("UNAVAILABLE", echo(channel).code) -- nobody says a word after the connect
    server:kill "CONT"
    assert.is_true(process.await(gateway.patience, function() return echo(channel).code == "OK" end))
  end)

  local function leaves(address)
    local gw = start(to(address, foreign.start("--name", "b")))
    local channel = client.connect(gw.address)
    assert.is_true(process.await(gateway.patience, function() return server_of(channel) == "b" end))
    local streams = {}
    for i = 1, 8 do
      streams[i] = channel:open(stream_method)
      streams[i]:send { number = i }
      assert.equal(i, streams[i]:receive().number)
    end
    foreign.server(address):close_input() -- it says GOAWAY
    assert.is_true(process.await(gateway.patience, function()
      for _ = 1, 4 do if server_of(channel) ~= "b" then return false end end
      return true
    end))
    for i = 1, 8 do
      streams[i]:send { number = -i }
      assert.equal(-i, streams[i]:receive().number)
      streams[i]:half_close()
      assert.equal("OK", streams[i]:status().code)
    end
  end

  it("that says goodbye finishes its calls, while new ones go to another", function()
    leaves(foreign.start("--name", "a", "--grace", "120"))
  end)

  it("of grpc++ leaves in the same way", function() leaves(foreign.start_cpp("--name", "a", "--grace", "120")) end)

  it("is spared while it cannot be reached, and others answer in its place", function()
    local address = foreign.start("--name", "gone")
    foreign.server(address):kill "KILL"
    foreign.server(address):wait(gateway.patience)
    local gw = start(to(address, foreign.start("--name", "b"), "backoff = 60s"))
    local channel = client.connect(gw.address)
    local mark = gw:mark()
    for _ = 1, 20 do assert.equal("b", server_of(channel)) end
    assert.is_true(gw:count_in_log("Connection refused", mark) <= 2) -- once for each worker
  end)

  it("is called by TLS with our certificate, by its name", function()
    local path = certificates.folder .. "/"
    certificates.authority "upstreams"
    certificates.certificate("localhost", "upstreams", "DNS:localhost")
    certificates.certificate("gateway", "upstreams", "DNS:gateway.test")
    local address = foreign.start("--tls", path .. "localhost.pem", path .. "localhost.key",
      "--clients", path .. "upstreams.pem", "--name", "secret")
    local function tls(more)
      return to("localhost:" .. port_of(address), ('tls { ca = "%supstreams.pem" %s }'):format(path, more))
    end
    local ours = ('certificate = "%sgateway.pem" key = "%sgateway.key"'):format(path, path)
    local gw = start(tls(ours))
    assert.equal("secret", server_of(client.connect(gw.address)))
    gw:configure(config(tls(ours .. " server_name = elsewhere.test")))
    gw:reload()
    local refused = echo(client.connect(gw.address))
    assert.equal("UNAVAILABLE", refused.code)
    assert.is_truthy(refused.text:find("hostname mismatch", 1, true), refused.text)
  end)

  it("keeps its streams over a reload, changed or not", function()
    local a = foreign.start("--name", "a")
    local b = foreign.start("--name", "b")
    local gw = start(to(a))
    local channel = client.connect(gw.address)
    local stream = channel:open(stream_method)
    local function works(number)
      stream:send { number = number }
      return stream:receive().number == number
    end
    assert.is_true(works(1))
    gw:reload() -- unchanged
    assert.is_true(works(2))
    gw:configure(config(to(b)))
    gw:reload()
    assert.is_true(works(3))
    assert.equal("b", server_of(channel))
    gw:configure(proto) -- nobody's any more
    gw:reload()
    assert.is_true(works(4))
    assert.equal("UNIMPLEMENTED", echo(channel).code)
    stream:half_close()
    assert.equal("OK", stream:status().code)
  end)

  it("with a certificate that cannot be used refuses the reload, and says why", function()
    local a = foreign.start("--name", "a")
    local gw = start(to(a))
    gw:write("broken.pem", "no certificate")
    gw:configure(config(to(a, 'tls { ca = "broken.pem" }')))
    local mark = gw:mark()
    gw:signal "HUP"
    gw:wait_for_log("broken.pem", mark)
    assert.equal("a", server_of(client.connect(gw.address)))
  end)

  it("lets the gateway drain: open calls finish, and nothing keeps it", function()
    local gw = start(to(foreign.start(), "health { interval = 100ms }"))
    local channel = client.connect(gw.address)
    local stream = channel:open(stream_method)
    stream:send { number = 1 }
    assert.equal(1, stream:receive().number)
    gw:signal "TERM"
    stream:send { number = 2 }
    assert.equal(2, stream:receive().number)
    stream:half_close()
    assert.equal("OK", stream:status().code)
    assert.equal(0, gw:wait_exit())
  end)

  it("is asked for its health, and called only while it is well", function()
    local a, b = foreign.start_cpp("--name", "a"), foreign.start_cpp("--name", "b")
    local gw = start(to(a, b, "health { interval = 50ms  unhealthy = 1 }"))
    local channel = client.connect(gw.address)
    local function await_servers(...)
      local wanted = { ... }
      assert.is_true(process.await(gateway.patience, function()
        local seen = {}
        for _ = 1, 6 do seen[server_of(channel) or "none"] = true end
        for _, name in ipairs { "a", "b" } do
          if (wanted[1] == name or wanted[2] == name) ~= (seen[name] or false) then return false end
        end
        return true
      end))
    end
    await_servers("a", "b")
    local stream = channel:open(stream_method)
    stream:send { number = 1 }
    assert.equal(1, stream:receive().number)
    foreign.server(a):write "unwell\n"
    await_servers "b"
    foreign.server(b):write "unwell\n"
    assert.is_true(process.await(gateway.patience, function() return echo(channel).code == "UNAVAILABLE" end))
    stream:send { number = 2 } -- open calls are left alone
    assert.equal(2, stream:receive().number)
    stream:half_close()
    assert.equal("OK", stream:status().code)
    foreign.server(a):write "well\n"
    await_servers "a"
    foreign.server(b):write "well\n"
    await_servers("a", "b")
  end)

  it("is counted out when it fails again and again", function()
    local gw = start(to(foreign.start(), foreign.start(), "eject { failures = 3 time = 60s }"))
    local channel = client.connect(gw.address)
    for _ = 1, 40 do
      channel:call("interop.Interop/Fail", { code = "UNAVAILABLE", text = "no" }, client.soon)
    end
    assert.is_true(gw:said "is left out for 60.0 s")
    assert.equal("OK", echo(channel).code)
  end)
end)

describe("an answer's headers", function()
  after_each(gateway.stop_all)

  -- The listener's clients may send little; the server behind sends what it wants, up to the bound of links.
  local function answer(size)
    local listener = raw.listen()
    local gw = gateway.start { config = ([[
      limits { headers = 1KiB }
      upstream behind { target = "%s" }
      service "*" { upstream = "behind" }
    ]]):format(listener.address) }
    local wire = assert(raw.connect(gw.address))
    wire:headers(1, "some.Service/Method", nil, true)
    local server = assert(listener:accept())
    assert(server:expect { type = "HEADERS", stream = 1 })
    server:respond(1, { { ":status", "200" }, { "content-type", "application/grpc" }, { "x-large", ("x"):rep(size) } })
    local headers = assert(wire:expect { type = "HEADERS", stream = 1 })
    listener:close()
    return headers.fields
  end

  it("are bounded by no limit of the listener", function()
    assert.equal(8000, #answer(8000)["x-large"])
  end)

  it("that are too large end the call, with a text that does not blame a reset on the server", function()
    local fields = answer(70000)
    assert.is_truthy(fields["grpc-message"], "a status")
    assert.is_nil(fields["grpc-message"]:find("the server has reset the stream", 1, true), fields["grpc-message"])
  end)
end)
