-- Pages of other origins: what their browsers ask before a call, and what they are told with each answer.
local gateway = require "support.gateway"
local doors = require "support.doors"
local http1 = require "support.http1"

local script = [[
local tidewire = require "tidewire"
local doors = {}
function doors.Unary(stream, word)
  stream:set_header("x-begin", "1")
  stream:set_trailer("x-end", "2")
  if word.text == "fail" then tidewire.fail("NOT_FOUND", "no word") end
  return word
end
function doors.Server(stream, word)
  stream:send(word)
  if word.text == "fail" then tidewire.fail("NOT_FOUND", "no word") end
end
return doors
]]

local function config(cors)
  return 'proto = { "doors.proto" }\nservice "doors.Doors" { script = "doors.lua" }\n'
    .. 'listen "127.0.0.1:0" { ' .. cors .. " }\n"
end

local page, other = "https://app.example.com", "https://evil.example.com"

for _, http in ipairs { 1, 2 } do
  describe("a page of another origin, over HTTP/" .. (http == 1 and "1.1" or "2") .. ",", function()
    local gw
    setup(function()
      gw = gateway.start { scripts = { ["doors.lua"] = script }, config = config(
        'cors { origins = { "https://app.example.com", "http://*.local.example" }  headers = { "authorization" } ' ..
        "max_age = 10m  credentials = on }") }
    end)
    teardown(gateway.stop_all)

    local function ask(origin, method, path, headers, body)
      local list = { { "origin", origin } }
      for _, pair in ipairs(headers) do list[#list + 1] = pair end
      local answer = doors.exchange(gw.address,
        { method = method, path = path, headers = list, body = body, http = http })
      local told = {}
      for name, value in pairs(answer.headers) do
        local what = name:match "^access%-control%-(.*)"
        if what then told[what] = value end
      end
      return answer, told
    end
    local function preflight(origin, path)
      return ask(origin, "OPTIONS", path or "/doors.Doors/Unary", { { "access-control-request-method", "POST" },
        { "access-control-request-headers", "content-type,authorization" } })
    end
    local function call(origin, body)
      return ask(origin, "POST", "/doors.Doors/Unary", { { "content-type", "application/json" } }, body)
    end
    local function exposes(told, ...)
      for _, name in ipairs { ... } do
        assert.is_truthy((", " .. told["expose-headers"] .. ", "):find(", " .. name .. ", ", 1, true), name)
      end
    end

    it("is told by a preflight what it may send", function()
      for _, origin in ipairs { page, "http://a.local.example" } do
        local answer, told = preflight(origin)
        assert.same({ 204, "" }, { answer.status, answer.body })
        assert.same({ origin, "true", "600" }, { told["allow-origin"], told["allow-credentials"], told["max-age"] })
        assert.is_truthy(told["allow-methods"]:find("POST", 1, true))
        for _, name in ipairs { "content-type", "grpc-timeout", "x-grpc-web", "connect-timeout-ms", "authorization" } do
          assert.is_truthy((told["allow-headers"] .. ","):find(name .. ",", 1, true), name)
        end
        assert.equal("Origin, Access-Control-Request-Method, Access-Control-Request-Headers", answer.headers.vary)
      end
    end)

    it("is told nothing when it is another one, and nothing fails", function()
      for _, origin in ipairs { other, "null", "https://app.example.com.evil.example", "http://app.example.com" } do
        local answer, told = preflight(origin)
        assert.same({ 204, {} }, { answer.status, told })
        answer, told = call(origin, '{"text":"a"}')
        assert.same({ 200, '{"text":"a"}', {}, "Origin" }, { answer.status, answer.body, told, answer.headers.vary })
      end
    end)

    it("sees answers with all of their headers, and failures too", function()
      local answer, told = call(page, '{"text":"a"}')
      assert.same({ 200, page, "true", "Origin" },
        { answer.status, told["allow-origin"], told["allow-credentials"], answer.headers.vary })
      exposes(told, "x-begin", "trailer-x-end", "content-type")
      answer, told = call(page, '{"text":"fail"}')
      assert.same({ 404, page }, { answer.status, told["allow-origin"] })
      exposes(told, "x-begin", "trailer-x-end")
      answer, told = ask(page, "POST", "/doors.Doors/Server", { { "content-type", "application/grpc-web" } },
        "\0\0\0\0\6\10\4fail")
      assert.same({ 200, page }, { answer.status, told["allow-origin"] })
      assert.is_truthy(answer.body:find("grpc-status:5", 1, true))
    end)

    it("sees refusals", function()
      local cases = {
        { "application/json", "/doors.Doors/Nothing", 404 }, { "application/json", "/doors.Doors/Server", 415 },
        { "text/html", "/doors.Doors/Unary", 415 }, { "application/connect+json", "/doors.Doors/Nothing", 404 },
        { "application/grpc-web", "/doors.Doors/Nothing", 200 },
      }
      for _, case in ipairs(cases) do
        local answer, told = ask(page, "POST", case[2], { { "content-type", case[1] } })
        assert.same({ case[3], page }, { answer.status, told["allow-origin"] })
        if case[3] == 200 then exposes(told, "grpc-status", "grpc-message") end
      end
    end)

    it("is not asked about when nobody asks for a preflight", function()
      local answer, told = ask(page, "OPTIONS", "/doors.Doors/Unary", {})
      assert.same({ 405, page }, { answer.status, told["allow-origin"] })
    end)
  end)
end

describe("pages of every origin", function()
  after_each(gateway.stop_all)

  it("may call where the config says so, and nowhere else", function()
    local gw = gateway.start { scripts = { ["doors.lua"] = script }, config = config 'cors { origins = "*" }' }
    local function preflight()
      return http1.curl(gw, { "-i", "-X", "OPTIONS", "-H", "Origin: " .. other, "-H",
        "Access-Control-Request-Method: POST", "http://" .. gw.address .. "/doors.Doors/Unary" })
    end
    local function call()
      return http1.curl(gw, { "-i", "-H", "Origin: " .. other, "-H", "Content-Type: application/json", "-d", "{}",
        "http://" .. gw.address .. "/doors.Doors/Unary" })
    end
    assert.matches("^HTTP/1.1 204 .*access%-control%-allow%-origin: %*\r\n", preflight())
    local answer = call()
    assert.matches("^HTTP/1.1 200 .*access%-control%-allow%-origin: %*\r\n", answer)
    assert.is_nil(answer:find "credentials")
    gw:configure(config "")
    gw:reload()
    assert.matches("^HTTP/1.1 405 ", preflight())
    answer = call()
    assert.matches("^HTTP/1.1 200 ", answer)
    assert.is_nil(answer:find "access%-control")
  end)
end)
