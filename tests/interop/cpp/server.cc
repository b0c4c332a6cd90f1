// A grpc++ server of interop.Interop, for specs of upstreams: usage and behaviour as tests/spec/support/grpc_server.py.
//
// usage: interop_cpp_server [--port PORT] [--name NAME] [--grace SECONDS]
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <iostream>
#include <limits>
#include <memory>
#include <string>

#include "google_status.pb.h"
#include "interop.grpc.pb.h"

namespace {

std::string name;

void EchoMetadata(grpc::ServerContext *context) {
    const auto &given = context->client_metadata();
    if (auto header = given.find("x-echo"); header != given.end())
        context->AddInitialMetadata("x-echo", std::string(header->second.data(), header->second.size()));
    if (auto trailer = given.find("x-echo-bin"); trailer != given.end())
        context->AddTrailingMetadata("x-echo-bin", std::string(trailer->second.data(), trailer->second.size()));
    if (!name.empty()) context->AddTrailingMetadata("x-server", name);
}

int NumberOf(const std::string &code) {
    static const char *const names[] = {"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
                                        "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
                                        "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL",
                                        "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"};
    for (int i = 0; i < 17; i++)
        if (code == names[i]) return i;
    return 2;
}

class Interop final : public interop::Interop::Service {
    grpc::Status Echo(grpc::ServerContext *context, const interop::Payload *request, interop::Payload *reply) override {
        EchoMetadata(context);
        *reply = *request;
        return grpc::Status::OK;
    }

    grpc::Status EchoStream(grpc::ServerContext *context,
                            grpc::ServerReaderWriter<interop::Payload, interop::Payload> *stream) override {
        context->AddInitialMetadata("x-maker", "grpc++");
        stream->SendInitialMetadata();
        interop::Payload message;
        while (stream->Read(&message) && stream->Write(message)) continue;
        return grpc::Status::OK;
    }

    grpc::Status Fail(grpc::ServerContext *, const interop::Failure *request, interop::Payload *) override {
        int code = NumberOf(request->code());
        google::rpc::Status details;
        details.set_code(code);
        details.set_message(request->text());
        return {static_cast<grpc::StatusCode>(code), request->text(), details.SerializeAsString()};
    }
};

} // namespace

int main(int count, char **arguments) {
    std::string port = "0";
    int grace = 0, bound = 0;
    for (int i = 1; i + 1 < count; i += 2) {
        const std::string option = arguments[i], value = arguments[i + 1];
        if (option == "--port") port = value;
        if (option == "--name") name = value;
        if (option == "--grace") grace = std::stoi(value);
    }
    Interop service;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + port, grpc::InsecureServerCredentials(), &bound);
    builder.RegisterService(&service);
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (!server) return 1;
    std::cout << bound << std::endl;
    std::cin.ignore(std::numeric_limits<std::streamsize>::max());
    server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(grace));
    server->Wait();
    return 0;
}
