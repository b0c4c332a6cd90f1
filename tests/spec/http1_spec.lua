-- HTTP/1.1 from outside: what stands on the port beside HTTP/2.
local gateway = require "support.gateway"
local client = require "support.client"
local certificates = require "support.certificates"
local http1 = require "support.http1"

local visit = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

describe("HTTP/1.1", function()
  local gw
  before_each(function() gw = gateway.start { config = gateway.examples } end)
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
      assert.same(first.headers, wire:answer(true).headers)
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
  end)
end)
