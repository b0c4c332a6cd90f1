-- Reads a field of every message, each way.
return {
  AccumulateNumbers = {
    on_request = function(_, request) local _ = request.num end,
    on_response = function(_, reply) local _ = reply.sum end,
  },
}
