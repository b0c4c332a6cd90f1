-- Requests that two servers on the way might take apart in two ways: the first one is refused, and what stands behind
-- it is read by nobody.
local gateway = require "support.gateway"
local http1 = require "support.http1"

local hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"

local function post(fields, body) return "POST / HTTP/1.1\r\nHost: a\r\n" .. fields .. "\r\n" .. body end
local function chunked(body) return post("Transfer-Encoding: chunked\r\n", body) end
local length_first = "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n"
local length_last = "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n"
local function length(value, body) return post("Content-Length:" .. value .. "\r\n", body or "") end
local function encoding(value) return post("Transfer-Encoding:" .. value .. "\r\n", "0\r\n\r\n") end

-- What it is, the bytes before the hidden request, and the status.
local attacks = {
  -- two lengths
  { "both lengths", post(length_first, "0\r\n\r\nX"), 400 },
  { "both lengths, the other way round", post(length_last, "0\r\n\r\nX"), 400 },
  { "both, where the length is none", post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400 },
  { "a length twice", post("Content-Length: 0\r\nContent-Length: 40\r\n", ""), 400 },
  { "the same length twice", post("Content-Length: 0\r\nContent-Length: 0\r\n", ""), 400 },
  { "a list of lengths", length " 0, 0", 400 },
  { "an encoding twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"), 501 },
  { "the same encoding twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400 },
  -- lengths that are no numbers, or not everywhere the same
  { "a length with a sign", length(" +1", "x"), 400 },
  { "a negative length", length(" -1", "x"), 400 },
  { "a hexadecimal length", length(" 0x1", "x"), 400 },
  { "a length with a point", length(" 1.0", "x"), 400 },
  { "a length with an exponent", length(" 1e0", "x"), 400 },
  { "a length with a blank in it", length(" 1 0", "x"), 400 },
  { "an empty length", length "", 400 },
  { "a length over 64 bits", length(" 18446744073709551617", "x"), 400 },
  { "a length over 63 bits", length(" 9223372036854775808", "x"), 400 },
  { "a quoted length", length(' "1"', "x"), 400 },
  { "a length behind a vertical tab", length("\v1", "x"), 400 },
  { "a length with NUL", length(" 1\0", "x"), 400 },
  -- encodings that one takes for chunked and another doesn't
  { "another encoding", encoding " gzip", 501 },
  { "two encodings", encoding " gzip, chunked", 501 },
  { "an encoding behind chunked", encoding " chunked, identity", 501 },
  { "chunked twice", encoding " chunked, chunked", 501 },
  { "a longer word", encoding " xchunked", 501 },
  { "a quoted encoding", encoding ' "chunked"', 501 },
  { "an encoding with a comma", encoding " chunked,", 501 },
  { "an encoding with a parameter", encoding " chunked;a=b", 501 },
  { "an encoding behind a vertical tab", encoding "\vchunked", 400 },
  { "an encoding with NUL", encoding " chunked\0", 400 },
  { "an empty encoding", encoding "", 501 },
  { "chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
  -- lines that are not ended, or begun, as lines are
  { "a bare LF behind the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400 },
  { "a bare LF behind a header", "GET / HTTP/1.1\r\nHost: a\n\r\n", 400 },
  { "a bare LF that hides a header", "GET / HTTP/1.1\r\nHost: a\r\nX: y\nContent-Length: 5\r\n\r\n", 400 },
  { "a bare LF as the last line", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400 },
  { "a bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: y\rContent-Length: 5\r\n\r\n", 400 },
  { "a bare CR in front of a header", "GET / HTTP/1.1\r\n\rContent-Length: 5\r\nHost: a\r\n\r\n", 400 },
  { "a folded header", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), 400 },
  { "a folded value", post("X: y\r\n\tContent-Length: 5\r\n", ""), 400 },
  { "a blank in front of the first header", "POST / HTTP/1.1\r\n Content-Length: 5\r\nHost: a\r\n\r\n", 400 },
  { "a blank before the colon", post("Content-Length : 5\r\n", "hello"), 400 },
  { "a tab before the colon", post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n"), 400 },
  { "a header without a colon", post("Content-Length\r\n", ""), 400 },
  { "a header without a name", post(": 5\r\n", ""), 400 },
  { "NUL in a name", post("Content\0Length: 5\r\n", ""), 400 },
  { "an odd letter in a name", post("Content-Length\xa0: 5\r\n", ""), 400 },
  -- the request line
  { "a blank too many", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
  { "a tab for a blank", "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", 400 },
  { "a blank behind the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400 },
  { "a long version", "GET / HTTP/1.11\r\nHost: a\r\n\r\n", 400 },
  { "a version to come", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505 },
  { "HTTP/2 in words", "GET / HTTP/2\r\nHost: a\r\n\r\n", 505 },
  { "a preface that isn't the first thing", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505 },
  { "CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501 },
  { "a method of nobody's", "GETT / HTTP/1.1\r\nHost: a\r\n\r\n", 501 },
  { "a path that is no path", "GET hidden HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
  -- whom it is for
  { "no host", "GET / HTTP/1.1\r\n\r\n", 400 },
  { "two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400 },
  { "a list of hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400 },
  { "a user in the host", "GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
  { "a path in the host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400 },
}

-- The same, where the answer to the request has already begun: then nothing is said.
local chunks = {
  { "a chunk that is longer", "1\r\nxy\r\n0\r\n\r\n" },
  { "a chunk with a bare LF", "1\nx\r\n0\r\n\r\n" },
  { "a chunk ended by LF", "1\r\nx\n0\r\n\r\n" },
  { "a size with a sign", "+1\r\nx\r\n0\r\n\r\n" },
  { "a size with 0x", "0x1\r\nx\r\n0\r\n\r\n" },
  { "a size with a blank", "1 \r\nx\r\n0\r\n\r\n" },
  { "no size", "\r\nx\r\n0\r\n\r\n" },
  { "a size over 64 bits", "10000000000000001\r\nx\r\n0\r\n\r\n" },
  { "LF in an extension", "1;a=b\nx\r\n0\r\n\r\n" },
  { "CR in an extension", "1;a=b\rx\r\n0\r\n\r\n" },
  { "a folded trailer", "0\r\nX: y\r\n z\r\n\r\n" },
  { "a bare LF in a trailer", "0\r\nX: y\n\r\n" },
  { "a last chunk that isn't one", "0\r\nGET /hidden HTTP/1.1\r\n" },
}

describe("A request that is not clear", function()
  local gw
  before_each(function() gw = gateway.start { config = "workers = 1\n" .. gateway.examples } end)
  after_each(gateway.stop_all)

  local function visit(wire)
    wire:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    assert.equal(200, wire:answer().status)
  end

  local function is_refused(name, bytes, status)
    local wire = http1.connect(gw.address)
    visit(wire) -- so that it is not the first
    wire:send(bytes .. hidden)
    local answer = wire:answer()
    assert.equal(status, answer and answer.status, name)
    assert.equal("close", answer.headers.connection, name)
    assert.is_true(wire:is_gone(), name)
    wire:close()
  end

  -- What is not found has a line in the log.
  local function nothing_hidden_was_served()
    assert.equal(404, http1.ask(gw.address, "GET /seen HTTP/1.1\r\nHost: a\r\n\r\n").status)
    gw:wait_for_log "method=seen"
    assert.is_false(gw:said "method=hidden")
  end

  it("is refused, and what hides behind it is not served", function()
    for _, attack in ipairs(attacks) do is_refused(attack[1], attack[2], attack[3]) end
    nothing_hidden_was_served()
  end)

  it("is cut off where its answer has gone out before", function()
    for _, case in ipairs(chunks) do
      local wire = http1.connect(gw.address)
      wire:send(chunked "")
      assert.equal(415, wire:answer().status, case[1])
      wire:send(case[2] .. hidden)
      assert.is_true(wire:is_gone(), case[1])
      wire:close()
    end
    nothing_hidden_was_served()
  end)

  it("is not what these are", function()
    local fine = {
      "GET / HTTP/1.1\r\nhOST:a\r\nX:\t \r\nX: \"a\\\"b\", c;d \xe4\r\n\r\n",
      "GET http://a:80/ HTTP/1.1\r\nHost: b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 0\r\n\r\n",
      "GET / HTTP/1.1\r\nHost:\r\nConnection: keep-alive, X\r\nX: y\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 003\r\n\r\nabc",
      "\r\nGET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:CHUNKED\r\n\r\n01;a=\"b\";c\r\nx\r\n000\r\nX: y\r\n\r\n",
    }
    local wire = http1.connect(gw.address)
    visit(wire)
    for _, request in ipairs(fine) do
      wire:send(request)
      assert.equal(200, wire:answer().status, request)
    end
  end)
end)
