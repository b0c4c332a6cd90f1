// The client that Goa generates from the design beside it: the exchange that its documentation shows, and the other kinds.
//
//	usage: goa-client grpc ADDRESS
//	       goa-client websocket ADDRESS
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
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	goahttp "goa.design/goa/v3/http"
	goa "goa.design/goa/v3/pkg"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	grpcclient "tidewire.example/interop/goa/gen/grpc/logger/client"
	httpclient "tidewire.example/interop/goa/gen/http/logger/client"
	"tidewire.example/interop/goa/gen/logger"
)

const patience = 20 * time.Second

var client *logger.Client

func timed() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

func expect[T comparable](what string, expected, got T) error {
	if got != expected {
		return fmt.Errorf("%s: %v, expected %v", what, got, expected)
	}
	return nil
}

func expectDesigned(err error, text string) error {
	var designed *goa.ServiceError
	if !errors.As(err, &designed) {
		return fmt.Errorf("no error of the design: %v", err)
	}
	return errors.Join(expect("name", "no_such_entry", designed.Name), expect("message", text, designed.Message),
		expect("temporary", true, designed.Temporary))
}

// checkEntry: every kind of attribute has come through, and the negative numbers of zigzag.
func checkEntry(number int64, entry *logger.LogEntry) error {
	if entry.Component == nil || entry.WrittenAt == nil || entry.Load == nil {
		return fmt.Errorf("attributes are missing: %+v", entry)
	}
	distance := max(number, -number)
	return errors.Join(
		expect("number", number, entry.Number),
		expect("level", int(distance%5), entry.Level),
		expect("component", []string{"cache", "http", "database"}[distance%3], *entry.Component),
		expect("message", fmt.Sprintf("entry “%d”", number), entry.Message),
		expect("label", []string{"even", "odd"}[distance%2], entry.Labels["parity"]),
		expect("time", fmt.Sprintf("2026-01-02T03:04:%02dZ", distance%60), *entry.WrittenAt),
		expect("checksum", true, bytes.Equal(entry.Checksum, []byte{0, 255, byte(distance)})),
		expect("load", float64(number)/4, *entry.Load))
}

