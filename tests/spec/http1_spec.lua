-- HTTP/1.1 from outside: what stands on the port beside HTTP/2.
local gateway = require "support.gateway"
local client = require "support.client"
local certificates = require "support.certificates"
local http1 = require "support.http1"
local raw = require "support.raw"

local visit = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

describe("HTTP/1.1", function()
  local gw
  -- One worker, so that what has come to one connection before has come to all.
  before_each(function() gw = gateway.start { config = "workers = 1\n" .. gateway.examples } end)
  after_each(gateway.stop_all)

  it("is spoken beside HTTP/2 on the same port: a visitor is told what stands there", function()
    local answer = http1.ask(gw.address, visit)
    assert.equal(200, answer.status)
    assert.equal("text/plain", answer.headers["content-type"])
    assert.matches("^tidewire [%d.]+[^\n]*gRPC[^\n]*\n$", answer.body)
    local reply = client.connect(gw.address):call("greet.GreetService/Greet", { name = "a" }, client.soon)
    assert.equal("OK", reply.code)
  end)

  it("keeps the connection for the next request, and closes it when the client wishes so", function()
    local wire = http1.connect(gw.address)
    for _ = 1, 3 do
      wire:send(visit)
      local answer = wire:answer()
      assert.equal(200, answer.status)
      assert.is_nil(answer.headers.connection)
    end
    wire:send "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert.equal("close", wire:answer().headers.connection)
    assert.is_true(wire:is_gone())
  end)

  it("answers requests that are sent at once in their order", function()
    local wire = http1.connect(gw.address)
    wire:send((visit .. "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"):rep(100))
    for _ = 1, 100 do
      local first = wire:answer()
      assert.equal(200, first.status)
      local second = wire:answer(true)
      first.headers.date, second.headers.date = nil, nil -- there may be a second between them
      assert.same(first.headers, second.headers)
      assert.equal(404, wire:answer().status)
    end
    assert.is_true(wire:is_silent())
  end)

  it("tells a client of HTTP/1.0 what it tells others, and closes unless it is asked not to", function()
    local wire = http1.connect(gw.address)
    wire:send "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"
    assert.equal("keep-alive", wire:answer().headers.connection)
    wire:send "GET / HTTP/1.0\r\n\r\n"
    assert.equal("close", wire:answer().headers.connection)
    assert.is_true(wire:is_gone())
  end)

  it("carries no gRPC, and says so", function()
    local answer = http1.ask(gw.address, "POST /greet.GreetService/Greet HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n" ..
      "Content-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert.equal(505, answer.status)
    assert.equal("gRPC needs HTTP/2.\n", answer.body)
  end)

  it("is agreed on by ALPN, and may be spoken without it", function()
    certificates.authority "ca"
    certificates.certificate("one", "ca", "IP:127.0.0.1")
    local secure = gateway.start { config = gateway.examples .. ([[
      listen "127.0.0.1:0" { tls { certificate = "DIR/one.pem"  key = "DIR/one.key" } }]])
      :gsub("DIR", certificates.folder) }
    local versions = {}
    for i, flag in ipairs { "--http1.1", "--no-alpn", "--http2" } do
      local text = assert(http1.curl(secure, { flag, "--cacert", certificates.folder .. "/ca.pem",
        "-w", "%{http_version}", "https://" .. secure.address .. "/" }))
      versions[i] = text:match "^tidewire .*\n([%d.]+)$"
    end
    assert.same({ "1.1", "1.1", "2" }, versions)
    local quiet = assert(raw.connect(secure.address, { preface = false,
      tls = { ca = certificates.folder .. "/ca.pem", name = "127.0.0.1", protocols = { "http/1.1" } } }))
    assert.equal("http/1.1", quiet:tls().protocol)
    secure:signal "TERM"
    assert.is_true(quiet:await_gone())
    assert.equal(0, secure:wait_exit())
  end)

  it("says in a form of its own what is not served", function()
    local form = "%s HTTP/1.1\r\nHost: a\r\n%s\r\n"
    local function ask(line, fields) return http1.ask(gw.address, form:format(line, fields or "")) end
    assert.equal(404, ask("GET /nothing").status)
    local answer = ask "DELETE /"
    assert.same({ 405, "GET, HEAD, POST" }, { answer.status, answer.headers.allow })
    assert.equal(415, ask("POST /greet.GreetService/Greet", "Content-Type: text/html\r\nContent-Length: 0\r\n").status)
    assert.equal(417, ask("POST /", "Expect: gold\r\n").status)
    assert.equal(501, ask("BREW /").status)
    assert.matches("protocol=http status=UNIMPLEMENTED reason=client", gw:wait_for_log "method=nothing")
  end)

  it("doesn't follow an upgrade to HTTP/2", function()
    local wire = http1.connect(gw.address)
    wire:send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" ..
      "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
    assert.equal(200, wire:answer().status)
    wire:send(visit)
    assert.equal(200, wire:answer().status)
  end)

  it("survives a reload, and serves the next request as HTTP/2 does", function()
    local wire = http1.connect(gw.address)
    wire:send(visit)
    assert.equal(200, wire:answer().status)
    assert.equal(2, gw:reload())
    wire:send(visit)
    local answer = wire:answer()
    assert.equal(200, answer.status)
    assert.is_nil(answer.headers.connection)
  end)

  it("ends with the gateway: between two requests at once, otherwise when the request is answered", function()
    local idle, busy = http1.connect(gw.address), http1.connect(gw.address)
    for _, wire in ipairs { idle, busy } do
      wire:send(visit)
      assert.equal(200, wire:answer().status)
    end
    busy:send "GET / HTTP/1.1\r\nHo"
    local third = client.connect(gw.address):open "greet.GreetService/GreetStream"
    third:send { name = "a" }
    assert.is_table(third:receive()) -- what was sent before has come
    gw:signal "TERM"
    assert.is_true(idle:is_gone())
    busy:send "st: a\r\n\r\n"
    assert.equal("close", busy:answer().headers.connection)
    assert.is_true(busy:is_gone())
    third:half_close()
    assert.equal("OK", third:status().code)
    assert.equal(0, gw:wait_exit())
  end)
end)

describe("A limit", function()
  after_each(gateway.stop_all)

  it("of headers holds for HTTP/1.1", function()
    local gw = gateway.start { config = "limits { headers = 8KiB }\n" .. gateway.examples }
    local function status(path, fields)
      return http1.ask(gw.address, ("GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n"):format(path, fields)).status
    end
    assert.equal(200, status("/", "X: " .. ("x"):rep(8000) .. "\r\n"))
    assert.equal(431, status("/", "X: " .. ("x"):rep(8192) .. "\r\n"))
    assert.equal(431, status("/", ("X:\r\n"):rep(1000)))
    assert.equal(414, status("/" .. ("x"):rep(8192), ""))
  end)

  it("of connections and of idle time does, too", function()
    local gw = gateway.start { config = "limits { connections = 1  idle = 1s }\n" .. gateway.examples }
    local first = http1.connect(gw.address)
    first:send(visit)
    assert.equal(200, first:answer().status)
    assert.is_true(http1.connect(gw.address):is_gone())
    assert.is_true(first:is_gone())
  end)
end)
