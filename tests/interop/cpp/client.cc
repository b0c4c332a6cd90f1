// A grpc++ client of the examples: the exchanges that their own client programs make, and the cases around them.
//
// usage: interop_cpp ADDRESS
// Prints a line for each case and "N passed, N failed" at the end.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <iostream>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "chat.grpc.pb.h"
#include "google_status.pb.h"
#include "greet.grpc.pb.h"
#include "interop.grpc.pb.h"
#include "logger.grpc.pb.h"
#include "tutorial.grpc.pb.h"

namespace {

constexpr int kLimit = 4 * 1024 * 1024; // the gateway's limits.message, and grpc++'s own

std::string address;
std::shared_ptr<grpc::Channel> channel;

void Expect(bool is_so, const std::string &what) {
    if (!is_so) throw std::runtime_error(what);
}

template <typename T> void ExpectEqual(const T &expected, const T &got, const std::string &what) {
    if (expected == got) return;
    std::ostringstream text;
    text << what << ": expected " << expected << ", got " << got;
    throw std::runtime_error(text.str());
}

void ExpectCode(grpc::StatusCode expected, const grpc::Status &status) {
    ExpectEqual<int>(expected, status.error_code(), "status (" + status.error_message() + ")");
}

void ExpectOk(const grpc::Status &status) { ExpectCode(grpc::StatusCode::OK, status); }

std::unique_ptr<grpc::ClientContext> Context(int seconds = 20) {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(seconds));
    return context;
}

std::shared_ptr<grpc::Channel> Connect(int max_receive) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(max_receive);
    arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, 64 * 1024); // its own default is 8 KiB
    return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

// ---- the greeter

void UnaryGreeting() {
    greet::GreetRequest request;
    greet::GreetResponse reply;
    request.set_name("triple");
    auto context = Context();
    ExpectOk(greet::GreetService::NewStub(channel)->Greet(context.get(), request, &reply));
    ExpectEqual<std::string>("triple", reply.greeting(), "greeting");
}

void GreetingStream() {
    auto context = Context();
    auto stream = greet::GreetService::NewStub(channel)->GreetStream(context.get());
    greet::GreetStreamRequest request;
    greet::GreetStreamResponse reply;
    request.set_name("triple");
    Expect(stream->Write(request), "the request is written");
    Expect(stream->Read(&reply), "a reply comes");
    ExpectEqual<std::string>("triple", reply.greeting(), "greeting");
    Expect(stream->WritesDone(), "half-close");
    Expect(!stream->Read(&reply), "nothing follows");
    ExpectOk(stream->Finish());
}

void FiveGreetingsJoined() {
    auto context = Context();
    greet::GreetClientStreamResponse reply;
    auto stream = greet::GreetService::NewStub(channel)->GreetClientStream(context.get(), &reply);
    greet::GreetClientStreamRequest request;
    request.set_name("triple");
    for (int i = 0; i < 5; i++) Expect(stream->Write(request), "a request is written");
    Expect(stream->WritesDone(), "half-close");
    ExpectOk(stream->Finish());
    ExpectEqual<std::string>("triple,triple,triple,triple,triple", reply.greeting(), "greeting");
}

void FiveGreetingsInReply() {
    auto context = Context();
    greet::GreetServerStreamRequest request;
    greet::GreetServerStreamResponse reply;
    request.set_name("triple");
    auto stream = greet::GreetService::NewStub(channel)->GreetServerStream(context.get(), request);
    int count = 0;
    for (; stream->Read(&reply); count++) ExpectEqual<std::string>("triple", reply.greeting(), "greeting");
    ExpectOk(stream->Finish());
    ExpectEqual(5, count, "greetings");
}

// ---- the accumulator

void SumsOfOneToTen() {
    auto context = Context(1); // the program's own deadline
    auto stream = tutorial::NumberService::NewStub(channel)->AccumulateNumbers(context.get());
    std::thread writer([&stream] {
        tutorial::NumberRequest request;
        for (int i = 1; i <= 10; i++) {
            request.set_num(i);
            stream->Write(request);
        }
        stream->WritesDone();
    });
    std::vector<int> sums;
    tutorial::NumberResponse reply;
    while (stream->Read(&reply)) sums.push_back(reply.sum());
    writer.join();
    ExpectOk(stream->Finish());
    Expect(sums == std::vector<int>{1, 3, 6, 10, 15, 21, 28, 36, 45, 55}, "the sums 1, 3, 6 … 55");
}

