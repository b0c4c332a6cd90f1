-- gRPC-Web and Connect word by word: what stands in the bodies and headers of answers, and what bad requests are told.
local gateway = require "support.gateway"
local doors = require "support.doors"
local foreign = require "support.foreign"

local script = [[
local tidewire = require "tidewire"
local doors = {}
function doors.Unary(stream, word)
  stream:set_header("x-begin", "1")
  stream:set_trailer("x-end", "2")
  if word.text == "fail" then tidewire.fail("NOT_FOUND", "no \"word\"") end
  return word
end
doors.Safe = doors.Unary
function doors.Server(stream, word)
  if word.text == "fail" then tidewire.fail("NOT_FOUND", "no word") end
  stream:send(word)
end
function doors.Bidi(stream)
  for word in stream:messages() do
    if word.text == "fail" then tidewire.fail("NOT_FOUND", "no word") end
    stream:send(word)
  end
  stream:set_trailer("x-end", "2")
  stream:set_trailer("x-end-bin", "\0\255")
end
return doors
]]

local config = [[
proto = { "doors.proto" }
service "doors.Doors" { script = "doors.lua" }
limits { message = 1KiB }
]]

local function framed(flags, body)
  local n = #body
  return string.char(flags, 0, math.floor(n / 65536), math.floor(n / 256) % 256, n % 256) .. body
end

