package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"ferrpc.example/interop/grpc-go/gen/testingpb"
)

type interopCase struct {
	name string
	run  func(context.Context, caseClient) error
}

// allCases is in the order of ../README.md.
var allCases = []interopCase{
	{"empty_unary", emptyUnary},
	{"large_unary", largeUnary},
	{"client_streaming", clientStreaming},
	{"server_streaming", serverStreaming},
	{"ping_pong", pingPong},
	{"empty_stream", emptyStream},
	{"custom_metadata", customMetadata},
	{"status_code_and_message", statusCodeAndMessage},
	{"special_status_message", specialStatusMessage},
	{"unimplemented_method", unimplementedMethod},
	{"unimplemented_service", unimplementedService},
	{"cancel_after_begin", cancelAfterBegin},
	{"cancel_after_first_response", cancelAfterFirstResponse},
	{"timeout_on_sleeping_server", timeoutOnSleepingServer},
	{"big_unary", bigUnary},
	{"many_messages", manyMessages},
	{"gzip", gzipBothWays},
}

const (
	largeRequestSize  = 271828
	largeResponseSize = 314159
)

var (
	streamRequestSizes  = []int{27182, 8, 1828, 45904}
	streamResponseSizes = []int{31415, 9, 2653, 58979}
)

type duplexStream = grpc.BidiStreamingClient[
	testingpb.StreamingOutputCallRequest, testingpb.StreamingOutputCallResponse]

func emptyUnary(ctx context.Context, client caseClient) error {
	_, err := client.EmptyCall(ctx, &testingpb.Empty{})
	return err
}

func largeUnary(ctx context.Context, client caseClient) error {
	return unaryOfSizes(ctx, client, simpleRequest(largeRequestSize, largeResponseSize))
}

func clientStreaming(ctx context.Context, client caseClient) error {
	return sumOf(ctx, client, streamRequestSizes, 74922)
}

func serverStreaming(ctx context.Context, client caseClient) error {
	return outputOf(ctx, client, streamResponseSizes)
}

func pingPong(ctx context.Context, client caseClient) error {
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	for i, size := range streamResponseSizes {
		if err := exchange(stream, streamRequest(streamRequestSizes[i], size)); err != nil {
			return fmt.Errorf("exchange %d: %w", i, err)
		}
	}
	return finish(stream)
}

func emptyStream(ctx context.Context, client caseClient) error {
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	return finish(stream)
}

func unaryOfSizes(
	ctx context.Context, client caseClient, request *testingpb.SimpleRequest,
	options ...grpc.CallOption,
) error {
	response, err := client.UnaryCall(ctx, request, options...)
	if err != nil {
		return err
	}
	return checkSize(response.GetPayload(), int(request.GetResponseSize()))
}

func sumOf(ctx context.Context, client caseClient, sizes []int, want int32) error {
	stream, err := client.StreamingInputCall(ctx)
	if err != nil {
		return err
	}
	for _, size := range sizes {
		request := &testingpb.StreamingInputCallRequest{Payload: zeros(size)}
		// A failed Send says io.EOF; the reason comes from CloseAndRecv.
		if err := stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	response, err := stream.CloseAndRecv()
	if err != nil {
		return err
	}
	if got := response.GetAggregatedPayloadSize(); got != want {
		return fmt.Errorf("the sum is %d, not %d", got, want)
	}
	return nil
}

func outputOf(ctx context.Context, client caseClient, sizes []int) error {
	stream, err := client.StreamingOutputCall(ctx, streamRequest(0, sizes...))
	if err != nil {
		return err
	}
	for i, size := range sizes {
		if err := receive(stream, size); err != nil {
			return fmt.Errorf("response %d: %w", i, err)
		}
	}
	return expectEnd(stream)
}

// exchange sends request and wants its one response before anything else is sent.
func exchange(stream duplexStream, request *testingpb.StreamingOutputCallRequest) error {
	if err := stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return receive(stream, int(request.GetResponseParameters()[0].GetSize()))
}

func receive(
	stream grpc.ServerStreamingClient[testingpb.StreamingOutputCallResponse], size int,
) error {
	response, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return errors.New("the stream ended before the response")
	}
	if err != nil {
		return err
	}
	return checkSize(response.GetPayload(), size)
}

// finish half-closes; the server has nothing more to say but OK.
func finish(stream duplexStream) error {
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return expectEnd(stream)
}

func expectEnd(stream grpc.ServerStreamingClient[testingpb.StreamingOutputCallResponse]) error {
	_, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.New("a response too many")
}

func simpleRequest(size, responseSize int) *testingpb.SimpleRequest {
	return &testingpb.SimpleRequest{ResponseSize: int32(responseSize), Payload: zeros(size)}
}

func streamRequest(size int, responseSizes ...int) *testingpb.StreamingOutputCallRequest {
	request := &testingpb.StreamingOutputCallRequest{Payload: zeros(size)}
	for _, responseSize := range responseSizes {
		request.ResponseParameters = append(request.ResponseParameters,
			&testingpb.ResponseParameters{Size: int32(responseSize)})
	}
	return request
}

func zeros(size int) *testingpb.Payload {
	return &testingpb.Payload{Body: make([]byte, size)}
}

func checkSize(payload *testingpb.Payload, want int) error {
	if got := len(payload.GetBody()); got != want {
		return fmt.Errorf("a payload of %d bytes, not %d", got, want)
	}
	return nil
}
