// A grpc++ server of the examples and of interop.Interop, as an upstream: it answers as the example scripts do.
//
// usage: interop_cpp_server [--port PORT] [--name NAME] [--grace SECONDS]
// Prints the port that it got, and a line for each call of Wait that has ended. Serves until its standard input ends;
// the lines "unwell" and "well" there say how it answers health checks.
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <iostream>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "chat.grpc.pb.h"
#include "google_status.pb.h"
#include "greet.grpc.pb.h"
#include "interop.grpc.pb.h"
#include "logger.grpc.pb.h"
#include "tutorial.grpc.pb.h"

namespace {

using std::chrono::milliseconds;

std::string name;

// ---- the greeter and the accumulator

class Greeter final : public greet::GreetService::Service {
    grpc::Status Greet(grpc::ServerContext *, const greet::GreetRequest *request, greet::GreetResponse *reply) override {
        reply->set_greeting(request->name());
        return grpc::Status::OK;
    }

    grpc::Status GreetStream(grpc::ServerContext *,
                             grpc::ServerReaderWriter<greet::GreetStreamResponse, greet::GreetStreamRequest> *stream) override {
        greet::GreetStreamRequest request;
        greet::GreetStreamResponse reply;
        while (stream->Read(&request)) {
            reply.set_greeting(request.name());
            if (!stream->Write(reply)) break;
        }
        return grpc::Status::OK;
    }

    grpc::Status GreetClientStream(grpc::ServerContext *, grpc::ServerReader<greet::GreetClientStreamRequest> *stream,
                                   greet::GreetClientStreamResponse *reply) override {
        greet::GreetClientStreamRequest request;
        std::string joined;
        for (bool is_first = true; stream->Read(&request); is_first = false)
            joined += (is_first ? "" : ",") + request.name();
        reply->set_greeting(joined);
        return grpc::Status::OK;
    }

    grpc::Status GreetServerStream(grpc::ServerContext *, const greet::GreetServerStreamRequest *request,
                                   grpc::ServerWriter<greet::GreetServerStreamResponse> *stream) override {
        greet::GreetServerStreamResponse reply;
        reply.set_greeting(request->name());
        for (int i = 0; i < 5 && stream->Write(reply); i++) continue;
        return grpc::Status::OK;
    }
};

class Numbers final : public tutorial::NumberService::Service {
    grpc::Status
    AccumulateNumbers(grpc::ServerContext *,
                      grpc::ServerReaderWriter<tutorial::NumberResponse, tutorial::NumberRequest> *stream) override {
        tutorial::NumberRequest request;
        tutorial::NumberResponse reply;
        while (stream->Read(&request)) {
            reply.set_sum(reply.sum() + request.num());
            if (!stream->Write(reply)) break;
        }
        return grpc::Status::OK;
    }
};

// ---- the chat

class Room final : public chat::ChatService::Service {
    using Stream = grpc::ServerReaderWriter<chat::ChatMessage, chat::ChatMessage>;
    std::mutex mutex_; // of the room and of every write
    std::set<Stream *> members_;

    static void SayHello(Stream *stream) {
        chat::ChatMessage hello;
        hello.set_sender("Server");
        hello.set_message("Hello from the server!");
        hello.set_timestamp(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()));
        stream->Write(hello);
    }

    grpc::Status Chat(grpc::ServerContext *, Stream *stream) override {
        std::condition_variable ended;
        bool has_ended = false;
        {
            std::lock_guard<std::mutex> lock(mutex_);
            members_.insert(stream);
            SayHello(stream);
        }
        std::thread hello([&] {
            std::unique_lock<std::mutex> lock(mutex_);
            while (!ended.wait_for(lock, std::chrono::seconds(5), [&] { return has_ended; })) SayHello(stream);
        });
        chat::ChatMessage message;
        while (stream->Read(&message)) {
            std::lock_guard<std::mutex> lock(mutex_);
            for (Stream *each : members_) each->Write(message);
        }
        {
            std::lock_guard<std::mutex> lock(mutex_);
            members_.erase(stream);
            has_ended = true;
            ended.notify_one();
        }
        hello.join();
        return grpc::Status::OK;
    }
};

// ---- the log monitor

