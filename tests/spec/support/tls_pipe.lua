-- For clients that speak no TLS: an address that leads to one where it is spoken; see tls_pipe.py.
--
--   http1.connect(tls_pipe.to(gw.address, { ca = path, name = "localhost", protocols = { "http/1.1" } }))
local asking = require "support.asking"

local tls_pipe = {}

local python = asking.new(function() return { "tests/spec/support/tls_pipe.py" } end)

function tls_pipe.to(address, options)
  local port = python:ask { ["do"] = "open", to = address, ca = options.ca, name = options.name,
    protocols = options.protocols }
  return "127.0.0.1:" .. port
end

return tls_pipe
