-- Who may be a peer: ids are claimed in metadata, and proved by certificates where there is TLS.
local certificates = require "support.certificates"
local gateway = require "support.gateway"
local nodes = require "support.nodes"
local process = require "support.process"
local raw = require "support.raw"

local folder = certificates.folder
local METHOD = "tidewire.peer.v1.Link/Connect"

local function path(name) return folder .. "/" .. name end

-- A listener's, or a dialler's, TLS as `name`.
local function listens(name, verification)
  return ('tls { certificate = "%s" key = "%s" client_ca = "%s" client_certificate = %s }'):format(path(name .. ".pem"),
    path(name .. ".key"), path "peers.pem", verification or "optional")
end
local function dials(name, more)
  return ('linger = 100ms backoff = 50ms backoff_most = 100ms tls { ca = "%s" certificate = "%s" key = "%s" %s }')
    :format(path "peers.pem", path(name .. ".pem"), path(name .. ".key"), more or "")
end

local function claim(more)
  local metadata = { ["tidewire-node"] = "b", ["tidewire-to"] = "a", ["tidewire-instance"] = "0123456789abcdef",
    ["tidewire-dial"] = "1", [":scheme"] = "https" }
  for name, value in pairs(more or {}) do metadata[name] = value end
  return metadata
end

describe("the id of a peer", function()
  setup(function()
    certificates.authority "peers"
    certificates.authority "strangers"
    for _, name in ipairs { "a", "b", "c" } do certificates.certificate(name, "peers", "DNS:" .. name) end
    certificates.certificate("by_uri", "peers", "URI:b")
    certificates.certificate("stranger", "strangers", "DNS:b")
  end)
  after_each(gateway.stop_all)

  local function pair(options)
    options = options or {}
    return nodes.pair {
      a = { listen = listens("a", options.verification), peer = dials("a", options.a) },
      b = { listen = listens(options.b_is or "b", options.verification), peer = dials(options.b_is or "b") } }
  end

  local function connect(gw, certificate)
    local tls = { ca = path "peers.pem", protocols = { "h2" }, name = "a" }
    if certificate then tls.certificate, tls.key = path(certificate .. ".pem"), path(certificate .. ".key") end
    return raw.connect(gw.address, { tls = tls })
  end

  -- The status of a claim.
  local function status(gw, certificate, metadata)
    local wire = assert(connect(gw, certificate))
    wire:headers(1, METHOD, claim(metadata))
    local trailers = assert(wire:trailers(1))
    return tonumber(trailers.fields["grpc-status"]), wire
  end

  for _, one in ipairs { "b", "by_uri" } do
    it("is proved by both sides with certificates (" .. one .. ")", function()
      local a, b = nodes.pair {
        a = { listen = listens("a", "required"), peer = dials("a", one == "by_uri" and "server_name = b" or "") },
        b = { listen = listens("b", "required"), peer = dials(one) } }
      assert.equal("a to b: x", b:ask "call x")
      assert.equal("b to a: x", a:ask "call x")
      assert.is_true(nodes.await_connections(a, b, 0))
      assert.equal("b to a: x", a:ask "call x")
    end)
  end

  it("is refused to who cannot prove it, and no link is harmed", function()
    local a, b = pair()
    local from_a, from_b = a:talk(), b:talk()
    assert.equal("b to a: hello", from_a:ask "open")
    assert.equal("a to b: hello", from_b:ask "open")
    local refusals = {
      { 16, nil, {} },                                         -- UNAUTHENTICATED: no certificate
      { 7, "c", {} },                                          -- PERMISSION_DENIED: another's
      { 7, "c", { ["tidewire-node"] = "c" } },                 -- its own, but we have no such peer
      { 7, "a", { ["tidewire-node"] = "a" } },                 -- ourselves
      { 5, "b", { ["tidewire-to"] = "z" } },                   -- NOT_FOUND: whom it wants is not here
      { 3, "b", { ["tidewire-to"] = false } },                 -- INVALID_ARGUMENT
      { 3, "b", { ["tidewire-node"] = false } },
      { 3, "b", { ["tidewire-instance"] = false } },
      { 3, "b", { ["tidewire-dial"] = false } },
      { 3, "b", { ["tidewire-dial"] = "many" } },
      { 7, "b", { ["tidewire-node"] = ("x"):rep(5000) } },
    }
    for i, one in ipairs(refusals) do
      assert.equal(one[1], (status(a, one[2], one[3])), "claim " .. i)
    end
    -- A stranger's certificate is not even heard.
    local stranger = connect(a, "stranger")
    if stranger then stranger:headers(1, METHOD, claim()) end
    assert.is_true(stranger == nil or stranger:await_gone())
    assert.equal("b to a: still", from_a:ask "say still")
    assert.equal("a to b: still", from_b:ask "say still")
    assert.equal(1, nodes.connections(a, b))
    assert.equal(1, a:counts().connections)
  end)

  it("is refused to a gateway that claims another's, which says why in its log", function()
    local a, c = pair { b_is = "c" }
    assert.matches("^UNAVAILABLE", (c:ask("call x 5")):gsub("^DEADLINE_EXCEEDED", "UNAVAILABLE"), nil)
    c:wait_for_log "PERMISSION_DENIED"
    assert.matches("^[%u_]+ ", (a:ask "call x 3"))
    assert(a:await_counts(function(counts) return (counts.error or ""):find "hostname mismatch" end))
    assert.is_true(a:counts().dial_failures > 0)
    assert.is_false(a:counts().connected)
  end)

  it("must be that of the one who is dialled", function()
    local c = nodes.start("c", "b", nil) -- stands where b should
    local dialler = nodes.start("a", "b", c.address, { peer = "linger = 0 backoff = 50ms backoff_most = 100ms" })
    assert.matches("^[%u_]+ ", (dialler:ask "call x 1"))
    assert(dialler:await_counts(function(counts) return (counts.error or ""):find "NOT_FOUND" end))
    assert.is_true(dialler:counts().dial_failures > 0)
    assert.is_true(process.await(gateway.patience, function() return not dialler:counts().connected end))
  end)
end)

