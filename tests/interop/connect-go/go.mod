// The connect-go client, pinned.
module tidewire.example/interop/connect-go

go 1.25.0

tool connectrpc.com/connect/cmd/protoc-gen-connect-go

require (
	connectrpc.com/connect v1.19.1
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260120221211-b8f7ae30c516
)

require google.golang.org/protobuf v1.36.11