// ---- the chat

// Sends and receives independently, closes its own side, and reads on until the end.
void DuplexChat() {
    auto context = Context();
    auto stream = chat::ChatService::NewStub(channel)->Chat(context.get());
    std::mutex mutex;
    std::condition_variable changed;
    int own = 0, from_server = 0;
    std::thread reader([&] {
        chat::ChatMessage message;
        while (stream->Read(&message)) {
            std::lock_guard<std::mutex> lock(mutex);
            if (message.sender() == "Client" && message.message() == "Hi there! Message " + std::to_string(own)) own++;
            if (message.sender() == "Server") from_server++;
            changed.notify_one();
        }
    });
    bool is_written = true;
    for (int i = 0; i < 3; i++) {
        chat::ChatMessage message;
        message.set_sender("Client");
        message.set_message("Hi there! Message " + std::to_string(i));
        message.set_timestamp(1700000000 + i);
        is_written = is_written && stream->Write(message);
    }
    bool is_heard;
    {
        std::unique_lock<std::mutex> lock(mutex);
        is_heard = changed.wait_for(lock, std::chrono::seconds(10), [&] { return own == 3 && from_server > 0; });
    }
    bool is_closed = stream->WritesDone();
    reader.join();
    Expect(is_written && is_closed, "everything is written");
    Expect(is_heard, "the own three messages and one of the server come");
    ExpectOk(stream->Finish());
}

void SilentSubscriberGetsHeaders() {
    auto context = Context();
    auto stream = chat::ChatService::NewStub(channel)->Chat(context.get());
    stream->WaitForInitialMetadata(); // comes back only when they are there, or at the deadline
    Expect(context->deadline() > std::chrono::system_clock::now() + std::chrono::seconds(5), "headers come at once");
    stream->WritesDone();
    chat::ChatMessage message;
    while (stream->Read(&message)) {}
    ExpectOk(stream->Finish());
}

// ---- the log monitor

// Entries come for a filter; another filter takes its place while they flow.
void FilteredLogEntries() {
    auto context = Context();
    auto stream = logger::Logger::NewStub(channel)->Monitor(context.get());
    logger::LogFilter filter;
    logger::LogEntry entry;
    filter.set_minimum_level(logger::LEVEL_WARN);
    Expect(stream->Write(filter), "the first filter is written");
    Expect(stream->Read(&entry), "an entry comes");
    Expect(entry.level() >= logger::LEVEL_WARN, "a warning or an error");
    filter.set_minimum_level(logger::LEVEL_UNSPECIFIED);
    filter.set_component("http");
    filter.set_contains("GET /");
    Expect(stream->Write(filter), "the second filter is written");
    do {
        Expect(stream->Read(&entry), "entries come");
        Expect(entry.component() == "http" || entry.level() >= logger::LEVEL_WARN, "what one of the filters lets through");
    } while (entry.component() != "http");
    Expect(entry.message().find("GET /") == 0 && entry.labels().count("region") == 1, "the whole entry");
    Expect(stream->Read(&entry), "another entry comes");
    ExpectEqual<std::string>("http", entry.component(), "component");
    Expect(stream->WritesDone(), "half-close");
    while (stream->Read(&entry)) ExpectEqual<std::string>("http", entry.component(), "component");
    ExpectOk(stream->Finish());
}

// ---- around them

void DeadlineIsKept() {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(300));
    interop::Payload payload;
    auto stream = interop::Interop::NewStub(channel)->Wait(context.get(), payload);
    while (stream->Read(&payload)) {}
    ExpectCode(grpc::StatusCode::DEADLINE_EXCEEDED, stream->Finish());
}

