// Package design is a service as Goa's documentation of bidirectional streams designs it: a log monitor whose client may
// change its filter while entries flow. The other methods are the other three kinds that there are.
package design

import . "goa.design/goa/v3/dsl"

var LogFilter = Type("LogFilter", func() {
	Field(1, "minimum_level", Int, "This level or a higher one.", func() { Minimum(0) })
	Field(2, "component", String, "Exactly this component.")
	Field(3, "labels", MapOf(String, String), "The entry has all of these labels.")
	Required("minimum_level")
})

var LogEntry = Type("LogEntry", func() {
	Field(1, "number", Int64)
	Field(2, "level", Int)
	Field(3, "component", String)
	Field(4, "message", String)
	Field(5, "labels", MapOf(String, String))
	Field(6, "written_at", String, func() { Format(FormatDateTime) })
	Field(7, "checksum", Bytes)
	Field(8, "load", Float64)
	Required("number", "level", "message")
})

var Stored = Type("Stored", func() {
	Field(1, "count", UInt)
	Field(2, "numbers", ArrayOf(Int64))
	Required("count")
})

var _ = API("monitor", func() {
	Server("monitor", func() {
		Host("here", func() { URI("http://localhost") })
	})
})

var _ = Service("logger", func() {
	Error("no_such_entry", ErrorResult, func() { Temporary() })
	HTTP(func() { Response("no_such_entry", StatusNotFound) })
	GRPC(func() { Response("no_such_entry", CodeNotFound) })

	Method("monitor", func() {
		StreamingPayload(LogFilter)
		StreamingResult(LogEntry)
		HTTP(func() {
			GET("/logs/monitor")
			Response(StatusOK)
		})
		GRPC(func() {})
	})

	Method("recent", func() {
		Payload(func() {
			Field(1, "count", UInt)
			Field(2, "component", String)
			Required("count")
		})
		StreamingResult(LogEntry)
		HTTP(func() {
			GET("/logs/recent/{count}")
			Param("component")
			Response(StatusOK)
		})
		GRPC(func() {})
	})

	Method("store", func() {
		Payload(func() {
			Field(1, "source", String)
			Required("source")
		})
		StreamingPayload(LogEntry)
		Result(Stored)
		HTTP(func() {
			GET("/logs/store")
			Header("source:X-Source")
			Response(StatusOK)
		})
		GRPC(func() {
			Metadata(func() { Attribute("source:x-source") })
		})
	})

	Method("entry", func() {
		Payload(func() {
			Field(1, "number", Int64)
			Required("number")
		})
		Result(LogEntry)
		GRPC(func() {})
	})
})
