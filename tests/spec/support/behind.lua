-- Gateways that pass calls on to something else.
local gateway = require "support.gateway"

local behind = {}

-- The config of a gateway that passes everything on to an address. `more` stands in the upstream's section, `service`
-- in the service's.
function behind.config(address, more, service)
  return ('workers = 1\nhealth = off\nreflection = off\n' ..
    'upstream behind { target = "%s" %s }\nservice "*" { upstream = "behind" %s }\n')
    :format(address, more or "", service or "")
end

-- options: as gateway.start(); upstream =, service = what stands in those sections; more = what stands beside it
function behind.start(address, options)
  options = options or {}
  options.config = behind.config(address, options.upstream, options.service) .. (options.more or "")
  return gateway.start(options)
end

return behind
