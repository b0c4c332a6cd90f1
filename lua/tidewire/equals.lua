-- tidewire/equals.lua: the projection that a topic's filter { field = value } stands for.

local project = ...

return function(wanted)
  local names, values = {}, {}
  for name, value in pairs(wanted) do
    names[#names + 1] = name
    values[#names] = value
  end
  local count = #names
  return project({ fields = names }, function(_, ...)
    for i = 1, count do
      if (select(i, ...)) ~= values[i] then return false end
    end
    return true
  end)
end
