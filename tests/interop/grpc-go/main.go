// A grpc-go client of the examples: the exchanges that their own client programs make, and the cases around them.
//
//	usage: grpc-go ADDRESS
//
// Prints a line for each case and "N passed, N failed" at the end.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"tidewire.example/interop/grpc-go/pb/chat"
	"tidewire.example/interop/grpc-go/pb/greet"
	"tidewire.example/interop/grpc-go/pb/interop"
	"tidewire.example/interop/grpc-go/pb/logger"
	"tidewire.example/interop/grpc-go/pb/tutorial"
)

const limit = 4 << 20 // the gateway's limits.message, and grpc-go's own

var (
	address string
	conn    *grpc.ClientConn
)

func connect(options ...grpc.DialOption) *grpc.ClientConn {
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	c, err := grpc.NewClient("passthrough:///"+address, options...)
	if err != nil {
		log.Fatal(err)
	}
	return c
}

func patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 20*time.Second)
}

func expectCode(expected codes.Code, err error) error {
	if status.Code(err) != expected {
		return fmt.Errorf("expected %v, got %v", expected, err)
	}
	return nil
}

func expectEnd(err error) error {
	if err != io.EOF {
		return fmt.Errorf("expected io.EOF, got %v", err)
	}
	return nil
}

// ---- the greeter

func unaryGreeting() error {
	ctx, cancel := patience()
	defer cancel()
	reply, err := greet.NewGreetServiceClient(conn).Greet(ctx, &greet.GreetRequest{Name: "triple"})
	if err != nil {
		return err
	}
	if reply.Greeting != "triple" {
		return fmt.Errorf("greeting %q", reply.Greeting)
	}
	return nil
}

func greetingStream() error {
	ctx, cancel := patience()
	defer cancel()
	stream, err := greet.NewGreetServiceClient(conn).GreetStream(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(&greet.GreetStreamRequest{Name: "triple"}); err != nil {
		return err
	}
	reply, err := stream.Recv()
	if err != nil {
		return err
	}
	if reply.Greeting != "triple" {
		return fmt.Errorf("greeting %q", reply.Greeting)
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	_, err = stream.Recv()
	return expectEnd(err)
}

func fiveGreetingsJoined() error {
	ctx, cancel := patience()
	defer cancel()
	stream, err := greet.NewGreetServiceClient(conn).GreetClientStream(ctx)
	if err != nil {
		return err
	}
	for i := 0; i < 5; i++ {
		if err := stream.Send(&greet.GreetClientStreamRequest{Name: "triple"}); err != nil {
			return err
		}
	}
	reply, err := stream.CloseAndRecv()
	if err != nil {
		return err
	}
	if reply.Greeting != "triple,triple,triple,triple,triple" {
		return fmt.Errorf("greeting %q", reply.Greeting)
	}
	return nil
}

func fiveGreetingsInReply() error {
	ctx, cancel := patience()
	defer cancel()
	stream, err := greet.NewGreetServiceClient(conn).GreetServerStream(ctx, &greet.GreetServerStreamRequest{Name: "triple"})
	if err != nil {
		return err
	}
	count := 0
	for ; ; count++ {
		reply, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if reply.Greeting != "triple" {
			return fmt.Errorf("greeting %q", reply.Greeting)
		}
	}
	if count != 5 {
		return fmt.Errorf("%d greetings", count)
	}
	return nil
}

// ---- the accumulator

func sumsOfOneToTen() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // the program's own deadline
	defer cancel()
	stream, err := tutorial.NewNumberServiceClient(conn).AccumulateNumbers(ctx)
	if err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		for i := 1; i <= 10; i++ {
			if err := stream.Send(&tutorial.NumberRequest{Num: int32(i)}); err != nil {
				sent <- err
				return
			}
		}
		sent <- stream.CloseSend()
	}()
	var sums []int32
	for {
		reply, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		sums = append(sums, reply.GetSum())
	}
	if got := fmt.Sprint(sums); got != "[1 3 6 10 15 21 28 36 45 55]" {
		return fmt.Errorf("sums %s", got)
	}
	return <-sent
}

// ---- the chat

// Sends three messages, hears them and the server's, closes its own side, reads on until io.EOF.
func duplexChat() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	client, err := chat.NewChatServiceClient(conn).Chat(ctx)
	if err != nil {
		return err
	}
	heard := make(chan struct{})
	received := make(chan error, 1)
	go func() {
		own, fromServer, isHeard := 0, 0, false
		for {
			message, err := client.Recv()
			if err != nil {
				received <- expectEnd(err)
				return
			}
			if message.Sender == "Client" {
				if message.Message != fmt.Sprintf("Hi there! Message %d", own) {
					received <- fmt.Errorf("message %q", message.Message)
					return
				}
				own++
			} else if message.Sender == "Server" {
				fromServer++
			}
			if own == 3 && fromServer > 0 && !isHeard {
				isHeard = true
				close(heard)
			}
		}
	}()
	for i := 0; i < 3; i++ {
		message := &chat.ChatMessage{Sender: "Client", Message: fmt.Sprintf("Hi there! Message %d", i), Timestamp: time.Now().Unix()}
		if err := client.Send(message); err != nil {
			return err
		}
	}
	select {
	case <-heard:
	case err := <-received:
		return fmt.Errorf("ended before everything was heard: %v", err)
	}
	if err := client.CloseSend(); err != nil {
		return err
	}
	return <-received
}

