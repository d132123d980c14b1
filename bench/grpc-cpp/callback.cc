// The callback API: gRPC's own threads call the handlers.
#include <memory>

#include "server.h"

namespace {

class Example final : public example::TestService::CallbackService {
  grpc::ServerUnaryReactor* method(grpc::CallbackServerContext* context,
                                   const example::Request* request,
                                   example::Result* result) override {
    answer(*request, result);
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

using grpc::testing::StreamingOutputCallRequest;
using grpc::testing::StreamingOutputCallResponse;

class Output final : public grpc::ServerWriteReactor<StreamingOutputCallResponse> {
 public:
  explicit Output(const StreamingOutputCallRequest* request) : request_(*request) { next(); }

  void OnWriteDone(bool ok) override {
    if (ok) {
      next();
    } else {
      Finish(grpc::Status::CANCELLED);
    }
  }

  void OnDone() override { delete this; }

 private:
  void next() {
    if (sent_ == request_.response_parameters_size()) {
      Finish(grpc::Status::OK);
      return;
    }
    const auto status =
        fill(request_.response_parameters(sent_++).size(), response_.mutable_payload());
    if (status.ok()) {
      StartWrite(&response_);
    } else {
      Finish(status);
    }
  }

  const StreamingOutputCallRequest request_;
  StreamingOutputCallResponse response_;
  int sent_ = 0;
};

class Duplex final
    : public grpc::ServerBidiReactor<StreamingOutputCallRequest, StreamingOutputCallResponse> {
 public:
  Duplex() {
    // A caller may wait for the headers before it sends anything.
    StartSendInitialMetadata();
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Finish(grpc::Status::OK);
      return;
    }
    sent_ = 0;
    next();
  }

  void OnWriteDone(bool ok) override {
    if (ok) {
      next();
    } else {
      Finish(grpc::Status::CANCELLED);
    }
  }

  void OnDone() override { delete this; }

 private:
  void next() {
    if (sent_ == request_.response_parameters_size()) {
      StartRead(&request_);
      return;
    }
    const auto status =
        fill(request_.response_parameters(sent_++).size(), response_.mutable_payload());
    if (status.ok()) {
      StartWrite(&response_);
    } else {
      Finish(status);
    }
  }

  StreamingOutputCallRequest request_;
  StreamingOutputCallResponse response_;
  int sent_ = 0;
};

class Input final : public grpc::ServerReadReactor<grpc::testing::StreamingInputCallRequest> {
 public:
  explicit Input(grpc::testing::StreamingInputCallResponse* response) : response_(response) {
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (ok) {
      sum_ += static_cast<int>(request_.payload().body().size());
      StartRead(&request_);
    } else {
      response_->set_aggregated_payload_size(sum_);
      Finish(grpc::Status::OK);
    }
  }

  void OnDone() override { delete this; }

 private:
  grpc::testing::StreamingInputCallRequest request_;
  grpc::testing::StreamingInputCallResponse* response_;
  int sum_ = 0;
};

class Test final : public grpc::testing::TestService::CallbackService {
  grpc::ServerUnaryReactor* EmptyCall(grpc::CallbackServerContext* context,
                                      const grpc::testing::Empty*,
                                      grpc::testing::Empty*) override {
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerUnaryReactor* UnaryCall(grpc::CallbackServerContext* context,
                                      const grpc::testing::SimpleRequest* request,
                                      grpc::testing::SimpleResponse* response) override {
    auto* reactor = context->DefaultReactor();
    reactor->Finish(fill(request->response_size(), response->mutable_payload()));
    return reactor;
  }

  grpc::ServerWriteReactor<StreamingOutputCallResponse>* StreamingOutputCall(
      grpc::CallbackServerContext*, const StreamingOutputCallRequest* request) override {
    return new Output(request);
  }

  grpc::ServerReadReactor<grpc::testing::StreamingInputCallRequest>* StreamingInputCall(
      grpc::CallbackServerContext*, grpc::testing::StreamingInputCallResponse* response) override {
    return new Input(response);
  }

  grpc::ServerBidiReactor<StreamingOutputCallRequest, StreamingOutputCallResponse>* FullDuplexCall(
      grpc::CallbackServerContext*) override {
    return new Duplex;
  }
};

}  // namespace

int serve_callback(const std::string& address) {
  Example example;
  Test test;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  builder.SetMaxReceiveMessageSize(kMessageLimit);
  builder.RegisterService(&example);
  builder.RegisterService(&test);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!announce(address, server ? port : 0)) return 1;
  server->Wait();
  return 0;
}
