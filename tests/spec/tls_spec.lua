local gateway = require "support.gateway"
local client = require "support.client"
local raw = require "support.raw"
local certificates = require "support.certificates"
local authority, certificate, folder = certificates.authority, certificates.certificate, certificates.folder

setup(function()
  authority "ca"
  authority "stranger"
  certificate("one", "ca", "DNS:one.example, IP:127.0.0.1")
  certificate("two", "ca", "DNS:two.example, DNS:*.two.example")
  certificate("ann", "ca", "DNS:ann.example")
  certificate("eve", "stranger", "DNS:eve.example")
end)

local script = [[
local greet = {}
function greet.Greet(stream)
  local tls = stream.tls
  if not tls then return { greeting = "plain" } end
  local peer = tls.client_common_name or "nobody"
  return { greeting = ("%s %s %s"):format(tls.version, tls.server_name or "-", peer) }
end
return greet
]]

local function start(keys)
  local config = ([[
    listen "127.0.0.1:0" { tls { certificate = { "DIR/one.pem", "DIR/two.pem" }  key = { "DIR/one.key", "DIR/two.key" }
      %s } }
    service "greet.GreetService" { script = "greet.lua" }
  ]]):format(keys or ""):gsub("DIR", folder)
  return gateway.start { scripts = { ["greet.lua"] = script }, config = config }
end

local ca = folder .. "/ca.pem"
local h2 = { "h2" }

local function greet(gw, tls)
  tls.ca = ca
  local reply = client.connect(gw.address, { tls = tls }):call("greet.GreetService/Greet", {}, client.soon)
  return reply.message and reply.message.greeting, reply.code
end

describe("TLS", function()
  after_each(gateway.stop_all)

  it("serves a client that knows the authority, and the script sees how", function()
    local gw = start()
    assert.is_truthy(greet(gw, { name = "one.example" }):find "^TLSv1%.3 one%.example nobody$")
  end)

  it("shows the certificate that fits the server's name, else the first", function()
    local gw = start()
    local function names(name)
      return assert(raw.connect(gw.address, { tls = { ca = ca, name = name, protocols = h2 } })):tls().names[1]
    end
    assert.equal("one.example", names "one.example")
    assert.equal("two.example", names "two.example")
    assert.equal("two.example", names "sub.two.example")
    assert.equal("one.example", names "other.example")
  end)

  it("speaks 1.2 and 1.3, and agrees on h2", function()
    local gw = start()
    for _, version in ipairs { "TLSv1_2", "TLSv1_3" } do
      local wire = assert(raw.connect(gw.address, { tls = { ca = ca, protocols = h2, version = version } }))
      assert.equal("h2", wire:tls().protocol)
      wire:headers(1, "greet.GreetService/Greet", { [":scheme"] = "https" })
      wire:data(1, raw.message "", true)
      assert.equal("0", wire:trailers(1).fields["grpc-status"])
    end
  end)

  it("speaks nothing older than it is told to", function()
    local gw = start [[ minimum = "1.3" ]]
    assert.is_nil((raw.connect(gw.address, { tls = { ca = ca, protocols = h2, version = "TLSv1_2" } })))
    assert.is_table(raw.connect(gw.address, { tls = { ca = ca, protocols = h2, version = "TLSv1_3" } }))
  end)

  it("closes a connection that agrees on no protocol, or is not TLS", function()
    local gw = start()
    local other = raw.connect(gw.address, { tls = { ca = ca, protocols = { "http/0.9" } } })
    assert.is_true(other == nil or other:await_gone())
    assert.is_true(assert(raw.connect(gw.address)):await_gone())
    assert.is_string(greet(gw, { name = "one.example" }))
  end)

  it("shows an optional client certificate to the script, and does without", function()
    local gw = start('client_ca = "' .. ca .. '"  client_certificate = optional')
    local ann = { name = "one.example", certificate = folder .. "/ann.pem", key = folder .. "/ann.key" }
    assert.is_truthy(greet(gw, ann):find("ann", 1, true))
    assert.is_truthy(greet(gw, { name = "one.example" }):find "nobody$")
  end)

  it("refuses a client certificate of a stranger", function()
    local gw = start('client_ca = "' .. ca .. '"  client_certificate = optional')
    local eve = { name = "one.example", certificate = folder .. "/eve.pem", key = folder .. "/eve.key" }
    assert.same({ nil, "UNAVAILABLE" }, { greet(gw, eve) })
  end)

  it("refuses clients without a certificate where one is required", function()
    local gw = start('client_ca = "' .. ca .. '"  client_certificate = required')
    local _, code = greet(gw, { name = "one.example" })
    assert.equal("UNAVAILABLE", code)
    local ann = { name = "one.example", certificate = folder .. "/ann.pem", key = folder .. "/ann.key" }
    assert.is_string(greet(gw, ann))
  end)

  it("takes a new certificate at a reload, and keeps open streams", function()
    local gw = start()
    local old = assert(raw.connect(gw.address, { tls = { ca = ca, name = "one.example", protocols = h2 } }))
    local config = ([[
      listen "127.0.0.1:0" { tls { certificate = "DIR/two.pem"  key = "DIR/two.key" } }
      service "greet.GreetService" { script = "greet.lua" }
    ]]):gsub("DIR", folder)
    gw:configure(config)
    assert.equal(2, gw:reload())
    local new = assert(raw.connect(gw.address, { tls = { ca = ca, name = "one.example", protocols = h2 } }))
    assert.equal("two.example", new:tls().names[1])
    old:headers(1, "greet.GreetService/Greet", { [":scheme"] = "https" })
    old:data(1, raw.message "", true)
    assert.equal("0", old:trailers(1).fields["grpc-status"])
  end)

  it("ends connections that never finish their handshake", function()
    local gw = start()
    local silent = assert(raw.connect(gw.address, { preface = false }))
    silent:send { { send = "bytes", bytes = "\22\3\1\2\0\1\0" } }
    assert.is_true(silent:await_gone())
  end)

  it("carries big messages", function()
    local gw = start()
    local channel = client.connect(gw.address, { tls = { ca = ca, name = "one.example" } })
    local reply = channel:call("greet.GreetService/Greet", { name = ("n"):rep(3000000) })
    assert.equal("OK", reply.code)
  end)
end)

describe("a certificate that can't be used", function()
  after_each(gateway.stop_all)

  it("refuses the start, naming the file", function()
    for _, pair in ipairs { { "missing.pem", "one.key" }, { "one.pem", "two.key" }, { "one.key", "one.key" } } do
      local gw = gateway.prepare { config = ([[
listen "127.0.0.1:0" { tls { certificate = "%s/%s"  key = "%s/%s" } }
]]):format(folder, pair[1], folder, pair[2]) }
      local code, output = gateway.run { "run", "-c", gw:path "tidewire.conf" }
      assert.equal(1, code)
      assert.is_truthy(output:find "tidewire%.conf:1: error: ", output)
    end
  end)
end)
