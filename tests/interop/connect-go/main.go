// A connect-go client of the examples, in each of its three protocols, with messages in protobuf and in JSON, over both
// versions of HTTP, without and with TLS.
//
//	usage: connect-go ADDRESS TLS_ADDRESS CA
//
// Prints a line for each case and "N passed, N failed" at the end.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"tidewire.example/interop/connect-go/pb/greet"
	"tidewire.example/interop/connect-go/pb/greet/greetconnect"
	"tidewire.example/interop/connect-go/pb/interop"
	"tidewire.example/interop/connect-go/pb/interop/interopconnect"
)

const (
	patience = 20 * time.Second
	limit    = 4 << 20 // the gateway's limits.message
)

// way is one of the ways by which the same calls are made.
type way struct {
	name     string
	protocol string
	isHTTP2  bool
	client   connect.HTTPClient
	url      string
	options  []connect.ClientOption
}

func (w *way) greeter(more ...connect.ClientOption) greetconnect.GreetServiceClient {
	return greetconnect.NewGreetServiceClient(w.client, w.url, slices.Concat(w.options, more)...)
}

func (w *way) tester(more ...connect.ClientOption) interopconnect.InteropClient {
	return interopconnect.NewInteropClient(w.client, w.url, slices.Concat(w.options, more)...)
}

func timed() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

func expectCode(expected connect.Code, err error) error {
	if err == nil || connect.CodeOf(err) != expected {
		return fmt.Errorf("expected %v, got %v", expected, err)
	}
	return nil
}

func expect[T comparable](what string, expected, got T) error {
	if got != expected {
		return fmt.Errorf("%s: %v, expected %v", what, got, expected)
	}
	return nil
}

// ---- the four kinds of calls

func unary(w *way) error {
	ctx, cancel := timed()
	defer cancel()
	reply, err := w.greeter().Greet(ctx, connect.NewRequest(&greet.GreetRequest{Name: "“triple”"}))
	if err != nil {
		return err
	}
	return expect("greeting", "“triple”", reply.Msg.Greeting)
}

func serverStream(w *way) error {
	ctx, cancel := timed()
	defer cancel()
	stream, err := w.greeter().GreetServerStream(ctx, connect.NewRequest(&greet.GreetServerStreamRequest{Name: "triple"}))
	if err != nil {
		return err
	}
	defer stream.Close()
	count := 0
	for ; stream.Receive(); count++ {
		if err := expect("greeting", "triple", stream.Msg().Greeting); err != nil {
			return err
		}
	}
	return errors.Join(stream.Err(), expect("replies", 5, count))
}

func clientStream(w *way) error {
	ctx, cancel := timed()
	defer cancel()
	stream := w.greeter().GreetClientStream(ctx)
	for i := 0; i < 5; i++ {
		if err := stream.Send(&greet.GreetClientStreamRequest{Name: "triple"}); err != nil {
			return err
		}
	}
	reply, err := stream.CloseAndReceive()
	if err != nil {
		return err
	}
	return expect("greeting", "triple,triple,triple,triple,triple", reply.Msg.Greeting)
}

func bidi(w *way) error {
	ctx, cancel := timed()
	defer cancel()
	stream := w.greeter().GreetStream(ctx)
	for _, name := range []string{"a", "b", "c"} {
		if err := stream.Send(&greet.GreetStreamRequest{Name: name}); err != nil {
			return err
		}
		reply, err := stream.Receive()
		if err != nil {
			return err
		}
		if err := expect("greeting", name, reply.Greeting); err != nil {
			return err
		}
	}
	if err := stream.CloseRequest(); err != nil {
		return err
	}
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("expected the end, got %v", err)
	}
	return stream.CloseResponse()
}

// ---- what else a call has

var binary = []byte{0, 255, 1}

func checkEcho(header, trailer http.Header) error {
	got, err := connect.DecodeBinaryHeader(trailer.Get("X-Echo-Bin"))
	return errors.Join(err, expect("header", "one|two", strings.Join(header.Values("X-Echo"), "|")),
		expect("binary trailer", true, bytes.Equal(binary, got)))
}

