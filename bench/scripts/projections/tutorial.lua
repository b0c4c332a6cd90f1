local tidewire = require "tidewire"

return {
  AccumulateNumbers = {
    on_open = function(stream) stream.ctx.sum = 0 end,
    on_message = tidewire.project({ fields = { "num" }, reply = { "sum" } }, function(stream, num)
      local ctx = stream.ctx
      local sum = ctx.sum + num
      ctx.sum = sum
      return sum
    end),
  },
}
