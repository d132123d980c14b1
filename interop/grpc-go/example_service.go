package main

import (
	"context"
	"strings"

	"ferrpc.example/interop/grpc-go/gen/examplepb"
)

// exampleService is example.TestService.
type exampleService struct {
	examplepb.UnimplementedTestServiceServer
}

func (exampleService) Method(_ context.Context, request *examplepb.Request) (*examplepb.Result, error) {
	caller, found := strings.CutSuffix(request.GetRequest1(), "-request1")
	if found {
		switch caller {
		case "java", "py", "rust", "go", "node":
			answer := "res1-" + caller + "-client->go-server"
			return &examplepb.Result{Result1: answer, Result2: answer}, nil
		}
	}
	return &examplepb.Result{Result1: "f1", Result2: "fn1"}, nil
}
