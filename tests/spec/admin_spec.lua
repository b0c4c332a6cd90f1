-- The `admin` addresses: what is served there, to whom, and what nobody can do to the gateway there.
local client = require "support.client"
local gateway = require "support.gateway"
local http1 = require "support.http1"
local metrics = require "support.metrics"
local ports = require "support.ports"

local greet = [[
local tidewire = require "tidewire"
return {
  Greet = function(_, request)
    if request.name == "ill" or request.name == "well" then tidewire.set_health("", request.name == "well") end
    return { greeting = request.name }
  end,
  GreetStream = function(stream)
    for message in stream:messages() do stream:send { greeting = message.name } end
  end,
}
]]
local service = 'service "greet.GreetService" { script = "greet.lua" }\n'
local admin = 'admin "127.0.0.1:0" { }\n'

local function start(config)
  return gateway.start { scripts = { ["greet.lua"] = greet }, config = service .. (config or admin) }
end

local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local output = pipe:read "*a"
  pipe:close()
  return output
end

local function state(gw)
  local answer = metrics.ask(gw, "/ready")
  return answer.status, answer.body
end

local function greets(gw, text)
  local reply = client.connect(gw.address):call("greet.GreetService/Greet", { name = text or "ann" }, client.soon)
  assert.equal(text or "ann", reply.message and reply.message.greeting, reply.text)
end

describe("an admin address", function()
  after_each(gateway.stop_all)

  it("shows metrics, that the gateway lives, and that it is ready; to HEAD their heads", function()
    local gw = start()
    local wire = http1.connect(metrics.address(gw)) -- one connection for all of them
    local answer = metrics.ask(gw, "/metrics", "GET", wire)
    assert.equal(200, answer.status)
    assert.equal("text/plain; version=0.0.4; charset=utf-8", answer.headers["content-type"])
    assert.equal("no-store", answer.headers["cache-control"])
    assert.equal(1, metrics.parse(answer.body):sum "tidewire_build_info")
    assert.equal(200, metrics.ask(gw, "/metrics?name=x", "GET", wire).status)
    for _, path in ipairs { "/health", "/healthz" } do
      local alive = metrics.ask(gw, path, "GET", wire)
      assert.same({ 200, "alive\n" }, { alive.status, alive.body })
    end
    assert.same({ 200, "ready\n" }, { state(gw) })
    local head = metrics.ask(gw, "/ready", "HEAD", wire)
    assert.equal("6", head.headers["content-length"])
    assert.equal(200, metrics.ask(gw, "/health", "GET", wire).status) -- nothing came behind the head
  end)

  it("speaks HTTP/2 without TLS, too", function()
    local gw = start()
    local function get(path)
      return run("curl -si --max-time 60 --http2-prior-knowledge http://" .. metrics.address(gw) .. path)
    end
    local output = get "/metrics"
    assert(output:find "^HTTP/2 200" and output:find("\ntidewire_workers 2\n", 1, true), output)
    output = get "/nothing"
    assert(output:find "^HTTP/2 404", output)
  end)

  it("answers other methods 405 and other paths 404, each by a line, and no calls", function()
    local gw = start()
    for _, verb in ipairs { "POST", "PUT", "DELETE", "OPTIONS", "PATCH" } do
      local answer = metrics.ask(gw, "/metrics", verb)
      assert.same({ 405, "GET, HEAD" }, { answer.status, answer.headers.allow })
      assert.truthy(answer.body:find "^[^\n]+\n$")
    end
    for _, path in ipairs { "/", "/metrics/", "/metricsx", "/greet.GreetService/Greet", "/..", "//metrics" } do
      local answer = metrics.ask(gw, path)
      assert.equal(404, answer.status)
      assert.truthy(answer.body:find "^[^\n]+\n$")
    end
    local wire = http1.connect(metrics.address(gw))
    wire:send("POST /greet.GreetService/Greet HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" ..
      "Content-Length: 2\r\n\r\n{}")
    assert.equal(405, wire:answer().status)
    assert.equal("UNKNOWN", client.connect(metrics.address(gw)):call("greet.GreetService/Greet", {}, client.soon).code)
    assert.equal(0, metrics.read(gw):sum("grpc_server_started_total", { grpc_method = "Greet" }))
  end)

  it("is the only place where its pages are", function()
    local gw = start()
    for _, path in ipairs { "/metrics", "/health", "/healthz", "/ready" } do
      local wire = http1.connect(gw.address)
      assert.equal(404, metrics.ask(gw, path, "GET", wire).status)
      wire:close()
    end
    assert.equal(4, metrics.read(gw):sum "tidewire_http_refused_total")
  end)

  it("is there by a unix socket with the mode that was asked for", function()
    local gw = start('admin "unix:admin.sock" { mode = 0600 }\n')
    local path = gw:path "admin.sock"
    assert.equal("rw-------", require("lfs").attributes(path, "permissions"))
    local output = run("curl -s --max-time 60 --unix-socket " .. path .. " http://gateway/metrics")
    assert.equal(2, metrics.parse(output):sum "tidewire_workers")
  end)

  it("says not ready while a script says so, and while the gateway drains, when it goes on to be watched", function()
    local gw = start("drain_timeout = 600s\n" .. admin)
    assert.same({ 200, "ready\n" }, { state(gw) })
    greets(gw, "ill")
    assert.same({ 503, "not serving\n" }, { state(gw) })
    greets(gw, "well")
    assert.same({ 200, "ready\n" }, { state(gw) })
    local stream = client.connect(gw.address):open "greet.GreetService/GreetStream"
    stream:send { name = "there" }
    stream:receive()
    gw:signal "TERM"
    gw:wait_for_log "draining"
    assert.same({ 503, "draining\n" }, { state(gw) })
    assert.equal(200, metrics.ask(gw, "/health").status)
    assert.equal(1, metrics.read(gw):sum "tidewire_streams_open")
    stream:half_close()
    assert.equal("OK", stream:status().code)
    assert.equal(0, gw:wait_exit())
  end)

  it("comes, stays and goes with a reload, and one that is taken refuses it", function()
    local gw = start ""
    assert.is_nil(metrics.address(gw))
    gw:configure(service .. admin)
    assert.equal(2, gw:reload())
    local wire = http1.connect(metrics.address(gw))
    assert.equal(200, metrics.ask(gw, "/health", "GET", wire).status)
    local more = '127.0.0.1:' .. ports.free()
    gw:configure(service .. admin .. ('admin "%s" { }\n'):format(more))
    assert.equal(3, gw:reload())
    assert.equal(200, metrics.ask(gw, "/health", "GET", wire).status) -- on the connection that was there
    assert.equal(more, metrics.address(gw))
    local taken = ('admin "%s" { }\n'):format(gw.address)
    gw:configure(service .. 'listen "127.0.0.1:' .. ports.free() .. '" { }\nlisten "127.0.0.1:0" { }\n' .. taken)
    local refused, why = gw:reload()
    assert.is_nil(refused)
    assert.truthy(why:find("generation 3 stays in force", 1, true), why)
    gw:configure(service)
    assert.equal(4, gw:reload())
    assert.equal(200, metrics.ask(gw, "/health", "GET", wire).status) -- who is connected stays
    assert.has_error(function() http1.connect(more) end)
    greets(gw)
  end)
end)

