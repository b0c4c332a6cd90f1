-- `files`: a folder with a page or two for browsers, and nothing beside it.
local gateway = require "support.gateway"
local http1 = require "support.http1"
local raw = require "support.raw"
local websocket = require "support.websocket"

local function get(gw, path, verb)
  return http1.ask(gw.address, (verb or "GET") .. " " .. path .. " HTTP/1.1\r\nHost: a\r\n\r\n")
end

describe("a folder of files", function()
  after_each(gateway.stop_all)

  it("is what a browser gets, each file by its name, and nothing that is not in it", function()
    local gw = gateway.start {
      config = 'files = "protos"\nservice "greet.GreetService" { script = "greet.lua" }',
      scripts = { ["greet.lua"] = "return { Greet = function(_, request) return { greeting = request.name } end }" },
      protos = {
        ["index.html"] = "<p>here", ["room.js"] = "go()", [".hidden"] = "no", ["odd.xyz"] = "\0", ["empty.txt"] = "",
      },
    }
    local answer = get(gw, "/")
    assert.same({ 200, "text/html; charset=utf-8", "<p>here" },
      { answer.status, answer.headers["content-type"], answer.body })
    assert.same(answer.body, get(gw, "/index.html?v=1").body)
    assert.equal("text/javascript; charset=utf-8", get(gw, "/room.js").headers["content-type"])
    assert.equal("application/octet-stream", get(gw, "/odd.xyz").headers["content-type"])
    assert.equal("", get(gw, "/empty.txt").body)
    answer = get(gw, "/room.js", "HEAD")
    assert.same({ 200, "4" }, { answer.status, answer.headers["content-length"] })
    for _, path in ipairs { "/.hidden", "/room", "/room.js/", "//room.js", "/../tidewire.conf", "/%2e%2e/tidewire.conf",
      "/scripts/greet.lua" } do
      assert.equal(404, get(gw, path).status)
    end
    local ws = websocket.open(gw.address, "/greet.GreetService/Greet")
    ws:text '{"name":"ann"}'
    assert.equal('{"greeting":"ann"}', ws:message())
    gw:write("protos/room.js", "come()")
    gw:reload()
    assert.equal("come()", get(gw, "/room.js").body)
  end)

  local function visit(wire, stream)
    wire:headers(stream, "page.txt", { [":method"] = "GET", ["content-type"] = false, te = false }, true)
  end

  it("waits for a client that takes nothing for no longer than limits.stalled", function()
    local gw = gateway.start {
      config = 'files = "protos"\nlimits { stalled = 500ms }', protos = { ["page.txt"] = "a page" },
    }
    local wire = assert(raw.connect(gw.address, { settings = { [4] = 0 } }))
    for stream = 1, 7, 2 do visit(wire, stream) end
    for stream = 1, 7, 2 do
      assert.equal("ENHANCE_YOUR_CALM", wire:expect({ type = "RST_STREAM", stream = stream }).code)
    end
    wire:send { { send = "settings", values = { ["4"] = 65535 } } }
    visit(wire, 9)
    assert.equal("a page", wire:expect({ type = "DATA", stream = 9 }).bytes)
  end)

  it("stays for whoever reads it while a reload brings another", function()
    local gw = gateway.start {
      config = 'files = "protos"\nlimits { stalled = 1h }', protos = { ["page.txt"] = "old" },
    }
    local wire = assert(raw.connect(gw.address, { settings = { [4] = 0 } }))
    visit(wire, 1)
    assert(wire:expect { type = "HEADERS", stream = 1 })
    gw:write("protos/page.txt", "new")
    gw:reload()
    local body = ""
    for _ = 1, 3 do
      wire:send { { send = "window", stream = 1, by = 1 } }
      body = body .. wire:expect({ type = "DATA", stream = 1 }).bytes
    end
    assert.equal("old", body)
  end)

  it("is refused when it is not there, or more than a page or two", function()
    local function fault_of(folder, files)
      local prepared = gateway.prepare { config = ('files = "%s"\n'):format(folder), protos = files }
      local code, output = gateway.run { "check", "-c", prepared:path "tidewire.conf" }
      assert.equal(1, code)
      return output
    end
    assert.matches("tidewire%.conf: error: `files`: .*/nowhere: No such file", fault_of "nowhere")
    assert.matches("large%.png: File too large", fault_of("protos", { ["large.png"] = ("x"):rep(65537) }))
    local many = {}
    for i = 1, 65 do many[i .. ".txt"] = "x" end
    assert.matches("has more than 64 files", fault_of("protos", many))
  end)

  it("and its page are in etc/demo.conf", function()
    local code, output = gateway.run { "check", "-c", "etc/demo.conf" }
    assert(code == 0, output)
  end)
end)