func silentSubscriberGetsHeaders() error {
	ctx, cancel := patience()
	defer cancel()
	stream, err := chat.NewChatServiceClient(conn).Chat(ctx)
	if err != nil {
		return err
	}
	if _, err := stream.Header(); err != nil { // blocks until they come
		return err
	}
	cancel()
	for err == nil {
		_, err = stream.Recv()
	}
	return expectCode(codes.Canceled, err)
}

// ---- the log monitor

// Entries come for a filter; another filter takes its place while they flow.
func filteredLogEntries() error {
	ctx, cancel := patience()
	defer cancel()
	stream, err := logger.NewLoggerClient(conn).Monitor(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(&logger.LogFilter{MinimumLevel: logger.Level_LEVEL_WARN}); err != nil {
		return err
	}
	entry, err := stream.Recv()
	if err != nil {
		return err
	}
	if entry.Level < logger.Level_LEVEL_WARN {
		return fmt.Errorf("an entry of level %v", entry.Level)
	}
	if err := stream.Send(&logger.LogFilter{Component: "http", Contains: "GET /"}); err != nil {
		return err
	}
	for of := 0; of < 2; { // some of the old filter's may be on their way
		if entry, err = stream.Recv(); err != nil {
			return err
		}
		if entry.Component == "http" {
			of++
		} else if of > 0 || entry.Level < logger.Level_LEVEL_WARN {
			return fmt.Errorf("the entry %v", entry)
		}
	}
	if !strings.HasPrefix(entry.Message, "GET /") || entry.Labels["region"] == "" {
		return fmt.Errorf("the entry %v", entry)
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for err == nil {
		_, err = stream.Recv()
	}
	return expectEnd(err)
}

// ---- around them

func deadlineIsKept() error {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	stream, err := interop.NewInteropClient(conn).Wait(ctx, &interop.Payload{})
	for err == nil {
		_, err = stream.Recv()
	}
	return expectCode(codes.DeadlineExceeded, err)
}

func endedCalls() (int32, error) {
	ctx, cancel := patience()
	defer cancel()
	reply, err := interop.NewInteropClient(conn).Ended(ctx, &interop.Payload{})
	return reply.GetNumber(), err
}

type opener func(context.Context, *interop.Payload, ...grpc.CallOption) (grpc.ServerStreamingClient[interop.Payload], error)

func cancelReachesTheHandler(open func(interop.InteropClient) opener) func() error {
	return func() error {
		before, err := endedCalls()
		if err != nil {
			return err
		}
		ctx, cancel := patience()
		defer cancel()
		stream, err := open(interop.NewInteropClient(conn))(ctx, &interop.Payload{})
		if err != nil {
			return err
		}
		if _, err := stream.Recv(); err != nil {
			return err
		}
		cancel()
		if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
			return fmt.Errorf("expected Canceled, got %v", err)
		}
		for until := time.Now().Add(10 * time.Second); ; {
			now, err := endedCalls()
			if err != nil || now > before {
				return err
			}
			if time.Now().After(until) {
				return errors.New("the handler goes on")
			}
		}
	}
}

func errorWithDetails() error {
	ctx, cancel := patience()
	defer cancel()
	text := "not yet: 100 % ärger\n"
	_, err := interop.NewInteropClient(conn).Fail(ctx, &interop.Failure{Code: "FAILED_PRECONDITION", Text: text, Reason: "TOO_EARLY"})
	if err := expectCode(codes.FailedPrecondition, err); err != nil {
		return err
	}
	s := status.Convert(err)
	if s.Message() != text {
		return fmt.Errorf("text %q", s.Message())
	}
	if len(s.Details()) != 1 {
		return fmt.Errorf("%d details", len(s.Details()))
	}
	info, is := s.Details()[0].(*errdetails.ErrorInfo)
	if !is || info.Reason != "TOO_EARLY" || info.Domain != "interop" {
		return fmt.Errorf("details %v", s.Details())
	}
	return nil
}

func unknownMethod() error {
	ctx, cancel := patience()
	defer cancel()
	err := conn.Invoke(ctx, "/interop.Interop/NoSuchMethod", &interop.Payload{}, &interop.Payload{})
	if err := expectCode(codes.Unimplemented, err); err != nil {
		return err
	}
	return expectCode(codes.Unimplemented, conn.Invoke(ctx, "/no.Such/Method", &interop.Payload{}, &interop.Payload{}))
}

func bigMetadata() error {
	ctx, cancel := patience()
	defer cancel()
	big, binary := strings.Repeat("m", 30<<10), ""
	for i := 0; i < 256; i++ {
		binary += string([]byte{byte(i)})
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "x-echo", "first", "x-echo", big, "x-echo-bin", binary)
	var header, trailer metadata.MD
	_, err := interop.NewInteropClient(conn).Echo(ctx, &interop.Payload{}, grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil {
		return err
	}
	if got := header.Get("x-echo"); len(got) != 2 || got[0] != "first" || got[1] != big {
		return fmt.Errorf("%d headers", len(got))
	}
	if got := trailer.Get("x-echo-bin"); len(got) != 1 || got[0] != binary {
		return fmt.Errorf("trailer %q", got)
	}
	return nil
}

// A message of exactly `size` bytes: a tag, a length of four bytes, the body.
func payloadOf(size int) *interop.Payload {
	return &interop.Payload{Body: bytes.Repeat([]byte("b"), size-5)}
}

func messageAtTheLimit() error {
	ctx, cancel := patience()
	defer cancel()
	reply, err := interop.NewInteropClient(conn).Echo(ctx, payloadOf(limit))
	if err != nil {
		return err
	}
	if !bytes.Equal(reply.Body, payloadOf(limit).Body) {
		return errors.New("something else comes back")
	}
	return nil
}

func messageOverTheLimit() error {
	ctx, cancel := patience()
	defer cancel()
	client := interop.NewInteropClient(conn)
	_, err := client.Echo(ctx, payloadOf(limit+1))
	if err := expectCode(codes.ResourceExhausted, err); err != nil {
		return err
	}
	_, err = client.Echo(ctx, payloadOf(100)) // the connection goes on
	return err
}

func compressedMessages() error {
	ctx, cancel := patience()
	defer cancel()
	stream, err := interop.NewInteropClient(conn).EchoStream(ctx, grpc.UseCompressor(gzip.Name))
	if err != nil {
		return err
	}
	for _, size := range []int{10, 1000, 1000000, 10} {
		if err := stream.Send(payloadOf(size)); err != nil {
			return err
		}
		reply, err := stream.Recv()
		if err != nil {
			return err
		}
		if !bytes.Equal(reply.Body, payloadOf(size).Body) {
			return errors.New("something else comes back")
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	_, err = stream.Recv()
	return expectEnd(err)
}

func health() error {
	ctx, cancel := patience()
	defer cancel()
	client := grpc_health_v1.NewHealthClient(conn)
	reply, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "greet.GreetService"})
	if err != nil {
		return err
	}
	if reply.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("status %v", reply.Status)
	}
	_, err = client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "no.Such"})
	return expectCode(codes.NotFound, err)
}

