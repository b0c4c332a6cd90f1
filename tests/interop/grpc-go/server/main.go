// A grpc-go server of the examples and of interop.Interop, as an upstream: it answers as the example scripts do.
//
// Prints its address, and serves until its standard input ends.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"tidewire.example/interop/grpc-go/pb/chat"
	"tidewire.example/interop/grpc-go/pb/greet"
	"tidewire.example/interop/grpc-go/pb/interop"
	"tidewire.example/interop/grpc-go/pb/logger"
	"tidewire.example/interop/grpc-go/pb/tutorial"
)

// ---- the greeter and the accumulator

type greeter struct {
	greet.UnimplementedGreetServiceServer
}

func (greeter) Greet(_ context.Context, request *greet.GreetRequest) (*greet.GreetResponse, error) {
	return &greet.GreetResponse{Greeting: request.Name}, nil
}

func (greeter) GreetStream(stream greet.GreetService_GreetStreamServer) error {
	for {
		request, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&greet.GreetStreamResponse{Greeting: request.Name}); err != nil {
			return err
		}
	}
}

func (greeter) GreetClientStream(stream greet.GreetService_GreetClientStreamServer) error {
	var names []string
	for {
		request, err := stream.Recv()
		if err == io.EOF {
			return stream.SendAndClose(&greet.GreetClientStreamResponse{Greeting: strings.Join(names, ",")})
		}
		if err != nil {
			return err
		}
		names = append(names, request.Name)
	}
}

func (greeter) GreetServerStream(request *greet.GreetServerStreamRequest, stream greet.GreetService_GreetServerStreamServer) error {
	for i := 0; i < 5; i++ {
		if err := stream.Send(&greet.GreetServerStreamResponse{Greeting: request.Name}); err != nil {
			return err
		}
	}
	return nil
}

type accumulator struct {
	tutorial.UnimplementedNumberServiceServer
}

func (accumulator) AccumulateNumbers(stream tutorial.NumberService_AccumulateNumbersServer) error {
	var sum int32
	for {
		request, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		sum += request.Num
		if err := stream.Send(&tutorial.NumberResponse{Sum: sum}); err != nil {
			return err
		}
	}
}

// ---- the chat

type room struct {
	chat.UnimplementedChatServiceServer
	mutex   sync.Mutex // of the members and of every Send
	members map[chat.ChatService_ChatServer]bool
}

func (r *room) say(message *chat.ChatMessage, to ...chat.ChatService_ChatServer) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if len(to) == 0 {
		for member := range r.members {
			to = append(to, member)
		}
	}
	for _, member := range to {
		member.Send(message) // who has gone notices it at Recv
	}
}

func (r *room) Chat(stream chat.ChatService_ChatServer) error {
	r.mutex.Lock()
	r.members[stream] = true
	r.mutex.Unlock()
	ended := make(chan struct{})
	hello := make(chan struct{})
	go func() {
		defer close(hello)
		for {
			r.say(&chat.ChatMessage{Sender: "Server", Message: "Hello from the server!", Timestamp: time.Now().Unix()}, stream)
			select {
			case <-time.After(5 * time.Second):
			case <-ended:
				return
			}
		}
	}()
	defer func() {
		r.mutex.Lock()
		delete(r.members, stream)
		r.mutex.Unlock()
		close(ended)
		<-hello
	}()
	for {
		message, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		r.say(message)
	}
}

// ---- the log monitor

type monitor struct {
	logger.UnimplementedLoggerServer
}

func sample(number int) *logger.LogEntry {
	samples := []struct {
		level              logger.Level
		component, message string
	}{
		{logger.Level_LEVEL_DEBUG, "cache", "looked up session 4711"},
		{logger.Level_LEVEL_INFO, "http", "GET / 200"},
		{logger.Level_LEVEL_WARN, "database", "slow query: 1.2 s"},
		{logger.Level_LEVEL_ERROR, "database", "connection lost"},
	}
	s := samples[number%len(samples)]
	return &logger.LogEntry{Timestamp: timestamppb.Now(), Level: s.level, Component: s.component, Message: s.message,
		Labels: map[string]string{"region": []string{"eu", "us"}[number%2]}}
}