int EndedCalls() {
    auto context = Context();
    interop::Payload nothing, reply;
    ExpectOk(interop::Interop::NewStub(channel)->Ended(context.get(), nothing, &reply));
    return reply.number();
}

using Wait = std::unique_ptr<grpc::ClientReader<interop::Payload>> (interop::Interop::Stub::*)(
    grpc::ClientContext *, const interop::Payload &);

void CancelReachesTheHandler(Wait wait) {
    int before = EndedCalls();
    auto context = Context();
    auto stub = interop::Interop::NewStub(channel);
    interop::Payload payload;
    auto stream = (stub.get()->*wait)(context.get(), payload);
    Expect(stream->Read(&payload), "the handler answers once");
    context->TryCancel();
    ExpectCode(grpc::StatusCode::CANCELLED, stream->Finish());
    auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (EndedCalls() == before) Expect(std::chrono::steady_clock::now() < until, "the handler ends");
}

void ErrorWithDetails() {
    auto context = Context();
    interop::Failure failure;
    interop::Payload reply;
    failure.set_code("FAILED_PRECONDITION");
    failure.set_text("not yet: 100 % \xc3\xa4rger\n");
    failure.set_reason("TOO_EARLY");
    grpc::Status status = interop::Interop::NewStub(channel)->Fail(context.get(), failure, &reply);
    ExpectCode(grpc::StatusCode::FAILED_PRECONDITION, status);
    ExpectEqual(failure.text(), status.error_message(), "text");
    google::rpc::Status details;
    Expect(details.ParseFromString(status.error_details()), "the details are a google.rpc.Status");
    ExpectEqual<int>(grpc::StatusCode::FAILED_PRECONDITION, details.code(), "code in the details");
    ExpectEqual(failure.text(), details.message(), "text in the details");
    ExpectEqual(1, details.details_size(), "details");
    google::rpc::ErrorInfo info;
    Expect(details.details(0).UnpackTo(&info), "a google.rpc.ErrorInfo");
    ExpectEqual<std::string>("TOO_EARLY", info.reason(), "reason");
}

void UnknownMethod() {
    auto context = Context();
    grpc::TemplatedGenericStub<interop::Payload, interop::Payload> stub(channel);
    interop::Payload request, reply;
    std::promise<grpc::Status> end;
    stub.UnaryCall(context.get(), "/interop.Interop/NoSuchMethod", {}, &request, &reply,
                   [&end](grpc::Status status) { end.set_value(status); });
    ExpectCode(grpc::StatusCode::UNIMPLEMENTED, end.get_future().get());
}

void BigMetadata() {
    auto context = Context();
    std::string big(30 * 1024, 'm'), binary;
    for (int i = 0; i < 256; i++) binary.push_back(static_cast<char>(i));
    context->AddMetadata("x-echo", "first");
    context->AddMetadata("x-echo", big);
    context->AddMetadata("x-echo-bin", binary);
    interop::Payload payload;
    ExpectOk(interop::Interop::NewStub(channel)->Echo(context.get(), payload, &payload));
    auto headers = context->GetServerInitialMetadata().equal_range("x-echo");
    std::vector<std::string> values;
    for (auto i = headers.first; i != headers.second; ++i) values.emplace_back(i->second.data(), i->second.size());
    Expect(values == std::vector<std::string>{"first", big}, "both values come back in order");
    auto trailer = context->GetServerTrailingMetadata().find("x-echo-bin");
    Expect(trailer != context->GetServerTrailingMetadata().end(), "the binary trailer comes back");
    ExpectEqual(binary, std::string(trailer->second.data(), trailer->second.size()), "binary trailer");
}

// A message of exactly `size` bytes: a tag, a length of four bytes, the body.
interop::Payload PayloadOf(int size) {
    interop::Payload payload;
    payload.set_body(std::string(size - 5, 'b'));
    return payload;
}

void MessageAtTheLimit() {
    auto context = Context();
    auto stub = interop::Interop::NewStub(Connect(kLimit));
    interop::Payload payload = PayloadOf(kLimit), reply;
    ExpectEqual<size_t>(kLimit, payload.ByteSizeLong(), "size");
    ExpectOk(stub->Echo(context.get(), payload, &reply));
    Expect(reply.body() == payload.body(), "the same comes back");
}

