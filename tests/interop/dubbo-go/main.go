// A dubbo-go client of the greeter, as the sample of Dubbo's documentation makes one, and the cases around it.
//
//	usage: dubbo-go ADDRESS REPLIES [TLS_ADDRESS CA GATEWAY]
//
// REPLIES is how many the greeter's server stream has. GATEWAY is the process that listens at ADDRESS, and at TLS_ADDRESS with
// a certificate of CA; the last case ends it. Without these only the sample's own calls are made.
// Prints a line for each case and "N passed, N failed" at the end.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/graceful_shutdown"
	"dubbo.apache.org/dubbo-go/v3/protocol/triple/triple_protocol"
	"dubbo.apache.org/dubbo-go/v3/tls"
	"github.com/dubbogo/gost/log/logger"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	// The parts of dubbo-go that such a client needs; its "imports" would bring every registry there is.
	_ "dubbo.apache.org/dubbo-go/v3/cluster/cluster/failover"
	_ "dubbo.apache.org/dubbo-go/v3/cluster/loadbalance/random"
	_ "dubbo.apache.org/dubbo-go/v3/filter/graceful_shutdown"
	_ "dubbo.apache.org/dubbo-go/v3/protocol/triple"
	_ "dubbo.apache.org/dubbo-go/v3/proxy/proxy_factory"

	"tidewire.example/interop/dubbo-go/pb/greet"
	"tidewire.example/interop/dubbo-go/pb/interop"
)

const patience = 20 * time.Second

var (
	replies int
	gateway int
	greeter *client.Connection
	json    *client.Connection // the greeter, with messages in JSON
	secure  *client.Connection // the greeter, over TLS
	tester  *client.Connection
	idle    *triple_protocol.BidiStreamForClient // opened first, used last: keepalive holds its connection
	opened  time.Time
)

// connect makes the connection that code generated for this service would make.
func connect(address, service string, options []client.ClientOption, methods ...string) *client.Connection {
	cli, err := client.NewClient(append(options, client.WithClientURL("tri://"+address))...)
	if err != nil {
		log.Fatal(err)
	}
	conn, err := cli.DialWithInfo(service, &client.ClientInfo{InterfaceName: service, MethodNames: methods})
	if err != nil {
		log.Fatal(err)
	}
	return conn
}

func timed() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

func bidi(ctx context.Context, conn *client.Connection, method string) (*triple_protocol.BidiStreamForClient, error) {
	stream, err := conn.CallBidiStream(ctx, method)
	if err != nil {
		return nil, err
	}
	return stream.(*triple_protocol.BidiStreamForClient), nil
}

func expectCode(expected triple_protocol.Code, err error) error {
	if err == nil || triple_protocol.CodeOf(err) != expected {
		return fmt.Errorf("expected %v, got %v", expected, err)
	}
	return nil
}

func expectGreeting(expected, greeting string) error {
	if greeting != expected {
		return fmt.Errorf("greeting %q", greeting)
	}
	return nil
}

// ---- the sample

func unaryGreeting() error {
	reply := new(greet.GreetResponse)
	if err := greeter.CallUnary(context.Background(), []any{&greet.GreetRequest{Name: "triple"}}, reply, "Greet"); err != nil {
		return err
	}
	return expectGreeting("triple", reply.Greeting)
}

// exchange has one name answered.
func exchange(stream *triple_protocol.BidiStreamForClient, name string) error {
	if err := stream.Send(&greet.GreetStreamRequest{Name: name}); err != nil {
		return err
	}
	reply := new(greet.GreetStreamResponse)
	if err := stream.Receive(reply); err != nil {
		return err
	}
	return expectGreeting(name, reply.Greeting)
}

func greetingStream() error {
	stream, err := bidi(context.Background(), greeter, "GreetStream")
	if err != nil {
		return err
	}
	for i := 1; i <= 3; i++ {
		if err := exchange(stream, fmt.Sprintf("triple-%d", i)); err != nil {
			return err
		}
	}
	if err := stream.CloseRequest(); err != nil {
		return err
	}
	return stream.CloseResponse()
}

func greetingStreamToItsEnd() error {
	ctx, cancel := timed()
	defer cancel()
	stream, err := bidi(ctx, greeter, "GreetStream")
	if err != nil {
		return err
	}
	if err := exchange(stream, "triple"); err != nil {
		return err
	}
	if err := stream.CloseRequest(); err != nil {
		return err
	}
	if err := stream.Receive(new(greet.GreetStreamResponse)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("expected the end, got %v", err)
	}
	return stream.CloseResponse()
}

func fiveGreetingsJoined() error {
	opened, err := greeter.CallClientStream(context.Background(), "GreetClientStream")
	if err != nil {
		return err
	}
	stream := opened.(*triple_protocol.ClientStreamForClient)
	for i := 0; i < 5; i++ {
		if err := stream.Send(&greet.GreetClientStreamRequest{Name: "triple"}); err != nil {
			return err
		}
	}
	reply := new(greet.GreetClientStreamResponse)
	if err := stream.CloseAndReceive(triple_protocol.NewResponse(reply)); err != nil {
		return err
	}
	return expectGreeting("triple,triple,triple,triple,triple", reply.Greeting)
}