func matches(filter *logger.LogFilter, entry *logger.LogEntry) bool {
	for name, value := range filter.Labels {
		if entry.Labels[name] != value {
			return false
		}
	}
	return entry.Level >= filter.MinimumLevel && (filter.Component == "" || filter.Component == entry.Component) &&
		strings.Contains(entry.Message, filter.Contains)
}

func (monitor) Monitor(stream logger.Logger_MonitorServer) error {
	filters := make(chan *logger.LogFilter, 1)
	go func() {
		defer close(filters)
		for {
			filter, err := stream.Recv()
			if err != nil {
				return
			}
			select {
			case filters <- filter:
			case <-stream.Context().Done():
				return
			}
		}
	}()
	var current *logger.LogFilter
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for number := 0; ; {
		select {
		case filter, isOpen := <-filters:
			if !isOpen {
				return nil
			}
			current = filter
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-tick.C:
			if entry := sample(number); current != nil && matches(current, entry) {
				if err := stream.Send(entry); err != nil {
					return err
				}
			}
			number++
		}
	}
}

// ---- interop.Interop

type tried struct {
	interop.UnimplementedInteropServer
	ended atomic.Int32
}

func echoMetadata(ctx context.Context) error {
	given, _ := metadata.FromIncomingContext(ctx)
	headers, trailers := metadata.MD{}, metadata.MD{}
	headers.Append("x-echo", given.Get("x-echo")...)
	trailers.Append("x-echo-bin", given.Get("x-echo-bin")...)
	if err := grpc.SetTrailer(ctx, trailers); err != nil {
		return err
	}
	return grpc.SendHeader(ctx, headers)
}

func (*tried) Echo(ctx context.Context, request *interop.Payload) (*interop.Payload, error) {
	return request, echoMetadata(ctx)
}

func (*tried) EchoStream(stream interop.Interop_EchoStreamServer) error {
	if err := echoMetadata(stream.Context()); err != nil {
		return err
	}
	for {
		request, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(request); err != nil {
			return err
		}
	}
}

func (*tried) Fail(_ context.Context, request *interop.Failure) (*interop.Payload, error) {
	var code codes.Code
	if err := code.UnmarshalJSON([]byte(`"` + request.Code + `"`)); err != nil {
		return nil, err
	}
	failure, err := status.New(code, request.Text).WithDetails(&errdetails.ErrorInfo{Reason: request.Reason, Domain: "interop"})
	if err != nil {
		return nil, err
	}
	return nil, failure.Err()
}

func (t *tried) Wait(request *interop.Payload, stream interop.Interop_WaitServer) error {
	if err := stream.Send(request); err != nil {
		return err
	}
	<-stream.Context().Done()
	t.ended.Add(1)
	return stream.Context().Err()
}

func (t *tried) WaitStubbornly(request *interop.Payload, stream interop.Interop_WaitStubbornlyServer) error {
	return t.Wait(request, stream)
}

func (t *tried) Ended(context.Context, *interop.Payload) (*interop.Payload, error) {
	return &interop.Payload{Number: t.ended.Load()}, nil
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	greet.RegisterGreetServiceServer(server, greeter{})
	tutorial.RegisterNumberServiceServer(server, accumulator{})
	chat.RegisterChatServiceServer(server, &room{members: map[chat.ChatService_ChatServer]bool{}})
	logger.RegisterLoggerServer(server, monitor{})
	interop.RegisterInteropServer(server, &tried{})
	healthy := health.NewServer()
	healthy.SetServingStatus("greet.GreetService", grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(server, healthy)
	fmt.Println(listener.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		server.GracefulStop()
	}()
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
