local tidewire = require "tidewire"
local room = tidewire.topic "room"

return {
  Chat = {
    on_open = function(stream) room:subscribe(stream, { queue = 1024 }) end,
    on_message = function(_, message) room:publish(message) end,
    on_half_close = function(stream) stream:close() end,
  },
}