func setEcho(header http.Header) {
	header.Add("X-Echo", "one")
	header.Add("X-Echo", "two")
	header.Set("X-Echo-Bin", connect.EncodeBinaryHeader(binary))
}

func metadata(w *way) error {
	ctx, cancel := timed()
	defer cancel()
	request := connect.NewRequest(&interop.Payload{Number: -7})
	setEcho(request.Header())
	reply, err := w.tester().Echo(ctx, request)
	if err != nil {
		return err
	}
	return errors.Join(expect("number", -7, reply.Msg.Number), checkEcho(reply.Header(), reply.Trailer()))
}

func metadataOfStream(w *way) error {
	ctx, cancel := timed()
	defer cancel()
	stream := w.tester().EchoStream(ctx)
	setEcho(stream.RequestHeader())
	if err := errors.Join(stream.Send(&interop.Payload{Number: 1}), stream.CloseRequest()); err != nil {
		return err
	}
	if _, err := stream.Receive(); err != nil {
		return err
	}
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("expected the end, got %v", err)
	}
	defer stream.CloseResponse()
	return checkEcho(stream.ResponseHeader(), stream.ResponseTrailer())
}

func errorDetails(w *way) error {
	ctx, cancel := timed()
	defer cancel()
	text := "not yet: 100 % ärger\n"
	_, err := w.tester().Fail(ctx, connect.NewRequest(&interop.Failure{Code: "FAILED_PRECONDITION", Text: text, Reason: "EARLY"}))
	if err := expectCode(connect.CodeFailedPrecondition, err); err != nil {
		return err
	}
	var failure *connect.Error
	errors.As(err, &failure)
	if failure.Message() != text || len(failure.Details()) != 1 {
		return fmt.Errorf("%d details of %q", len(failure.Details()), failure.Message())
	}
	value, err := failure.Details()[0].Value()
	if err != nil {
		return err
	}
	info, is := value.(*errdetails.ErrorInfo)
	if !is || info.Reason != "EARLY" || info.Domain != "interop" {
		return fmt.Errorf("detail %v", value)
	}
	return nil
}

func unknownMethod(w *way) error {
	ctx, cancel := timed()
	defer cancel()
	for _, path := range []string{"/interop.Interop/Nothing", "/no.Such/Method"} {
		client := connect.NewClient[interop.Payload, interop.Payload](w.client, w.url+path, w.options...)
		_, err := client.CallUnary(ctx, connect.NewRequest(&interop.Payload{}))
		if err := expectCode(connect.CodeUnimplemented, err); err != nil {
			return err
		}
	}
	return nil
}

func deadline(w *way) error {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	stream, err := w.tester().Wait(ctx, connect.NewRequest(&interop.Payload{}))
	if err != nil {
		return expectCode(connect.CodeDeadlineExceeded, err)
	}
	defer stream.Close()
	for stream.Receive() {
	}
	return expectCode(connect.CodeDeadlineExceeded, stream.Err())
}

func cancelling(w *way) error {
	ctx, cancel := timed()
	defer cancel()
	stream, err := w.tester().Wait(ctx, connect.NewRequest(&interop.Payload{Number: 3}))
	if err != nil {
		return err
	}
	defer stream.Close()
	if !stream.Receive() {
		return stream.Err()
	}
	cancel()
	if stream.Receive() {
		return errors.New("another reply")
	}
	return expectCode(connect.CodeCanceled, stream.Err())
}

func sizes(w *way) error {
	ctx, cancel := timed()
	defer cancel()
	for _, size := range []int{0, 1, 1000, 65536, 2 << 20} {
		reply, err := w.tester().Echo(ctx, connect.NewRequest(&interop.Payload{Body: bytes.Repeat([]byte("b"), size)}))
		if err != nil {
			return err
		}
		if err := expect("size", size, len(reply.Msg.Body)); err != nil {
			return err
		}
	}
	_, err := w.tester().Echo(ctx, connect.NewRequest(&interop.Payload{Body: make([]byte, limit)}))
	return expectCode(connect.CodeResourceExhausted, err)
}

