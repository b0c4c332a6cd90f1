"""A gRPC server of another make (python3-grpcio), for specs of `tidewire call`.

usage: grpc_server.py DESCRIPTOR_SET [--tls NAME.pem NAME.key] [--clients CA.pem] [--reflection NAME] [--gzip]
                      [--port PORT] [--name NAME] [--grace SECONDS]

Prints the port that it got, and serves until its standard input ends: then it says so to its clients, and waits SECONDS
for their calls. It answers
  interop.Interop          as tests/proto/interop.proto says
  greet.GreetService       like the example script
and, with --reflection v1 or v1alpha, that version of server reflection: one file an answer, never an import unasked.
"""
import argparse
import sys
import threading
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2

from messages import Schema

schema = None
name = None # of this server, for clients that want to know


def rpc(service, name, behave):
    """A handler for one method: its kind and types are the descriptor's, `behave` the program."""
    method = schema.method(service + "/" + name)
    proto = descriptor_pb2.MethodDescriptorProto()
    method.CopyToProto(proto)
    kind = {(False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler}[
        (proto.client_streaming, proto.server_streaming)]
    return kind(behave, request_deserializer=schema.message_class(method.input_type).FromString,
                response_serializer=lambda message: message.SerializeToString())


def echo_metadata(context):
    given = dict(context.invocation_metadata())
    trailers = (("x-server", name),) if name else ()
    if "x-echo" in given:
        context.send_initial_metadata((("x-echo", given["x-echo"]),))
    if "x-echo-bin" in given:
        trailers += (("x-echo-bin", given["x-echo-bin"]),)
    context.set_trailing_metadata(trailers)


def echo(request, context):
    echo_metadata(context)
    return request


def echo_stream(requests, context):
    context.send_initial_metadata(())
    for request in requests:
        yield request


def fail(request, context):
    code = grpc.StatusCode[request.code]
    if request.reason:
        status = schema.named("google.rpc.Status")(code=code.value[0], message=request.text)
        status.details.add().Pack(schema.named("google.rpc.ErrorInfo")(reason=request.reason, domain="specs"))
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, request.text)


def wait(request, context):
    ended = threading.Event()

    def end():
        print("a call of Wait has ended", flush=True)
        ended.set()
    context.add_callback(end)
    yield request
    ended.wait()


def greet_client_stream(requests, _):
    names = [request.name for request in requests]
    return schema.named("greet.GreetClientStreamResponse")(greeting=",".join(names))


def greet_server_stream(request, _):
    for _ in range(5):
        yield schema.named("greet.GreetServerStreamResponse")(greeting=request.name)


def reflect(version):
    response_class = schema.named(version + ".ServerReflectionResponse")

    def answer(request):
        wanted = request.WhichOneof("message_request")
        response = response_class()
        try:
            if wanted == "list_services":
                for name in ("interop.Interop", "greet.GreetService"):
                    response.list_services_response.service.add(name=name)
                return response
            file = (schema.pool.FindFileByName(request.file_by_filename) if wanted == "file_by_filename"
                    else schema.pool.FindFileContainingSymbol(request.file_containing_symbol))
            response.file_descriptor_response.file_descriptor_proto.append(file.serialized_pb)
        except KeyError as unknown:
            response.error_response.error_code = 5
            response.error_response.error_message = str(unknown)
        return response

    return lambda requests, _: (answer(request) for request in requests)


def services(reflection):
    table = {
        "interop.Interop": {"Echo": echo, "EchoStream": echo_stream, "Fail": fail, "Wait": wait},
        "greet.GreetService": {"GreetClientStream": greet_client_stream, "GreetServerStream": greet_server_stream},
    }
    if reflection:
        name = "grpc.reflection." + reflection
        table[name + ".ServerReflection"] = {"ServerReflectionInfo": reflect(name)}
    return [grpc.method_handlers_generic_handler(service, {name: rpc(service, name, behave)
                                                           for name, behave in methods.items()})
            for service, methods in table.items()]


def read(path):
    with open(path, "rb") as file:
        return file.read()


def main():
    global schema, name
    parser = argparse.ArgumentParser()
    parser.add_argument("descriptor_set")
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("--clients")
    parser.add_argument("--reflection")
    parser.add_argument("--gzip", action="store_true")
    parser.add_argument("--port", default="0")
    parser.add_argument("--name")
    parser.add_argument("--grace", type=float, default=0)
    options = parser.parse_args()
    name = options.name
    schema = Schema(options.descriptor_set)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), handlers=services(options.reflection),
                         compression=grpc.Compression.Gzip if options.gzip else None)
    if options.tls:
        credentials = grpc.ssl_server_credentials(
            [(read(options.tls[1]), read(options.tls[0]))], options.clients and read(options.clients),
            require_client_auth=bool(options.clients))
        port = server.add_secure_port("127.0.0.1:" + options.port, credentials)
    else:
        port = server.add_insecure_port("127.0.0.1:" + options.port)
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(options.grace).wait()


main()
