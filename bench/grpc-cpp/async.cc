// The async API: a completion queue and a thread for each core, as gRPC's own benchmark has it.
#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "server.h"

namespace {

using Queue = grpc::ServerCompletionQueue;

// What a tag of a queue points to.
class Call {
 public:
  virtual ~Call() = default;
  virtual void proceed(bool ok) = 0;
};

// A unary call: waits for a caller, answers, makes way for the next.
template <class Service, class Request, class Response, class Ask, class Answer>
class Unary final : public Call {
 public:
  Unary(Service* service, Queue* queue, Ask ask, Answer answer)
      : service_(service), queue_(queue), ask_(ask), answer_(answer), responder_(&context_) {
    (service_->*ask_)(&context_, &request_, &responder_, queue_, queue_, this);
  }

  void proceed(bool ok) override {
    if (finished_ || !ok) {
      delete this;
      return;
    }
    new Unary(service_, queue_, ask_, answer_);
    const grpc::Status status = answer_(request_, &response_);
    finished_ = true;
    responder_.Finish(response_, status, this);
  }

 private:
  Service* const service_;
  Queue* const queue_;
  const Ask ask_;
  const Answer answer_;
  grpc::ServerContext context_;
  Request request_;
  Response response_;
  grpc::ServerAsyncResponseWriter<Response> responder_;
  bool finished_ = false;
};

template <class Request, class Response, class Service, class Ask, class Answer>
void serve(Service* service, Queue* queue, Ask ask, Answer answer) {
  // As many wait for callers as gRPC's own benchmark has.
  for (int i = 0; i < 1000; ++i) {
    new Unary<Service, Request, Response, Ask, Answer>(service, queue, ask, answer);
  }
}

using grpc::testing::StreamingOutputCallRequest;
using grpc::testing::StreamingOutputCallResponse;
using Testing = grpc::testing::TestService::AsyncService;

class Output final : public Call {
 public:
  Output(Testing* service, Queue* queue) : service_(service), queue_(queue), writer_(&context_) {
    service_->RequestStreamingOutputCall(&context_, &request_, &writer_, queue_, queue_, this);
  }

  void proceed(bool ok) override {
    if (finished_ || (!begun_ && !ok)) {
      delete this;
      return;
    }
    if (!ok) {
      finished_ = true;
      writer_.Finish(grpc::Status::CANCELLED, this);
      return;
    }
    if (!begun_) {
      begun_ = true;
      new Output(service_, queue_);
    }
    if (sent_ == request_.response_parameters_size()) {
      finished_ = true;
      writer_.Finish(grpc::Status::OK, this);
      return;
    }
    const auto status =
        fill(request_.response_parameters(sent_++).size(), response_.mutable_payload());
    finished_ = !status.ok();
    if (finished_) {
      writer_.Finish(status, this);
    } else {
      writer_.Write(response_, this);
    }
  }

 private:
  Testing* const service_;
  Queue* const queue_;
  grpc::ServerContext context_;
  StreamingOutputCallRequest request_;
  StreamingOutputCallResponse response_;
  grpc::ServerAsyncWriter<StreamingOutputCallResponse> writer_;
  int sent_ = 0;
  bool begun_ = false;
  bool finished_ = false;
};

class Duplex final : public Call {
 public:
  Duplex(Testing* service, Queue* queue) : service_(service), queue_(queue), stream_(&context_) {
    service_->RequestFullDuplexCall(&context_, &stream_, queue_, queue_, this);
  }

  void proceed(bool ok) override {
    switch (state_) {
      case State::kWaiting:
        if (!ok) {
          delete this;
          return;
        }
        new Duplex(service_, queue_);
        // A caller may wait for the headers before it sends anything.
        state_ = State::kOpening;
        stream_.SendInitialMetadata(this);
        return;
      case State::kOpening:
        if (ok) {
          read();
        } else {
          finish(grpc::Status::CANCELLED);
        }
        return;
      case State::kReading:
        if (!ok) {
          finish(grpc::Status::OK);
          return;
        }
        sent_ = 0;
        next();
        return;
      case State::kWriting:
        if (!ok) {
          finish(grpc::Status::CANCELLED);
          return;
        }
        next();
        return;
      case State::kFinishing:
        delete this;
    }
  }