func manyStreamsOfOneConnection() error {
	ctx, cancel := patience()
	defer cancel()
	client := tutorial.NewNumberServiceClient(conn)
	var group sync.WaitGroup
	faults := make(chan error, 200)
	for n := int32(0); n < 200; n++ {
		group.Add(1)
		go func() {
			defer group.Done()
			stream, err := client.AccumulateNumbers(ctx)
			if err != nil {
				faults <- err
				return
			}
			for i := int32(1); i <= 50; i++ {
				if err := stream.Send(&tutorial.NumberRequest{Num: n}); err != nil {
					faults <- err
					return
				}
				reply, err := stream.Recv()
				if err != nil || reply.Sum != i*n {
					faults <- fmt.Errorf("stream %d at %d: %v %v", n, i, reply, err)
					return
				}
			}
			stream.CloseSend()
			if _, err := stream.Recv(); err != io.EOF {
				faults <- err
			}
		}()
	}
	group.Wait()
	select {
	case err := <-faults:
		return err
	default:
		return nil
	}
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: grpc-go ADDRESS")
	}
	address = os.Args[1]
	conn = connect()
	defer conn.Close()
	cases := []struct {
		name string
		run  func() error
	}{
		{"a unary greeting", unaryGreeting},
		{"a stream of greetings", greetingStream},
		{"five greetings joined with commas", fiveGreetingsJoined},
		{"five greetings in reply to one", fiveGreetingsInReply},
		{"the sums of 1 to 10", sumsOfOneToTen},
		{"a duplex chat with CloseSend and io.EOF", duplexChat},
		{"a subscriber that sends nothing gets headers", silentSubscriberGetsHeaders},
		{"log entries for a filter, then for another", filteredLogEntries},
		{"a deadline is kept", deadlineIsKept},
		{"a cancel reaches the handler", cancelReachesTheHandler(func(c interop.InteropClient) opener { return c.Wait })},
		{"a cancel reaches a handler that catches it",
			cancelReachesTheHandler(func(c interop.InteropClient) opener { return c.WaitStubbornly })},
		{"an error with details", errorWithDetails},
		{"an unknown method is Unimplemented", unknownMethod},
		{"big and binary metadata", bigMetadata},
		{"a message at the limit", messageAtTheLimit},
		{"a message over the limit is ResourceExhausted", messageOverTheLimit},
		{"compressed messages", compressedMessages},
		{"health checks", health},
		{"many streams of one connection", manyStreamsOfOneConnection},
	}
	passed, failed := 0, 0
	for _, c := range cases {
		if err := c.run(); err != nil {
			failed++
			fmt.Printf("not ok  grpc-go: %s: %v\n", c.name, err)
		} else {
			passed++
			fmt.Printf("ok      grpc-go: %s\n", c.name)
		}
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}
