-- A running sum: the function owns the stream, so its state is a local variable.
local tutorial = {}

function tutorial.AccumulateNumbers(stream)
  local sum = 0
  for request in stream:messages() do
    sum = sum + request.num
    stream:send { sum = sum }
  end
end

return tutorial
