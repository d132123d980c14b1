package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"

	"ferrpc.example/interop/grpc-go/gen/testingpb"
)

const (
	bigSize    = 4<<20 - 64
	manyCount  = 10_000
	manySize   = 8
	gzipSize   = 100_000
	gzipRounds = 3
)

func bigUnary(ctx context.Context, client caseClient) error {
	return unaryOfSizes(ctx, client, simpleRequest(bigSize, bigSize))
}

func manyMessages(ctx context.Context, client caseClient) error {
	if err := manyBothWays(ctx, client); err != nil {
		return fmt.Errorf("FullDuplexCall: %w", err)
	}
	sizes := slices.Repeat([]int{manySize}, manyCount)
	if err := sumOf(ctx, client, sizes, manyCount*manySize); err != nil {
		return fmt.Errorf("StreamingInputCall: %w", err)
	}
	if err := outputOf(ctx, client, sizes); err != nil {
		return fmt.Errorf("StreamingOutputCall: %w", err)
	}
	return nil
}

func manyBothWays(ctx context.Context, client caseClient) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // also ends the sender when a response is wrong
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() { sent <- sendMany(stream) }()
	for i := range manyCount {
		if err := receive(stream, manySize); err != nil {
			return fmt.Errorf("response %d: %w", i, err)
		}
	}
	if err := <-sent; err != nil {
		return err
	}
	return expectEnd(stream)
}

func sendMany(stream duplexStream) error {
	for range manyCount {
		// After io.EOF the receiving side knows why.
		if err := stream.Send(streamRequest(0, manySize)); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return stream.CloseSend()
}

func gzipBothWays(ctx context.Context, client caseClient) error {
	compressed := &testingpb.BoolValue{Value: true}
	compressor := grpc.UseCompressor(gzip.Name)

	request := simpleRequest(gzipSize, gzipSize)
	request.ResponseCompressed = compressed
	if err := unaryOfSizes(ctx, client, request, compressor); err != nil {
		return fmt.Errorf("UnaryCall: %w", err)
	}

	stream, err := client.FullDuplexCall(ctx, compressor)
	if err != nil {
		return err
	}
	for i := range gzipRounds {
		request := streamRequest(gzipSize, gzipSize)
		request.ResponseParameters[0].Compressed = compressed
		if err := exchange(stream, request); err != nil {
			return fmt.Errorf("FullDuplexCall, exchange %d: %w", i, err)
		}
	}
	return finish(stream)
}