func greetingsInReply() error {
	opened, err := greeter.CallServerStream(context.Background(), &greet.GreetServerStreamRequest{Name: "triple"}, "GreetServerStream")
	if err != nil {
		return err
	}
	stream := opened.(*triple_protocol.ServerStreamForClient)
	count := 0
	for ; stream.Receive(new(greet.GreetServerStreamResponse)); count++ {
		if err := expectGreeting("triple", stream.Msg().(*greet.GreetServerStreamResponse).Greeting); err != nil {
			return err
		}
	}
	if stream.Err() != nil {
		return stream.Err()
	}
	if count != replies {
		return fmt.Errorf("%d replies, expected %d", count, replies)
	}
	return stream.Close()
}

// ---- what else a call has

func messagesInJSON() error {
	reply := new(greet.GreetResponse)
	if err := json.CallUnary(context.Background(), []any{&greet.GreetRequest{Name: "“triple”"}}, reply, "Greet"); err != nil {
		return err
	}
	if err := expectGreeting("“triple”", reply.Greeting); err != nil {
		return err
	}
	stream, err := bidi(context.Background(), json, "GreetStream")
	if err != nil {
		return err
	}
	if err := errors.Join(exchange(stream, "one"), exchange(stream, "two"), stream.CloseRequest()); err != nil {
		return err
	}
	return stream.CloseResponse()
}

func errorDetails() error {
	request := &interop.Failure{Code: "NOT_FOUND", Text: "no such “thing”", Reason: "why"}
	err := tester.CallUnary(context.Background(), []any{request}, new(interop.Payload), "Fail")
	if fault := expectCode(triple_protocol.CodeNotFound, err); fault != nil {
		return fault
	}
	var failure *triple_protocol.Error
	if !errors.As(err, &failure) || failure.Message() != request.Text {
		return fmt.Errorf("message %v", err)
	}
	for _, detail := range failure.Details() {
		value, err := detail.Value()
		if err != nil {
			return err
		}
		if info, is := value.(*errdetails.ErrorInfo); is && info.Reason == "why" {
			return nil
		}
	}
	return fmt.Errorf("no such detail among %d", len(failure.Details()))
}

func unknownMethod() error {
	err := greeter.CallUnary(context.Background(), []any{&greet.GreetRequest{}}, new(greet.GreetResponse), "Nothing")
	return expectCode(triple_protocol.CodeUnimplemented, err)
}

func metadata() error {
	ctx, cancel := timed()
	defer cancel()
	data := triple_protocol.EncodeBinaryHeader([]byte{0, 1, 255})
	ctx = triple_protocol.AppendToOutgoingContext(ctx, "x-echo", "one", "x-echo", "two", "x-echo-bin", data)
	stream, err := bidi(ctx, tester, "EchoStream")
	if err != nil {
		return err
	}
	if err := stream.Send(&interop.Payload{Number: 1}); err != nil {
		return err
	}
	if err := stream.Receive(new(interop.Payload)); err != nil {
		return err
	}
	if err := stream.CloseRequest(); err != nil {
		return err
	}
	if err := stream.Receive(new(interop.Payload)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("expected the end, got %v", err)
	}
	if got := stream.ResponseHeader().Values("x-echo"); strings.Join(got, "|") != "one|two" {
		return fmt.Errorf("headers %q", got)
	}
	got, err := triple_protocol.DecodeBinaryHeader(stream.ResponseTrailer().Get("x-echo-bin"))
	if err != nil || !bytes.Equal(got, []byte{0, 1, 255}) {
		return fmt.Errorf("trailer %v, %v", got, err)
	}
	return stream.CloseResponse()
}

func metadataOfUnary() error {
	ctx := context.WithValue(context.Background(), constant.AttachmentKey, map[string]any{"x-echo": "attached"})
	header := http.Header{}
	reply := new(interop.Payload)
	err := tester.CallUnary(ctx, []any{&interop.Payload{Number: 7}}, reply, "Echo", client.WithResponseHeader(&header))
	if err != nil {
		return err
	}
	if reply.Number != 7 || header.Get("x-echo") != "attached" {
		return fmt.Errorf("number %d, headers %v", reply.Number, header)
	}
	return nil
}

func largeMessage() error {
	body := bytes.Repeat([]byte("tide"), 1<<20-100)
	reply := new(interop.Payload)
	if err := tester.CallUnary(context.Background(), []any{&interop.Payload{Body: body}}, reply, "Echo"); err != nil {
		return err
	}
	if !bytes.Equal(reply.Body, body) {
		return fmt.Errorf("%d bytes came back", len(reply.Body))
	}
	return nil
}

