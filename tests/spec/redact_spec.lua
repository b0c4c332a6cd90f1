-- scripts/redact.lua with messages that hold texts anywhere.
local caller = require "support.caller"
local gateway = require "support.gateway"

local proto = [[
syntax = "proto3";
package pay;
message Item { string name = 1; repeated string notes = 2; Item with = 3; }
message Bill { string to = 1; repeated Item items = 2; map<string, string> labels = 3; map<string, Item> gifts = 4;
  int64 card = 5; }
service Till { rpc Pay(Bill) returns (Bill); rpc PayAll(stream Bill) returns (stream Bill); }
]]

-- Answers with what came; to a payer "server" it tells the number of a card itself.
local till = [[
local tidewire = require "tidewire"
local function answer(bill)
  tidewire.log.info("got " .. bill:json())
  if bill.to == "server" then bill.items[1].with.notes[2] = "charged 4111-1111-1111-1111" end
  return bill
end
return {
  Pay = function(_, bill) return answer(bill) end,
  PayAll = { on_message = function(_, bill) return answer(bill) end },
}
]]

describe("scripts/redact.lua", function()
  after_each(gateway.stop_all)

  it("hides cards in nested and repeated fields and in maps, in both directions", function()
    local config = 'proto = { "pay.proto" }\n'
    local server = gateway.start { protos = { ["pay.proto"] = proto }, scripts = { ["till.lua"] = till },
      config = config .. 'service "pay.Till" { script = "till.lua" }\n' }
    local gw = gateway.start { protos = { ["pay.proto"] = proto }, config = config
      .. ('script_path = "%s/scripts"\nupstream "till" { target = "%s" }\n'):format(gateway.root, server.address)
      .. 'service "pay.Till" { script = "redact.lua"  upstream = "till" }\n' }
    local bill = '{"to":"%s","items":[{"name":"tea","notes":["a","by 4111 1111 1111 1111!"],'
      .. '"with":{"notes":["milk","b","order 1234567 4111 1111 1111 1111"]}}],'
      .. '"labels":{"of":"4111111111111111"},"gifts":{"ann":{"name":"of 4111-1111-1111-1111"}},'
      .. '"card":"4111111111111111"}'
    local hidden = bill:gsub("by 4111 1111 1111 1111", "by [card]"):gsub('"of":"4111111111111111"',
      '"of":"[card]"'):gsub("of 4111%-1111%-1111%-1111", "of [card]")
      :gsub("order 1234567 4111 1111 1111 1111", "order [card]")
    for _, method in ipairs { "pay.Till/Pay", "pay.Till/PayAll" } do
      local code, output, errors = caller.run(bill:format "ann", gw.address, method)
      assert.same({ 0, "" }, { code, errors })
      assert.equal(hidden:format "ann", (output:gsub("%s*\n%s*", ""):gsub('": ', '":')))
      server:wait_for_log("got " .. hidden:format "ann")
      code, output = caller.run(bill:format "server", gw.address, method)
      assert.equal(0, code)
      assert.is_truthy(output:find("charged [card]", 1, true), output)
    end
  end)
end)
