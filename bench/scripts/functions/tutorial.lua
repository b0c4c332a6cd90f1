local tutorial = {}

function tutorial.AccumulateNumbers(stream)
  local sum = 0
  for request in stream:messages() do
    sum = sum + request.num
    stream:send { sum = sum }
  end
end

return tutorial