func deadline() error {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	opened, err := tester.CallServerStream(ctx, &interop.Payload{}, "Wait")
	if err != nil {
		return err
	}
	stream := opened.(*triple_protocol.ServerStreamForClient)
	for stream.Receive(new(interop.Payload)) {
	}
	defer stream.Close()
	// The client's own clock may be the first, and then says it in words of its own.
	if err := stream.Err(); !errors.Is(err, context.DeadlineExceeded) {
		return expectCode(triple_protocol.CodeDeadlineExceeded, err)
	}
	return nil
}

func cancelling() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	opened, err := tester.CallServerStream(ctx, &interop.Payload{}, "Wait")
	if err != nil {
		return err
	}
	stream := opened.(*triple_protocol.ServerStreamForClient)
	if !stream.Receive(new(interop.Payload)) {
		return stream.Err()
	}
	cancel()
	if stream.Receive(new(interop.Payload)) {
		return errors.New("another reply")
	}
	defer stream.Close()
	return expectCode(triple_protocol.CodeCanceled, stream.Err())
}

// ---- the connection

// Its PINGs begin after ten seconds without a word from the gateway.
func idleStream() error {
	if rest := 11*time.Second - time.Since(opened); rest > 0 {
		time.Sleep(rest)
	}
	return exchange(idle, "awake")
}

// The client watches the health of what it calls, and has to hear that the gateway goes while its calls still end well.
func healthWatch() error {
	if err := syscall.Kill(gateway, syscall.SIGTERM); err != nil {
		return err
	}
	for until := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if graceful_shutdown.DefaultClosingAckStats()["triple-health-watch"].Received > 0 {
			break
		}
		if time.Now().After(until) {
			return errors.New("the client's Watch said nothing")
		}
	}
	if err := exchange(idle, "still here"); err != nil {
		return err
	}
	if err := idle.CloseRequest(); err != nil {
		return err
	}
	if err := idle.Receive(new(greet.GreetStreamResponse)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("expected the end, got %v", err)
	}
	return idle.CloseResponse()
}

type testCase struct {
	name string
	run  func() error
}

var sample = []testCase{
	{"a unary greeting", unaryGreeting},
	{"three greetings in a stream of both directions, which the client leaves", greetingStream},
	{"a stream of both directions, to its end", greetingStreamToItsEnd},
	{"five names joined", fiveGreetingsJoined},
	{"as many greetings in reply to one as the example is to give", greetingsInReply},
}

var rest = []testCase{
	{"messages in JSON", messagesInJSON},
	{"an error with a message and details", errorDetails},
	{"a method that the gateway does not know", unknownMethod},
	{"metadata of a stream, both ways", metadata},
	{"metadata of a unary call, both ways", metadataOfUnary},
	{"a message of nearly 4 MiB, both ways", largeMessage},
	{"a deadline", deadline},
	{"a call that is cancelled", cancelling},
	{"a stream that was idle beyond the client's keepalive", idleStream},
	{"the health Watch, and a stream that ends well, while the gateway drains", healthWatch},
}

// overTLS makes the same calls by the other connection.
func overTLS(c testCase) testCase {
	return testCase{c.name + ", over TLS", func() error {
		plain := greeter
		greeter = secure
		defer func() { greeter = plain }()
		return c.run()
	}}
}

func main() {
	if len(os.Args) != 3 && len(os.Args) != 6 {
		log.Fatal("usage: dubbo-go ADDRESS REPLIES [TLS_ADDRESS CA GATEWAY]")
	}
	replies, _ = strconv.Atoi(os.Args[2])
	logger.SetLoggerLevel("fatal")
	methods := []string{"Greet", "GreetStream", "GreetClientStream", "GreetServerStream", "Nothing"}
	greeter = connect(os.Args[1], "greet.GreetService", nil, methods...)
	cases := sample
	if len(os.Args) == 6 {
		gateway, _ = strconv.Atoi(os.Args[5])
		trust := client.WithClientTLSOption(tls.WithCACertFile(os.Args[4]), tls.WithServerName("greeter.example"))
		secure = connect(os.Args[3], "greet.GreetService", []client.ClientOption{trust}, methods...)
		json = connect(os.Args[1], "greet.GreetService", []client.ClientOption{client.WithClientSerializationJSON()}, methods...)
		tester = connect(os.Args[1], "interop.Interop", nil, "Echo", "EchoStream", "Fail", "Wait")
		var err error
		opened = time.Now()
		if idle, err = bidi(context.Background(), greeter, "GreetStream"); err == nil {
			err = exchange(idle, "good night")
		}
		if err != nil {
			log.Fatal(err)
		}
		for _, c := range sample {
			cases = append(cases, overTLS(c))
		}
		cases = append(cases, rest...)
	}

	passed, failed := 0, 0
	for _, c := range cases {
		if err := c.run(); err != nil {
			failed++
			fmt.Printf("not ok  %s: %v\n", c.name, err)
		} else {
			passed++
			fmt.Printf("ok      %s\n", c.name)
		}
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}