// monitor is the exchange of Goa's documentation: entries arrive on their own, while the client changes its filter.
func monitor() error {
	ctx, cancel := timed()
	defer cancel()
	stream, err := client.Monitor(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	entries, ended := make(chan *logger.LogEntry), make(chan error, 1)
	go func() {
		for {
			entry, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			select {
			case entries <- entry:
			case <-ctx.Done():
				return
			}
		}
	}()
	next := func() (*logger.LogEntry, error) {
		select {
		case entry := <-entries:
			return entry, checkEntry(entry.Number, entry)
		case err := <-ended:
			return nil, fmt.Errorf("the stream ended: %v", err)
		}
	}

	if err := stream.Send(&logger.LogFilter{MinimumLevel: 3}); err != nil {
		return err
	}
	for i := 0; i < 10; i++ {
		if entry, err := next(); err != nil || entry.Level < 3 {
			return fmt.Errorf("entry %+v, %v", entry, err)
		}
	}
	component := "database"
	filter := &logger.LogFilter{Component: &component, Labels: map[string]string{"parity": "odd"}}
	if err := stream.Send(filter); err != nil {
		return err
	}
	matches := func(entry *logger.LogEntry) bool {
		return *entry.Component == component && entry.Labels["parity"] == "odd"
	}
	// What the first filter let through may still be on its way; once an entry could not have passed it, none is.
	for {
		entry, err := next()
		if err != nil {
			return err
		}
		if entry.Level < 3 {
			if !matches(entry) {
				return fmt.Errorf("neither filter lets this through: %+v", entry)
			}
			break
		}
	}
	for i := 0; i < 10; i++ {
		if entry, err := next(); err != nil || !matches(entry) {
			return fmt.Errorf("entry %+v, %v", entry, err)
		}
	}
	return nil
}

// monitorToItsEnd: what was sent before the client's Close is still answered, then the stream ends.
func monitorToItsEnd() error {
	ctx, cancel := timed()
	defer cancel()
	stream, err := client.Monitor(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(&logger.LogFilter{}); err != nil {
		return err
	}
	if entry, err := stream.Recv(); err != nil || entry.Number != 1 {
		return fmt.Errorf("entry %+v, %v", entry, err)
	}
	if err := stream.Close(); err != nil {
		return err
	}
	for {
		if _, err := stream.Recv(); err != nil {
			return expect("the end", io.EOF, err)
		}
	}
}

func recent() error {
	ctx, cancel := timed()
	defer cancel()
	stream, err := client.Recent(ctx, &logger.RecentPayload{Count: 130})
	if err != nil {
		return err
	}
	for number := int64(0); number > -130; number-- {
		entry, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := checkEntry(number, entry); err != nil {
			return err
		}
	}
	_, err = stream.Recv()
	return expect("the end", io.EOF, err)
}

func recentOfNone() error {
	ctx, cancel := timed()
	defer cancel()
	component := "nobody’s & co?"
	stream, err := client.Recent(ctx, &logger.RecentPayload{Count: 10, Component: &component})
	if err != nil {
		return err
	}
	_, err = stream.Recv()
	return expect("the end", io.EOF, err)
}

func recentOfTooMany() error {
	ctx, cancel := timed()
	defer cancel()
	stream, err := client.Recent(ctx, &logger.RecentPayload{Count: 1001})
	if err == nil {
		_, err = stream.Recv()
	}
	return expectDesigned(err, "there are no 1001 entries")
}

func store() error {
	ctx, cancel := timed()
	defer cancel()
	stream, err := client.Store(ctx, &logger.StorePayload{Source: "interop"})
	if err != nil {
		return err
	}
	numbers := []int64{1, -1, 1 << 40, -1 << 40}
	for _, number := range numbers {
		if err := stream.Send(&logger.LogEntry{Number: number, Message: "kept"}); err != nil {
			return err
		}
	}
	stored, err := stream.CloseAndRecv()
	if err != nil {
		return err
	}
	return errors.Join(expect("count", 4, stored.Count), expect("numbers", true, slices.Equal(stored.Numbers, numbers)))
}

func storeLarge() error {
	ctx, cancel := timed()
	defer cancel()
	stream, err := client.Store(ctx, &logger.StorePayload{Source: "interop"})
	if err != nil {
		return err
	}
	message := strings.Repeat("long, ", 500_000)
	if err := stream.Send(&logger.LogEntry{Number: 3, Message: message}); err != nil {
		return err
	}
	stored, err := stream.CloseAndRecv()
	if err != nil {
		return err
	}
	return expect("count", 1, stored.Count)
}

func entry() error {
	ctx, cancel := timed()
	defer cancel()
	found, err := client.Entry(ctx, &logger.EntryPayload{Number: -7})
	if err != nil {
		return err
	}
	return checkEntry(-7, found)
}

func noEntry() error {
	ctx, cancel := timed()
	defer cancel()
	_, err := client.Entry(ctx, &logger.EntryPayload{Number: 404})
	return expectDesigned(err, "there is no entry 404")
}

type testCase struct {
	name string
	run  func() error
}

var streams = []testCase{
	{"entries flow while the filter changes", monitor},
	{"many entries in reply to one payload", recent},
	{"none in reply to one payload", recentOfNone},
	{"one result of many entries", store},
	{"one result of a large entry", storeLarge},
}

var designedErrors = testCase{"an error of the design in place of a stream", recentOfTooMany}

// Over WebSocket the client's Close of a stream of both directions closes the connection behind its last word.
var overGrpc = []testCase{
	{"a stream of both directions, to its end", monitorToItsEnd},
	{"a unary call", entry},
	{"an error of the design", noEntry},
}

func connectGrpc(address string) *logger.Client {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	c := grpcclient.NewClient(conn)
	return logger.NewClient(c.Monitor(), c.Recent(), c.Store(), c.Entry())
}

// connectWebsocket: what Goa's HTTP client makes of a method that streams. It has no Entry.
func connectWebsocket(address string) *logger.Client {
	c := httpclient.NewClient("http", address, http.DefaultClient, goahttp.RequestEncoder, goahttp.ResponseDecoder, false,
		websocket.DefaultDialer, nil)
	return logger.NewClient(c.Monitor(), c.Recent(), c.Store(), nil)
}

func main() {
	if len(os.Args) != 3 || (os.Args[1] != "grpc" && os.Args[1] != "websocket") {
		log.Fatal("usage: goa-client grpc|websocket ADDRESS")
	}
	cases := append(streams, designedErrors)
	if os.Args[1] == "grpc" {
		client = connectGrpc(os.Args[2])
		cases = append(cases, overGrpc...)
	} else {
		client = connectWebsocket(os.Args[2])
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
