-- Gateways that pass calls on to something else.
local gateway = require "support.gateway"

local behind = {}

-- The config of a gateway that passes everything on to an address. `more` stands in the upstream's section.
function behind.config(address, more)
  return ('workers = 1\nhealth = off\nreflection = off\n' ..
    'upstream behind { target = "%s" %s }\nservice "*" { upstream = "behind" }\n'):format(address, more or "")
end

-- options: as gateway.start(); upstream = what stands in the upstream's section; more = what stands beside it
function behind.start(address, options)
  options = options or {}
  options.config = behind.config(address, options.upstream) .. (options.more or "")
  return gateway.start(options)
end

return behind
