package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"

	"ferrpc.example/interop/grpc-go/gen/examplepb"
	"ferrpc.example/interop/grpc-go/gen/testingpb"
)

// timeLimit is what a case may take; every call of a case runs under it, so none can hang.
const timeLimit = 30 * time.Second

var errCasesFailed = errors.New("a case failed")

// caseClient is what a case works with.
type caseClient struct {
	testingpb.TestServiceClient
	unimplemented testingpb.UnimplementedServiceClient
}

func dial(address string, files tlsFiles) (*grpc.ClientConn, error) {
	secure, err := files.client()
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(address,
		grpc.WithTransportCredentials(secure),
		// The peers are on this machine, whatever proxy the environment names.
		grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxMessageSize),
			grpc.MaxCallSendMsgSize(maxMessageSize),
		),
	)
}

// runCases prints a line for each case and returns errCasesFailed if one failed.
func runCases(address string, names []string, files tlsFiles) error {
	chosen, err := chooseCases(names)
	if err != nil {
		return err
	}
	connection, err := dial(address, files)
	if err != nil {
		return fmt.Errorf("%w: --connect: %v", errUsage, err)
	}
	defer connection.Close()
	client := caseClient{
		TestServiceClient: testingpb.NewTestServiceClient(connection),
		unimplemented:     testingpb.NewUnimplementedServiceClient(connection),
	}

	failed := false
	for _, one := range chosen {
		if err := runCase(one, client); err != nil {
			failed = true
			fmt.Printf("FAIL %s: %s\n", one.name, oneLine(err.Error()))
		} else {
			fmt.Printf("ok %s\n", one.name)
		}
	}
	if failed {
		return errCasesFailed
	}
	return nil
}

func runCase(one interopCase, client caseClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeLimit)
	defer cancel()
	return one.run(ctx, client)
}

func chooseCases(names []string) ([]interopCase, error) {
	var chosen []interopCase
names:
	for _, name := range names {
		if name == "all" {
			chosen = append(chosen, allCases...)
			continue
		}
		for _, one := range allCases {
			if one.name == name {
				chosen = append(chosen, one)
				continue names
			}
		}
		return nil, fmt.Errorf("%w: no such case: %q", errUsage, name)
	}
	return chosen, nil
}

// askAs asks example.TestService/method once in the name of caller.
func askAs(address, caller string, files tlsFiles) error {
	connection, err := dial(address, files)
	if err != nil {
		return fmt.Errorf("%w: --connect: %v", errUsage, err)
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), timeLimit)
	defer cancel()
	result, err := examplepb.NewTestServiceClient(connection).Method(ctx, &examplepb.Request{
		Request1: caller + "-request1",
		Request2: caller + "-request2",
	})
	if err != nil {
		return err
	}
	fmt.Println(result.GetResult1())
	fmt.Println(result.GetResult2())
	return nil
}

// oneLine keeps a reason on the line of its case, whatever a status message holds.
func oneLine(text string) string {
	return strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(text)
}