void MessageOverTheLimit() {
    auto context = Context();
    interop::Payload reply;
    auto stub = interop::Interop::NewStub(Connect(2 * kLimit));
    ExpectCode(grpc::StatusCode::RESOURCE_EXHAUSTED, stub->Echo(context.get(), PayloadOf(kLimit + 1), &reply));
    context = Context();
    ExpectOk(stub->Echo(context.get(), PayloadOf(100), &reply)); // the connection goes on
}

void CompressedMessages() {
    auto context = Context();
    context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
    auto stream = interop::Interop::NewStub(channel)->EchoStream(context.get());
    for (int size : {10, 1000, 1000000, 10}) {
        interop::Payload reply, payload = PayloadOf(size);
        Expect(stream->Write(payload), "a request is written");
        Expect(stream->Read(&reply), "a reply comes");
        Expect(reply.body() == payload.body(), "the same comes back");
    }
    stream->WritesDone();
    ExpectOk(stream->Finish());
}

void ManyStreamsOfOneConnection() {
    auto stub = tutorial::NumberService::NewStub(channel);
    std::vector<std::thread> threads;
    std::mutex mutex;
    std::string fault;
    for (int t = 0; t < 20; t++)
        threads.emplace_back([&, t] {
            auto context = Context();
            auto stream = stub->AccumulateNumbers(context.get());
            tutorial::NumberRequest request;
            tutorial::NumberResponse reply;
            request.set_num(t);
            for (int i = 1; i <= 100; i++)
                if (!stream->Write(request) || !stream->Read(&reply) || reply.sum() != i * t) {
                    std::lock_guard<std::mutex> lock(mutex);
                    fault = "stream " + std::to_string(t) + " at " + std::to_string(i);
                    return;
                }
            stream->WritesDone();
            if (!stream->Finish().ok()) fault = "an end that is not OK";
        });
    for (auto &thread : threads) thread.join();
    Expect(fault.empty(), fault);
}

struct Case {
    const char *name;
    std::function<void()> run;
};

const Case cases[] = {
    {"a unary greeting", UnaryGreeting},
    {"a stream of greetings", GreetingStream},
    {"five greetings joined with commas", FiveGreetingsJoined},
    {"five greetings in reply to one", FiveGreetingsInReply},
    {"the sums of 1 to 10", SumsOfOneToTen},
    {"a duplex chat with half-close and end", DuplexChat},
    {"a subscriber that sends nothing gets headers", SilentSubscriberGetsHeaders},
    {"log entries for a filter, then for another", FilteredLogEntries},
    {"a deadline is kept", DeadlineIsKept},
    {"a cancel reaches the handler", [] { CancelReachesTheHandler(&interop::Interop::Stub::Wait); }},
    {"a cancel reaches a handler that catches it", [] { CancelReachesTheHandler(&interop::Interop::Stub::WaitStubbornly); }},
    {"an error with details", ErrorWithDetails},
    {"an unknown method is UNIMPLEMENTED", UnknownMethod},
    {"big and binary metadata", BigMetadata},
    {"a message at the limit", MessageAtTheLimit},
    {"a message over the limit is RESOURCE_EXHAUSTED", MessageOverTheLimit},
    {"compressed messages", CompressedMessages},
    {"many streams of one connection", ManyStreamsOfOneConnection},
};

} // namespace

int main(int argc, char **argv) {
    if (argc != 2) {
        std::cerr << "usage: interop_cpp ADDRESS\n";
        return 2;
    }
    address = argv[1];
    channel = Connect(kLimit);
    int passed = 0, failed = 0;
    for (const Case &one : cases) {
        try {
            one.run();
            passed++;
            std::cout << "ok      grpc++: " << one.name << std::endl;
        } catch (const std::exception &fault) {
            failed++;
            std::cout << "not ok  grpc++: " << one.name << ": " << fault.what() << std::endl;
        }
    }
    std::cout << passed << " passed, " << failed << " failed" << std::endl;
    return failed == 0 ? 0 : 1;
}
