return {
  AccumulateNumbers = {
    on_open = function(stream) stream.ctx.sum = 0 end,
    on_message = function(stream, request)
      local ctx = stream.ctx
      ctx.sum = ctx.sum + request.num
      return { sum = ctx.sum }
    end,
  },
}
