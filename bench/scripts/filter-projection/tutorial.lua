-- Reads a field of every message, each way.
local tidewire = require "tidewire"

return {
  AccumulateNumbers = {
    on_request = tidewire.project({ fields = { "num" } }, function() end),
    on_response = tidewire.project({ fields = { "sum" } }, function() end),
  },
}