local function chunk(bytes) return raw.message(raw.text(1, bytes)) end

describe("whoever is dialled", function()
  after_each(gateway.stop_all)

  local quick = "linger = 0 backoff = 50ms backoff_most = 100ms connect_timeout = 500ms wait = 2s"

  -- a asks, and hears this.
  local function dialled(node, instance)
    local server = raw.listen()
    local a = nodes.start("a", "b", server.address, { peer = quick })
    local one = a:talk()
    one:tell "open"
    local wire = assert(server:accept())
    local asked = assert(wire:expect { type = "HEADERS" })
    assert.same({ "/" .. METHOD, "a", "b", "1" }, { asked.fields[":path"], asked.fields["tidewire-node"],
      asked.fields["tidewire-to"], asked.fields["tidewire-dial"] })
    wire:respond(asked.stream, { { ":status", "200" }, { "content-type", "application/grpc" },
      { "tidewire-node", node }, { "tidewire-instance", instance }, { "tidewire-dial", "0" } })
    return a, wire, asked.stream, one
  end

  local function fails_with(a, text)
    local found, last = a:await_counts(function(counts) return (counts.error or ""):find(text, 1, true) end)
    assert(found, last)
  end

  it("and is another is left", function()
    local a, wire = dialled("z", "0123456789abcdef")
    assert.is_true(wire:await_gone())
    fails_with(a, "there is node z, not b")
  end)

  it("and answers nonsense is left", function()
    local a, wire = dialled("b", "no number")
    assert.is_true(wire:await_gone())
    fails_with(a, "makes no sense")
  end)

  it("and says nothing is left after connect_timeout", function()
    local server = raw.listen()
    local a = nodes.start("a", "b", server.address, { peer = quick })
    local one = a:talk()
    one:tell "open"
    local wire = assert(server:accept())
    assert(wire:expect { type = "HEADERS" })
    assert.is_true(wire:await_gone())
    fails_with(a, "took too long")
  end)

  for what, bytes in pairs { ["rubbish"] = chunk(("x"):rep(100)), ["no chunks"] = raw.message "\255\255\255",
    ["an end"] = "" } do
    it("and is the right one, but sends " .. what .. ", is a link that ends", function()
      local a, wire, stream, one = dialled("b", "0123456789abcdef")
      assert.is_true(a:await_counts(function(counts) return counts.connected end))
      wire:data(stream, bytes, true)
      assert.is_true(a:await_counts(function(counts) return not counts.connected end))
      one.stream:cancel() -- and with it its call to b
      assert.is_true(wire:await_gone())
    end)
  end
end)

describe("a link that a foreign client opens", function()
  after_each(gateway.stop_all)

  local preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
  local settings = ("\0"):rep(3) .. "\4" .. ("\0"):rep(5)

  -- What it sends behind its headers, and the status that its call ends with; nil: whatever, but it ends.
  local attempts = {
    { "no metadata", { ["tidewire-node"] = false, ["tidewire-to"] = false, ["tidewire-instance"] = false,
      ["tidewire-dial"] = false }, "", "3" },
    { "nothing", {}, "" },
    { "an end with its headers", {}, nil, "0" },
    { "a message that is no chunk", {}, raw.message "\255\255\255", "3" },
    { "a chunk of no HTTP/2", {}, chunk(("x"):rep(100)) },
    { "an HTTP/2 client's preface, where we are the client", {}, chunk(preface .. settings) },
    { "half a frame", {}, chunk "\0\0" },
    { "a message that is too large", {}, raw.message("", 0, 2 ^ 31) },
    { "a compressed message of rubbish", {}, raw.message("rubbish", 1) },
    { "empty chunks", {}, chunk "":rep(2000) },
    { "frames of streams that nobody has opened", {},
      chunk(settings .. "\0\0\5\1\4\0\0\0\7abcde" .. "\0\0\4\0\1\0\0\0\9abcd") },
  }

  for _, attempt in ipairs(attempts) do
    it("ends, and nothing else does: " .. attempt[1], function()
      local a = nodes.start("a", "b", nil, { peer = "wait = 200ms" })
      local wire = assert(raw.connect(a.address))
      wire:headers(1, "greet.GreetService/GreetStream")
      wire:data(1, raw.message(raw.text(1, "one")))
      assert.is_table(wire:expect { type = "DATA", stream = 1 })
      local metadata = claim(attempt[2])
      metadata[":scheme"] = "http"
      wire:headers(3, METHOD, metadata, not attempt[3])
      if attempt[3] then wire:data(3, attempt[3], true) end
      local ended = wire:trailers(3)
      if not ended then
        assert.is_table(wire:expect { type = "RST_STREAM", stream = 3 })
      elseif attempt[4] then
        assert.equal(attempt[4], ended.fields["grpc-status"])
      end
      wire:data(1, raw.message(raw.text(1, "two")), true)
      assert.is_table(wire:expect { type = "DATA", stream = 1 })
      assert.equal("0", wire:trailers(1).fields["grpc-status"])
      assert.is_true(a:await_counts(function(counts) return not counts.connected end))
    end)
  end

  it("is not served where the listener does not say so", function()
    local a = nodes.start("a", "b", nil)
    local wire = assert(raw.connect("unix:" .. a:path "control.sock"))
    wire:headers(1, METHOD, claim { [":scheme"] = "http" })
    assert.equal("12", wire:trailers(1).fields["grpc-status"])
  end)
end)