func gzip(w *way) error {
	ctx, cancel := timed()
	defer cancel()
	body := bytes.Repeat([]byte("so much of it "), 10000)
	reply, err := w.tester(connect.WithSendGzip()).Echo(ctx, connect.NewRequest(&interop.Payload{Body: body}))
	if err != nil {
		return err
	}
	return expect("body", true, bytes.Equal(body, reply.Msg.Body))
}

func byGet(w *way) error {
	ctx, cancel := timed()
	defer cancel()
	request := connect.NewRequest(&interop.Payload{Body: binary, Number: 5})
	request.Header().Set("X-Echo", "one")
	reply, err := w.tester(connect.WithHTTPGet()).Look(ctx, request)
	if err != nil {
		return err
	}
	return errors.Join(expect("method", http.MethodGet, request.HTTPMethod()), expect("number", 5, reply.Msg.Number),
		expect("body", true, bytes.Equal(binary, reply.Msg.Body)), expect("header", "one", reply.Header().Get("X-Echo")))
}

type testCase struct {
	name string
	run  func(*way) error
}

var cases = []testCase{
	{"a unary greeting", unary},
	{"five greetings in reply to one", serverStream},
	{"five greetings joined with commas", clientStream},
	{"metadata both ways, binary too", metadata},
	{"an error with a message and details", errorDetails},
	{"a method that is not there", unknownMethod},
	{"a deadline", deadline},
	{"a call that is cancelled", cancelling},
	{"messages of every size", sizes},
	{"gzip both ways", gzip},
}

// Over HTTP/1.1 connect-go itself makes none of these.
var overHTTP2 = []testCase{
	{"greetings both ways, as they come", bidi},
	{"metadata of a stream both ways", metadataOfStream},
}

var ofConnect = []testCase{
	{"a method without side effects by GET", byGet},
}

// ---- the ways

func httpClient(isHTTP2 bool, roots *x509.CertPool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!isHTTP2)
	protocols.SetHTTP2(isHTTP2 && roots != nil)
	protocols.SetUnencryptedHTTP2(isHTTP2 && roots == nil)
	return &http.Client{Transport: &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{RootCAs: roots}}}
}

func waysOf(name, url string, isHTTP2 bool, client *http.Client) []*way {
	var ways []*way
	for _, protocol := range []string{"Connect", "gRPC-Web", "gRPC"} {
		if protocol == "gRPC" && !isHTTP2 {
			continue // it is not made for that
		}
		for _, codec := range []string{"", " as JSON"} {
			w := &way{name: protocol + codec + " over " + name, protocol: protocol, isHTTP2: isHTTP2, client: client, url: url}
			switch protocol {
			case "gRPC-Web":
				w.options = append(w.options, connect.WithGRPCWeb())
			case "gRPC":
				w.options = append(w.options, connect.WithGRPC())
			}
			if codec != "" {
				w.options = append(w.options, connect.WithProtoJSON())
			}
			ways = append(ways, w)
		}
	}
	return ways
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: connect-go ADDRESS TLS_ADDRESS CA")
	}
	authority, err := os.ReadFile(os.Args[3])
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(authority) {
		log.Fatalf("no certificate: %v", err)
	}
	ways := slices.Concat(
		waysOf("HTTP/1.1", "http://"+os.Args[1], false, httpClient(false, nil)),
		waysOf("HTTP/2", "http://"+os.Args[1], true, httpClient(true, nil)),
		waysOf("HTTP/1.1 and TLS", "https://"+os.Args[2], false, httpClient(false, roots)),
		waysOf("HTTP/2 and TLS", "https://"+os.Args[2], true, httpClient(true, roots)))

	passed, failed := 0, 0
	for _, w := range ways {
		all := cases
		if w.isHTTP2 {
			all = slices.Concat(all, overHTTP2)
		}
		if w.protocol == "Connect" {
			all = slices.Concat(all, ofConnect)
		}
		for _, c := range all {
			if err := c.run(w); err != nil {
				failed++
				fmt.Printf("not ok  connect-go, %s: %s: %v\n", w.name, c.name, err)
			} else {
				passed++
				fmt.Printf("ok      connect-go, %s: %s\n", w.name, c.name)
			}
		}
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}
