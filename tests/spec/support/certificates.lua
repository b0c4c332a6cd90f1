-- Keys and certificates for a spec file, in a temporary folder that goes with it.
local process = require "support.process"
local gateway = require "support.gateway"

local certificates = {}

local folder = assert(require("posix.stdlib").mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/tidewire-tls-XXXXXX"))
gateway.at_exit(function() process.start({ "rm", "-r", folder }):wait(gateway.patience) end)
certificates.folder = folder

local function openssl(...)
  local command = { "openssl", ... }
  assert(process.start(command, { output = folder .. "/openssl.log" }):wait(30) == 0, "openssl: see " .. folder)
end

-- Makes NAME.pem and NAME.key of an authority.
function certificates.authority(name)
  openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
    "-subj", "/CN=" .. name, "-addext", "basicConstraints=critical,CA:TRUE",
    "-keyout", folder .. "/" .. name .. ".key", "-out", folder .. "/" .. name .. ".pem")
end

-- The same for whoever has these alternative names, signed by an authority.
function certificates.certificate(name, by, alternatives)
  local path = folder .. "/" .. name
  openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" .. name,
    "-keyout", path .. ".key", "-out", path .. ".csr")
  local file = assert(io.open(path .. ".ext", "w"))
  file:write("subjectAltName = " .. alternatives .. "\n")
  file:close()
  openssl("x509", "-req", "-in", path .. ".csr", "-CA", folder .. "/" .. by .. ".pem", "-CAkey", folder .. "/" .. by ..
    ".key", "-CAcreateserial", "-days", "30", "-extfile", path .. ".ext", "-out", path .. ".pem")
end

return certificates
