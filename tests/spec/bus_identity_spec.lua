local gateway = require "support.gateway"
local certificates = require "support.certificates"
local hosts = require "support.hosts"
local nats = require "support.nats"
local nkeys = require "support.nkeys"

describe("the bus says who it is", function()
  after_each(function()
    gateway.stop_all()
    nats.stop_all()
  end)

  local path = certificates.folder .. "/"
  certificates.authority "bus-ca"
  certificates.certificate("bus-server", "bus-ca", "IP:127.0.0.1,DNS:localhost")
  certificates.certificate("bus-client", "bus-ca", "DNS:gateway")
  certificates.authority "other-ca"

  local function server_tls(more)
    return ('tls { cert_file: "%sbus-server.pem", key_file: "%sbus-server.key" %s }\n'):format(path, path, more or "")
  end

  -- Two gateways that say it so hear each other.
  local function works(server, bus)
    local a, b = hosts.pair(server, bus)
    local ann, bob = hosts.join(a), hosts.join(b)
    hosts.meet(ann, bob)
    return a
  end

  -- One that says it so serves, and its log says that the server does not believe it.
  local function fails(server, bus, why)
    local gw = hosts.serve(server, (bus or "") .. " connect_timeout = 60s") -- it says why at the first attempt
    local line = gw:wait_for_log "bus: cannot connect"
    assert.is_truthy(line:lower():find(why), line)
    assert.is_false(gw:said "bus: connected")
    return gw
  end

  it("by a user and a password over TLS, which are in no log", function()
    local server = nats.start {
      scheme = "tls",
      config = server_tls() .. "authorization { user: gate, password: 'pass word' }",
    }
    local right = ('user = gate password = "pass word" tls { ca = "%sbus-ca.pem" }'):format(path)
    local a = works(server, right)
    assert.is_true(a:said("bus: connected to " .. server.url))
    assert.is_false(a:said "pass word")
    local wrong = fails(server, (right:gsub("pass word", "wrong word")), "authorization violation")
    assert.is_false(wrong:said "wrong word")
  end)

  it("and does not believe a server of another authority, or by another name", function()
    local server = nats.start { scheme = "tls", config = server_tls() }
    fails(server, ('tls { ca = "%sother-ca.pem" }'):format(path), "ssl")
    fails(server, ('tls { ca = "%sbus-ca.pem" server_name = elsewhere }'):format(path), "ssl")
    works(server, ('tls { ca = "%sother-ca.pem" verify = off }'):format(path))
  end)

  it("by a certificate", function()
    local verify = (', ca_file: "%sbus-ca.pem", verify: true'):format(path)
    local server = nats.start { scheme = "tls", config = server_tls(verify) }
    local ca = ('tls { ca = "%sbus-ca.pem" %%s}'):format(path)
    works(server, ca:format(('certificate = "%sbus-client.pem" key = "%sbus-client.key" '):format(path, path)))
    fails(server, ca:format "", "cannot connect")
  end)

  it("by a token", function()
    local server = nats.start { config = "authorization { token: open_sesame }" }
    works(server, "token = open_sesame")
    fails(server, "token = sesame", "authorization violation")
    fails(server, "", "authorization violation")
  end)

  it("by a key", function()
    local user, other = nkeys.new "U", nkeys.new "U"
    local server = nats.start { config = ("authorization { users: [ { nkey: %s } ] }"):format(user.public) }
    local right = ('nkey = "%s" nkey_seed = "%s"'):format(user.public, nkeys.write("seed", user.seed .. "\n"))
    works(server, right)
    local wrong = ('nkey = "%s" nkey_seed = "%s"'):format(user.public, nkeys.write("other-seed", other.seed))
    fails(server, wrong, "authorization violation")
  end)

  it("by a file of credentials", function()
    local config, credentials = nkeys.decentral()
    local server = nats.start { config = config }
    works(server, ('credentials = "%s"'):format(nkeys.write("user.creds", credentials)))
    local _, others = nkeys.decentral()
    fails(server, ('credentials = "%s"'):format(nkeys.write("other.creds", others)), "authorization violation")
  end)
end)
