package main

import (
	"fmt"
	"io"
	"net"
	"os"

	"google.golang.org/grpc"

	"ferrpc.example/interop/grpc-go/gen/examplepb"
	"ferrpc.example/interop/grpc-go/gen/testingpb"
)

// serve serves both services on address until it is killed or standard input ends.
func serve(address string, files tlsFiles) error {
	listener, err := listenLoopback(address)
	if err != nil {
		return err
	}
	secure, err := files.server()
	if err != nil {
		return err
	}
	server := grpc.NewServer(
		grpc.Creds(secure),
		grpc.MaxRecvMsgSize(maxMessageSize),
		grpc.MaxSendMsgSize(maxMessageSize),
	)
	testingpb.RegisterTestServiceServer(server, interopService{})
	examplepb.RegisterTestServiceServer(server, exampleService{})

	fmt.Println("listening on", listener.Addr())
	go func() {
		// The starter's end closes our input also when it dies without killing us.
		_, _ = io.Copy(io.Discard, os.Stdin)
		server.Stop()
	}()
	return server.Serve(listener)
}

// listenLoopback refuses other addresses: a test server with no authentication has no business there.
func listenLoopback(address string) (net.Listener, error) {
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w: --listen: %v", errUsage, err)
	}
	if !resolved.IP.IsLoopback() {
		return nil, fmt.Errorf("%w: --listen: %s is not a loopback address", errUsage, address)
	}
	return net.ListenTCP("tcp", resolved)
}
