package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"ferrpc.example/interop/grpc-go/gen/testingpb"
)

const (
	initialValue  = "test_initial_metadata_value"
	trailingValue = "\xab\xab\xab"

	specialMessage = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
)

func customMetadata(ctx context.Context, client caseClient) error {
	ctx = metadata.AppendToOutgoingContext(ctx,
		echoInitialKey, initialValue, echoTrailingKey, trailingValue)

	var header, trailer metadata.MD
	request := simpleRequest(largeRequestSize, largeResponseSize)
	err := unaryOfSizes(ctx, client, request, grpc.Header(&header), grpc.Trailer(&trailer))
	if err == nil {
		err = checkEcho(header, trailer)
	}
	if err != nil {
		return fmt.Errorf("UnaryCall: %w", err)
	}

	stream, err := client.FullDuplexCall(ctx)
	if err == nil {
		err = exchange(stream, streamRequest(largeRequestSize, largeResponseSize))
	}
	if err == nil {
		err = finish(stream)
	}
	if err == nil {
		header, err = stream.Header()
	}
	if err == nil {
		err = checkEcho(header, stream.Trailer())
	}
	if err != nil {
		return fmt.Errorf("FullDuplexCall: %w", err)
	}
	return nil
}

func checkEcho(header, trailer metadata.MD) error {
	if got := header.Get(echoInitialKey); !slices.Equal(got, []string{initialValue}) {
		return fmt.Errorf("initial metadata %s is %q", echoInitialKey, got)
	}
	if got := trailer.Get(echoTrailingKey); !slices.Equal(got, []string{trailingValue}) {
		return fmt.Errorf("trailing metadata %s is %q", echoTrailingKey, got)
	}
	return nil
}

func statusCodeAndMessage(ctx context.Context, client caseClient) error {
	wanted := &testingpb.EchoStatus{Code: int32(codes.Unknown), Message: "test status message"}
	if err := unaryStatus(ctx, client, wanted); err != nil {
		return fmt.Errorf("UnaryCall: %w", err)
	}
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	request := &testingpb.StreamingOutputCallRequest{ResponseStatus: wanted}
	if err := stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	_, err = stream.Recv()
	if err := checkStatus(err, wanted); err != nil {
		return fmt.Errorf("FullDuplexCall: %w", err)
	}
	return nil
}

func specialStatusMessage(ctx context.Context, client caseClient) error {
	return unaryStatus(ctx, client,
		&testingpb.EchoStatus{Code: int32(codes.Unknown), Message: specialMessage})
}

func unimplementedMethod(ctx context.Context, client caseClient) error {
	_, err := client.UnimplementedCall(ctx, &testingpb.Empty{})
	return checkCode(err, codes.Unimplemented)
}

func unimplementedService(ctx context.Context, client caseClient) error {
	_, err := client.unimplemented.UnimplementedCall(ctx, &testingpb.Empty{})
	return checkCode(err, codes.Unimplemented)
}

func cancelAfterBegin(ctx context.Context, client caseClient) error {
	callContext, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.StreamingInputCall(callContext)
	if err != nil {
		return err
	}
	cancel()
	_, err = stream.CloseAndRecv()
	if err := checkCode(err, codes.Canceled); err != nil {
		return err
	}
	return stillServed(ctx, client)
}

func cancelAfterFirstResponse(ctx context.Context, client caseClient) error {
	callContext, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.FullDuplexCall(callContext)
	if err != nil {
		return err
	}
	if err := exchange(stream, streamRequest(streamRequestSizes[0], streamResponseSizes[0])); err != nil {
		return err
	}
	cancel()
	_, err = stream.Recv()
	if err := checkCode(err, codes.Canceled); err != nil {
		return err
	}
	return stillServed(ctx, client)
}

func timeoutOnSleepingServer(ctx context.Context, client caseClient) error {
	// One millisecond is what the description says, and may be over before the server has seen the
	// call; the other is long enough for the server to be asleep in it.
	for _, timeout := range []time.Duration{time.Millisecond, 100 * time.Millisecond} {
		if err := timeOut(ctx, client, timeout); err != nil {
			return fmt.Errorf("timeout of %v: %w", timeout, err)
		}
	}
	return stillServed(ctx, client)
}

func timeOut(ctx context.Context, client caseClient, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		return checkCode(err, codes.DeadlineExceeded)
	}
	request := streamRequest(streamRequestSizes[0], streamResponseSizes[0])
	request.ResponseParameters[0].IntervalUs = 10_000_000
	if err := stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
		return checkCode(err, codes.DeadlineExceeded)
	}
	_, err = stream.Recv()
	return checkCode(err, codes.DeadlineExceeded)
}

// stillServed makes sure that there was a server at all, as an end that the client made itself does
// not show, and that the connection outlived that end.
func stillServed(ctx context.Context, client caseClient) error {
	if _, err := client.EmptyCall(ctx, &testingpb.Empty{}); err != nil {
		return fmt.Errorf("the call after it: %w", err)
	}
	return nil
}

func unaryStatus(ctx context.Context, client caseClient, wanted *testingpb.EchoStatus) error {
	_, err := client.UnaryCall(ctx, &testingpb.SimpleRequest{ResponseStatus: wanted})
	return checkStatus(err, wanted)
}

func checkStatus(err error, wanted *testingpb.EchoStatus) error {
	if err := checkCode(err, codes.Code(wanted.GetCode())); err != nil {
		return err
	}
	if got := status.Convert(err).Message(); got != wanted.GetMessage() {
		return fmt.Errorf("the message is %q, not %q", got, wanted.GetMessage())
	}
	return nil
}

func checkCode(err error, want codes.Code) error {
	if got := status.Code(err); got != want {
		return fmt.Errorf("the status is %v (%v), not %v", got, err, want)
	}
	return nil
}
