// What both servers share: the tutorial's answer, messages of a size, command lines.
#pragma once

#include <string>

#include <grpcpp/grpcpp.h>

#include "grpc/testing/test.grpc.pb.h"
#include "test_service.grpc.pb.h"

inline void answer(const example::Request& request, example::Result* result) {
  static const char* const callers[] = {"java", "py", "rust", "go", "node"};
  for (const char* caller : callers) {
    if (request.request1() == std::string(caller) + "-request1") {
      const std::string both = "res1-" + std::string(caller) + "-client->cpp-server";
      result->set_result1(both);
      result->set_result2(both);
      return;
    }
  }
  result->set_result1("f1");
  result->set_result2("fn1");
}

inline grpc::Status fill(int size, grpc::testing::Payload* payload) {
  if (size < 0) return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "negative size");
  payload->mutable_body()->assign(static_cast<size_t>(size), '\0');
  return grpc::Status::OK;
}

// A payload of 16 MiB fits.
constexpr int kMessageLimit = 17 << 20;

// Serves until the process is killed; each returns 1 if it cannot listen.
int serve_callback(const std::string& address);
int serve_async(const std::string& address);

// Prints the first line; false if the port was not to be had.
bool announce(const std::string& address, int port);