for _, http in ipairs { 1, 2 } do
  describe("over HTTP/" .. (http == 1 and "1.1" or "2"), function()
    local gw
    setup(function() gw = gateway.start { scripts = { ["doors.lua"] = script }, config = config } end)
    teardown(gateway.stop_all)

    local function post(method, kind, body, more)
      local headers = { { "content-type", kind } }
      for _, pair in ipairs(more or {}) do headers[#headers + 1] = pair end
      return doors.exchange(gw.address,
        { path = "/doors.Doors/" .. method, headers = headers, body = body, http = http })
    end
    local function get(path, method, headers)
      return doors.exchange(gw.address, { method = method or "GET", path = path, http = http, headers = headers })
    end

    it("gRPC-Web ends with a frame of trailers", function()
      local answer = post("Bidi", "application/grpc-web+proto", framed(0, "\10\1a"))
      assert.equal(200, answer.status)
      assert.equal("application/grpc-web+proto", answer.headers["content-type"])
      assert.equal(framed(0, "\10\1a") .. framed(0x80, "grpc-status:0\r\nx-end:2\r\nx-end-bin:AP8\r\n"), answer.body)
      assert.same({}, answer.trailers)
    end)

    it("gRPC-Web in text pads each piece", function()
      local answer = post("Bidi", "application/grpc-web-text", "AAAAAAMKAWE=AAAAAAMKAWI=")
      assert.equal("application/grpc-web-text", answer.headers["content-type"])
      assert.equal("AAAAAAMKAWE=", answer.body:sub(1, 12))
      assert.equal("AAAAAAMKAWI=", answer.body:sub(13, 24))
      local asked = post("Bidi", "application/grpc-web", framed(0, "\10\1a"),
        { { "accept", "application/grpc-web-text" } })
      assert.equal("application/grpc-web-text", asked.headers["content-type"])
      assert.equal("AAAAAAMKAWE=", asked.body:sub(1, 12))
    end)

    it("gRPC-Web without a message has its status among the headers", function()
      local answer = post("Server", "application/grpc-web", framed(0, "\10\4fail"))
      assert.same({ 200, "5", "no word", "" },
        { answer.status, answer.headers["grpc-status"], answer.headers["grpc-message"], answer.body })
    end)

    it("Connect has the message for a body, and trailers among the headers", function()
      local answer = post("Unary", "application/json", '{"text":"a","number":"7"}')
      assert.same({ 200, "application/json", "1", "2", '{"text":"a","number":"7"}' }, { answer.status,
        answer.headers["content-type"], answer.headers["x-begin"], answer.headers["trailer-x-end"], answer.body })
      assert.same({}, answer.trailers)
      assert.equal("\10\1a", post("Unary", "application/proto", "\10\1a").body)
      assert.equal("", post("Unary", "application/proto", "").body)
    end)

    it("Connect's failures are JSON, whatever was asked in", function()
      for kind, body in pairs { ["application/json"] = '{"text":"fail"}', ["application/proto"] = "\10\4fail" } do
        local answer = post("Unary", kind, body)
        assert.same({ 404, "application/json", "1", "2", '{"code":"not_found","message":"no \\"word\\""}' },
          { answer.status, answer.headers["content-type"], answer.headers["x-begin"], answer.headers["trailer-x-end"],
            answer.body })
      end
    end)

    it("Connect's streams end with an envelope", function()
      local answer = post("Bidi", "application/connect+json", framed(0, '{"text":"a"}'))
      assert.same({ 200, "application/connect+json" }, { answer.status, answer.headers["content-type"] })
      assert.equal(framed(0, '{"text":"a"}') .. framed(2, '{"metadata":{"x-end":["2"],"x-end-bin":["AP8"]}}'),
        answer.body)
      local failed = post("Server", "application/connect+proto", framed(0, "\10\4fail"))
      assert.equal(framed(2, '{"error":{"code":"not_found","message":"no word"}}'), failed.body)
    end)

    it("Connect's GET has the message in the query, and may be cached", function()
      local answer = get "/doors.Doors/Safe?connect=v1&encoding=json&message=%7B%22text%22%3A%22a%22%7D"
      assert.same({ 200, '{"text":"a"}', "Accept-Encoding" }, { answer.status, answer.body, answer.headers.vary })
      assert.equal("\10\1a", get("/doors.Doors/Safe?base64=1&message=CgFh&encoding=proto").body)
      assert.equal(405, get("/doors.Doors/Unary?connect=v1&encoding=json&message=%7B%7D").status)
    end)

    it("says in HTTP's words what cannot be a call", function()
      local function told(answer) return { answer.status, answer.headers["content-type"] } end
      assert.same({ 404, "application/json" }, told(post("Nothing", "application/json", "{}")))
      assert.same({ 415, "text/plain" }, told(post("Unary", "text/html", "")))
      assert.same({ 415, "application/json" }, told(post("Bidi", "application/json", "{}")))
      assert.same({ 415, "application/json" }, told(post("Unary", "application/connect+json", framed(0, "{}"))))
      assert.same({ 415, "application/json" }, told(post("Bidi", "application/connect+xml", framed(0, "{}"))))
      local put = get("/doors.Doors/Unary", "PUT", { { "content-type", "application/json" } })
      assert.same({ 405, "POST" }, { put.status, put.headers.allow })
      assert.equal('{"code":"unknown","message":"a call is a POST request"}', put.body)
      local missing = post("Nothing", "application/grpc-web", framed(0, ""))
      assert.same({ 200, "12" }, { missing.status, missing.headers["grpc-status"] })
    end)

    -- Those of streams come in an envelope, those of gRPC-Web as a status.
    local function error_of(answer)
      local code, text = answer.body:match '"code":"([%l_]+)","message":"([^"]*)"'
      return { code or answer.headers["grpc-status"] or answer.body:match "grpc%-status:(%d+)",
        text or answer.headers["grpc-message"] or answer.body:match "grpc%-message:([^\r]*)" }
    end

    it("tells what is wrong with a body", function()
      local json, stream, web = "application/json", "application/connect+json", "application/grpc-web"
      local text = "application/grpc-web-text"
      local long = '{"text":"' .. ("x"):rep(1100) .. '"}'
      for _, case in ipairs {
        { "Unary", json, "", "invalid_argument", "the request is no doors.Word: " },
        { "Unary", json, '{"text":1}', "invalid_argument", "the request is no doors.Word: text: " },
        { "Unary", json, long, "resource_exhausted", "" },
        { "Unary", "application/proto", "\10\9a", "invalid_argument", "" },
        { "Bidi", stream, framed(0, "{"), "invalid_argument", "the request is no doors.Word: " },
        { "Bidi", stream, framed(0, long), "resource_exhausted", "" },
        { "Bidi", stream, framed(0, "{}"):sub(1, 6), "invalid_argument", "" },
        { "Bidi", stream, framed(1, "{}"), "internal", "" },
        { "Bidi", stream, framed(4, "{}"), "i%l+", "" },
        { "Bidi", stream, framed(2, "{}"), "i%l+", "" },
        { "Server", stream, "", "unimplemented", "" },
        { "Server", stream, framed(0, "{}"):rep(2), "unimplemented", "" },
        { "Bidi", web, framed(0, ("x"):rep(1100)), "8", "" },
        { "Bidi", web, "\0\0", "13", "" },
        { "Bidi", web, framed(0x80, "a:b\r\n"), "13", "" },
        { "Unary", web, "", "12", "" },
        { "Unary", web, framed(0, ""):rep(2), "12", "" },
        { "Unary", text, "AAAAAA-*", "13", "the body is not base64" },
        { "Unary", text, "AAAAA", "13", "the body is not base64" },
      } do
        local method, kind, body, code, words = unpack(case)
        local told = error_of(post(method, kind, body))
        local what = ("%s %s %q: %s %s"):format(method, kind, body:sub(1, 20), tostring(told[1]), tostring(told[2]))
        assert.is_truthy(told[1] and told[1]:match("^" .. code .. "$"), what)
        assert.equal(1, told[2]:find(words, 1, true), what)
      end
    end)

    it("tells what is wrong with headers", function()
      local function told(kind, name, value) return error_of(post("Unary", kind, "{}", { { name, value } })) end
      assert.same({ "invalid_argument", "connect-timeout-ms is malformed" },
        told("application/json", "connect-timeout-ms", "12345678901"))
      assert.same({ "invalid_argument", "connect-protocol-version is not 1" },
        told("application/json", "connect-protocol-version", "2"))
      assert.equal("unimplemented", told("application/json", "content-encoding", "br")[1])
      assert.equal("invalid_argument", told("application/json", "x-word-bin", "*")[1])
      assert.equal("deadline_exceeded", told("application/json", "connect-timeout-ms", "0")[1])
      assert.same({ "13", "grpc-timeout is malformed" }, told("application/grpc-web", "grpc-timeout", "1x"))
      assert.equal("12", told("application/grpc-web", "grpc-encoding", "br")[1])
    end)
  end)
end

describe("a service that is passed on", function()
  after_each(function()
    gateway.stop_all()
    foreign.stop()
  end)

  it("takes clients of gRPC-Web and Connect, too", function()
    local gw = gateway.start { config = 'upstream far { target = "' .. foreign.start() .. '" }\n' ..
      'service "interop.Interop" { upstream = "far" }\nproto = { "interop.proto" }' }
    for _, protocol in ipairs { "grpc-web", "grpc-web-text", "connect" } do
      for _, codec in ipairs { "proto", "json" } do
        local channel = doors.connect(gw.address, { protocol = protocol, codec = codec, http = 1 })
        local reply = channel:call("interop.Interop/Echo", { body = "\0\1", number = 7 },
          { metadata = { ["x-echo"] = "here", ["x-echo-bin"] = "\0\255\1" } })
        assert.same({ "OK", { body = "\0\1", number = 7 } }, { reply.code, reply.message })
        assert.same({ { "here" }, { "\0\255\1" } }, { reply.headers["x-echo"], reply.trailers["x-echo-bin"] })
        local stream = channel:open "interop.Interop/EchoStream"
        for i = 1, 3 do
          stream:send { number = i }
          assert.same({ number = i }, stream:receive())
        end
        stream:half_close()
        assert.equal("OK", stream:status().code)
        reply = channel:call("interop.Interop/Fail", { code = "NOT_FOUND", text = "no", reason = "GONE" })
        assert.same({ "NOT_FOUND", "no", "google.rpc.ErrorInfo" }, { reply.code, reply.text, reply.details[1].type })
      end
    end
  end)

  it("takes them as protobuf where its types are not known", function()
    local gw = gateway.start { config = 'upstream far { target = "' .. foreign.start() .. '" }\n' ..
      'service "interop.Interop" { upstream = "far" }\nproto = { }' }
    local function call(protocol, codec)
      local channel = doors.connect(gw.address, { protocol = protocol, codec = codec })
      return channel:call("interop.Interop/Echo", { number = 7 })
    end
    assert.same({ number = 7 }, call("grpc-web", "proto").message)
    assert.same({ number = 7 }, call("connect", "proto").message)
    assert.equal("UNIMPLEMENTED", call("grpc-web", "json").code)
    assert.equal(415, call("connect", "json").http_status)
    local function compressed(kind, name)
      return doors.exchange(gw.address, { path = "/interop.Interop/Echo", headers = { { "content-type", kind },
        { name, "br" } } })
    end
    assert.equal("12", compressed("application/grpc-web", "grpc-encoding").headers["grpc-status"])
    assert.equal(501, compressed("application/proto", "content-encoding").status)
  end)
end)