 private:
  enum class State { kWaiting, kOpening, kReading, kWriting, kFinishing };

  void read() {
    state_ = State::kReading;
    stream_.Read(&request_, this);
  }

  void next() {
    if (sent_ == request_.response_parameters_size()) {
      read();
      return;
    }
    const auto status =
        fill(request_.response_parameters(sent_++).size(), response_.mutable_payload());
    if (!status.ok()) {
      finish(status);
      return;
    }
    state_ = State::kWriting;
    stream_.Write(response_, this);
  }

  void finish(const grpc::Status& status) {
    state_ = State::kFinishing;
    stream_.Finish(status, this);
  }

  Testing* const service_;
  Queue* const queue_;
  grpc::ServerContext context_;
  StreamingOutputCallRequest request_;
  StreamingOutputCallResponse response_;
  grpc::ServerAsyncReaderWriter<StreamingOutputCallResponse, StreamingOutputCallRequest> stream_;
  int sent_ = 0;
  State state_ = State::kWaiting;
};

class Input final : public Call {
 public:
  Input(Testing* service, Queue* queue) : service_(service), queue_(queue), reader_(&context_) {
    service_->RequestStreamingInputCall(&context_, &reader_, queue_, queue_, this);
  }

  void proceed(bool ok) override {
    if (finished_ || (!begun_ && !ok)) {
      delete this;
      return;
    }
    if (!begun_) {
      begun_ = true;
      new Input(service_, queue_);
    } else if (ok) {
      sum_ += static_cast<int>(request_.payload().body().size());
    } else {
      finished_ = true;
      response_.set_aggregated_payload_size(sum_);
      reader_.Finish(response_, grpc::Status::OK, this);
      return;
    }
    reader_.Read(&request_, this);
  }

 private:
  Testing* const service_;
  Queue* const queue_;
  grpc::ServerContext context_;
  grpc::testing::StreamingInputCallRequest request_;
  grpc::testing::StreamingInputCallResponse response_;
  grpc::ServerAsyncReader<grpc::testing::StreamingInputCallResponse,
                          grpc::testing::StreamingInputCallRequest>
      reader_;
  int sum_ = 0;
  bool begun_ = false;
  bool finished_ = false;
};

}  // namespace

int serve_async(const std::string& address) {
  example::TestService::AsyncService example;
  Testing test;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  builder.SetMaxReceiveMessageSize(kMessageLimit);
  builder.RegisterService(&example);
  builder.RegisterService(&test);
  std::vector<std::unique_ptr<Queue>> queues;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) {
    queues.push_back(builder.AddCompletionQueue());
  }
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!announce(address, server ? port : 0)) return 1;

  std::vector<std::thread> threads;
  for (const auto& owned : queues) {
    Queue* const queue = owned.get();
    serve<example::Request, example::Result>(
        &example, queue, &example::TestService::AsyncService::Requestmethod,
        [](const example::Request& request, example::Result* result) {
          answer(request, result);
          return grpc::Status::OK;
        });
    serve<grpc::testing::Empty, grpc::testing::Empty>(
        &test, queue, &Testing::RequestEmptyCall,
        [](const grpc::testing::Empty&, grpc::testing::Empty*) { return grpc::Status::OK; });
    serve<grpc::testing::SimpleRequest, grpc::testing::SimpleResponse>(
        &test, queue, &Testing::RequestUnaryCall,
        [](const grpc::testing::SimpleRequest& request, grpc::testing::SimpleResponse* response) {
          return fill(request.response_size(), response->mutable_payload());
        });
    for (int i = 0; i < 100; ++i) {
      new Output(&test, queue);
      new Duplex(&test, queue);
      new Input(&test, queue);
    }
    threads.emplace_back([queue] {
      void* tag = nullptr;
      bool ok = false;
      while (queue->Next(&tag, &ok)) static_cast<Call*>(tag)->proceed(ok);
    });
  }
  for (auto& thread : threads) thread.join();
  return 0;
}
