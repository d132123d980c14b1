package main

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"ferrpc.example/interop/grpc-go/gen/testingpb"
)

const (
	echoInitialKey  = "x-grpc-test-echo-initial"
	echoTrailingKey = "x-grpc-test-echo-trailing-bin"
)

// interopService is grpc.testing.TestService; UnimplementedCall stays with the embedded one.
type interopService struct {
	testingpb.UnimplementedTestServiceServer
}

func (interopService) EmptyCall(context.Context, *testingpb.Empty) (*testingpb.Empty, error) {
	return &testingpb.Empty{}, nil
}

func (interopService) UnaryCall(
	ctx context.Context, request *testingpb.SimpleRequest,
) (*testingpb.SimpleResponse, error) {
	if err := echoMetadata(ctx); err != nil {
		return nil, err
	}
	return answer(ctx, request)
}

func (interopService) CacheableUnaryCall(
	ctx context.Context, request *testingpb.SimpleRequest,
) (*testingpb.SimpleResponse, error) {
	return answer(ctx, request)
}

func (interopService) StreamingOutputCall(
	request *testingpb.StreamingOutputCallRequest,
	stream grpc.ServerStreamingServer[testingpb.StreamingOutputCallResponse],
) error {
	chooseCompressor(stream.Context(), compressedFirst(request))
	return respond(stream, request)
}

func (interopService) StreamingInputCall(
	stream grpc.ClientStreamingServer[
		testingpb.StreamingInputCallRequest, testingpb.StreamingInputCallResponse],
) error {
	var sum int32
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(
				&testingpb.StreamingInputCallResponse{AggregatedPayloadSize: sum})
		}
		if err != nil {
			return err
		}
		sum += int32(len(request.GetPayload().GetBody()))
	}
}

func (interopService) FullDuplexCall(
	stream grpc.BidiStreamingServer[
		testingpb.StreamingOutputCallRequest, testingpb.StreamingOutputCallResponse],
) error {
	if err := echoMetadata(stream.Context()); err != nil {
		return err
	}
	for first := true; ; first = false {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if first {
			chooseCompressor(stream.Context(), compressedFirst(request))
		}
		if err := respond(stream, request); err != nil {
			return err
		}
	}
}

func (interopService) HalfDuplexCall(
	stream grpc.BidiStreamingServer[
		testingpb.StreamingOutputCallRequest, testingpb.StreamingOutputCallResponse],
) error {
	var requests []*testingpb.StreamingOutputCallRequest
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		requests = append(requests, request)
	}
	chooseCompressor(stream.Context(), len(requests) > 0 && compressedFirst(requests[0]))
	for _, request := range requests {
		if err := respond(stream, request); err != nil {
			return err
		}
	}
	return nil
}

func answer(ctx context.Context, request *testingpb.SimpleRequest) (*testingpb.SimpleResponse, error) {
	if err := wantedStatus(request.GetResponseStatus()); err != nil {
		return nil, err
	}
	chooseCompressor(ctx, request.GetResponseCompressed().GetValue())
	payload, err := newPayload(request.GetResponseType(), request.GetResponseSize())
	if err != nil {
		return nil, err
	}
	return &testingpb.SimpleResponse{Payload: payload}, nil
}

// respond sends what one request asks for.
func respond(
	stream grpc.ServerStreamingServer[testingpb.StreamingOutputCallResponse],
	request *testingpb.StreamingOutputCallRequest,
) error {
	if err := wantedStatus(request.GetResponseStatus()); err != nil {
		return err
	}
	for _, parameters := range request.GetResponseParameters() {
		if err := pause(stream.Context(), parameters.GetIntervalUs()); err != nil {
			return err
		}
		payload, err := newPayload(request.GetResponseType(), parameters.GetSize())
		if err != nil {
			return err
		}
		if err := stream.Send(&testingpb.StreamingOutputCallResponse{Payload: payload}); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, microseconds int32) error {
	if microseconds <= 0 {
		return nil
	}
	select {
	case <-time.After(time.Duration(microseconds) * time.Microsecond):
		return nil
	case <-ctx.Done(): // an abandoned call must not hold its goroutine until the interval is over
		return status.FromContextError(ctx.Err()).Err()
	}
}

func newPayload(kind testingpb.PayloadType, size int32) (*testingpb.Payload, error) {
	if size < 0 || size > maxMessageSize {
		return nil, status.Errorf(codes.InvalidArgument, "no payload can have %d bytes", size)
	}
	return &testingpb.Payload{Type: kind, Body: make([]byte, size)}, nil
}

func wantedStatus(wanted *testingpb.EchoStatus) error {
	if wanted.GetCode() == 0 {
		return nil
	}
	return status.Error(codes.Code(wanted.GetCode()), wanted.GetMessage())
}

func echoMetadata(ctx context.Context) error {
	received, _ := metadata.FromIncomingContext(ctx)
	for _, value := range received.Get(echoInitialKey) {
		if err := grpc.SetHeader(ctx, metadata.Pairs(echoInitialKey, value)); err != nil {
			return err
		}
	}
	for _, value := range received.Get(echoTrailingKey) {
		if err := grpc.SetTrailer(ctx, metadata.Pairs(echoTrailingKey, value)); err != nil {
			return err
		}
	}
	return nil
}

// compressedFirst tells whether the first response is to be compressed. grpc-go settles compression
// for a whole stream, before its first message, so this one decides for those that follow.
func compressedFirst(request *testingpb.StreamingOutputCallRequest) bool {
	for _, parameters := range request.GetResponseParameters() {
		return parameters.GetCompressed().GetValue()
	}
	return false
}

// chooseCompressor overrides grpc-go's own choice, which is to answer a compressed request in kind.
func chooseCompressor(ctx context.Context, compressed bool) {
	name := encoding.Identity
	if compressed {
		name = gzip.Name
	}
	// It fails for a compressor that the client does not accept; the response then goes plain.
	if err := grpc.SetSendCompressor(ctx, name); err != nil {
		_ = grpc.SetSendCompressor(ctx, encoding.Identity)
	}
}