logger::LogEntry Sample(int number) {
    static const struct {
        logger::Level level;
        const char *component, *message;
    } samples[] = {{logger::LEVEL_DEBUG, "cache", "looked up session 4711"},
                   {logger::LEVEL_INFO, "http", "GET / 200"},
                   {logger::LEVEL_WARN, "database", "slow query: 1.2 s"},
                   {logger::LEVEL_ERROR, "database", "connection lost"}};
    const auto &sample = samples[number % 4];
    logger::LogEntry entry;
    entry.set_level(sample.level);
    entry.set_component(sample.component);
    entry.set_message(sample.message);
    (*entry.mutable_labels())["region"] = number % 2 == 0 ? "eu" : "us";
    return entry;
}

bool Matches(const logger::LogFilter &filter, const logger::LogEntry &entry) {
    for (const auto &label : filter.labels()) {
        auto own = entry.labels().find(label.first);
        if (own == entry.labels().end() || own->second != label.second) return false;
    }
    return entry.level() >= filter.minimum_level() &&
           (filter.component().empty() || filter.component() == entry.component()) &&
           entry.message().find(filter.contains()) != std::string::npos;
}

class LogMonitor final : public logger::Logger::Service {
    grpc::Status Monitor(grpc::ServerContext *,
                         grpc::ServerReaderWriter<logger::LogEntry, logger::LogFilter> *stream) override {
        std::mutex mutex;
        std::condition_variable changed;
        logger::LogFilter current;
        bool has_filter = false, has_ended = false;
        stream->SendInitialMetadata();
        std::thread filters([&] {
            logger::LogFilter filter;
            bool is_there = true;
            while (is_there) {
                is_there = stream->Read(&filter);
                std::lock_guard<std::mutex> lock(mutex);
                if (is_there) current = filter;
                has_filter = true;
                has_ended = !is_there;
                changed.notify_one();
            }
        });
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [&] { return has_filter; });
        for (int number = 0; !changed.wait_for(lock, milliseconds(5), [&] { return has_ended; }); number++)
            if (Matches(current, Sample(number))) stream->Write(Sample(number));
        lock.unlock();
        filters.join();
        return grpc::Status::OK;
    }
};

// ---- interop.Interop

void EchoMetadata(grpc::ServerContext *context) {
    const auto &given = context->client_metadata();
    auto headers = given.equal_range("x-echo");
    for (auto header = headers.first; header != headers.second; ++header)
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

class Tried final : public interop::Interop::Service {
    std::atomic<int> ended_{0};

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
        if (!request->reason().empty()) {
            google::rpc::ErrorInfo info;
            info.set_reason(request->reason());
            info.set_domain("interop");
            details.add_details()->PackFrom(info);
        }
        return {static_cast<grpc::StatusCode>(code), request->text(), details.SerializeAsString()};
    }

    grpc::Status Wait(grpc::ServerContext *context, const interop::Payload *request,
                      grpc::ServerWriter<interop::Payload> *stream) override {
        stream->Write(*request);
        while (!context->IsCancelled()) std::this_thread::sleep_for(milliseconds(2));
        ended_++;
        std::cout << "a call of Wait has ended" << std::endl;
        return grpc::Status::CANCELLED;
    }

    grpc::Status WaitStubbornly(grpc::ServerContext *context, const interop::Payload *request,
                                grpc::ServerWriter<interop::Payload> *stream) override {
        return Wait(context, request, stream);
    }

    grpc::Status Ended(grpc::ServerContext *, const interop::Payload *, interop::Payload *reply) override {
        reply->set_number(ended_);
        return grpc::Status::OK;
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
    Greeter greeter;
    Numbers numbers;
    Room room;
    LogMonitor monitor;
    Tried tried;
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + port, grpc::InsecureServerCredentials(), &bound);
    builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 64 * 1024); // its own default is 8 KiB
    builder.RegisterService(&greeter);
    builder.RegisterService(&numbers);
    builder.RegisterService(&room);
    builder.RegisterService(&monitor);
    builder.RegisterService(&tried);
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (!server) return 1;
    server->GetHealthCheckService()->SetServingStatus("greet.GreetService", true);
    std::cout << bound << std::endl;
    for (std::string line; std::getline(std::cin, line);)
        server->GetHealthCheckService()->SetServingStatus(line == "well"); // of everything
    server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(grace));
    server->Wait();
    return 0;
}