describe("whoever reaches an admin address", function()
  after_each(gateway.stop_all)

  it("is answered although 900 ask at once, and calls go on", function()
    local gw = start()
    local address, wires = metrics.address(gw), {}
    for i = 1, 900 do
      wires[i] = http1.connect(address)
      wires[i]:send "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
    end
    greets(gw)
    for _, wire in ipairs(wires) do
      local answer = assert(wire:answer())
      assert.equal(200, answer.status)
      assert.equal(tonumber(answer.headers["content-length"]), #answer.body)
      wire:close()
    end
    metrics.await(gw, "tidewire_connections_open", { role = "admin" }, 1)
    assert.equal(200, metrics.ask(gw, "/health").status)
  end)

  it("keeps nobody waiting by taking nothing, or by asking for nothing", function()
    local gw = start()
    local address, wires, before = metrics.address(gw), {}, gw:resident_bytes()
    for i = 1, 40 do -- they ask, again and again, and read nothing
      wires[i] = http1.connect(address, { receive_buffer = 4096 })
      wires[i]:send_some(("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"):rep(200))
    end
    for i = 41, 80 do
      wires[i] = http1.connect(address)
      wires[i]:send_some(i % 2 == 0 and "" or "GET /metr")
    end
    for _ = 1, 5 do
      assert.equal(200, metrics.ask(gw, "/health").status)
      greets(gw)
    end
    -- Each has one page, and what the kernel holds: not the thousands that they have asked for.
    assert.is_true(gw:resident_bytes() - before < 32 * 2 ^ 20 * gateway.slowness)
  end)

  it("finds no way to break it by what is no request", function()
    local gw = start()
    local address = metrics.address(gw)
    for _, bytes in ipairs {
      ("x"):rep(100000), "\0\0\0", "GET\r\n\r\n", "GET /metrics HTTP/1.1\r\n\r\n",
      "GET /" .. ("a"):rep(70000) .. " HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /metrics HTTP/1.1\r\nHost: a\r\nX: " .. ("a"):rep(70000) .. "\r\n\r\n",
      "GET /metrics HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
      "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" .. ("x"):rep(300000),
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" .. ("\0"):rep(1000), "\22\3\1\2\0\1\0",
    } do
      local wire = http1.connect(address)
      wire:send(bytes)
      wire:half_close()
      wire:rest()
      wire:close()
      assert.equal(200, metrics.ask(gw, "/health").status)
    end
    greets(gw)
    metrics.await(gw, "tidewire_connections_open", { role = "admin" }, 1)
  end)
end)
