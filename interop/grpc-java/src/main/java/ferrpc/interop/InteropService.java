package ferrpc.interop;

import grpc.testing.EmptyOuterClass.Empty;
import io.grpc.Status;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.grpc.testing.integration.SimpleRequest;
import io.grpc.testing.integration.SimpleResponse;
import io.grpc.testing.integration.StreamingInputCallRequest;
import io.grpc.testing.integration.StreamingInputCallResponse;
import io.grpc.testing.integration.StreamingOutputCallRequest;
import io.grpc.testing.integration.StreamingOutputCallResponse;
import io.grpc.testing.integration.TestServiceGrpc;
import java.util.ArrayList;
import java.util.List;

/** {@code grpc.testing.TestService}; UnimplementedCall stays with the base class. */
final class InteropService extends TestServiceGrpc.TestServiceImplBase {
  @Override
  public void emptyCall(Empty request, StreamObserver<Empty> responses) {
    responses.onNext(Empty.getDefaultInstance());
    responses.onCompleted();
  }

  @Override
  public void unaryCall(SimpleRequest request, StreamObserver<SimpleResponse> responses) {
    Status status = ResponseSender.wantedStatus(request.getResponseStatus());
    if (status.isOk()) {
      status = ResponseSender.checkSize(request.getResponseSize());
    }
    if (!status.isOk()) {
      responses.onError(status.asRuntimeException());
      return;
    }
    if (request.getResponseCompressed().getValue()) {
      // grpc-java leaves it out for a client that does not accept it.
      ((ServerCallStreamObserver<SimpleResponse>) responses).setCompression("gzip");
    }
    responses.onNext(
        SimpleResponse.newBuilder()
            .setPayload(
                ResponseSender.zeros(request.getResponseType(), request.getResponseSize()))
            .build());
    responses.onCompleted();
  }

  @Override
  public void cacheableUnaryCall(SimpleRequest request, StreamObserver<SimpleResponse> responses) {
    unaryCall(request, responses);
  }

  @Override
  public void streamingOutputCall(
      StreamingOutputCallRequest request, StreamObserver<StreamingOutputCallResponse> responses) {
    ResponseSender sender = new ResponseSender(callObserver(responses));
    sender.add(request);
    sender.finish();
  }

  @Override
  public StreamObserver<StreamingInputCallRequest> streamingInputCall(
      StreamObserver<StreamingInputCallResponse> responses) {
    return new StreamObserver<>() {
      private int sum;

      @Override
      public void onNext(StreamingInputCallRequest request) {
        sum += request.getPayload().getBody().size();
      }

      @Override
      public void onCompleted() {
        responses.onNext(
            StreamingInputCallResponse.newBuilder().setAggregatedPayloadSize(sum).build());
        responses.onCompleted();
      }

      @Override
      public void onError(Throwable cancelled) {}
    };
  }

  @Override
  public StreamObserver<StreamingOutputCallRequest> fullDuplexCall(
      StreamObserver<StreamingOutputCallResponse> responses) {
    ServerCallStreamObserver<StreamingOutputCallResponse> call = callObserver(responses);
    ResponseSender sender = new ResponseSender(call);
    call.disableAutoRequest();
    call.request(1);
    return new StreamObserver<>() {
      @Override
      public void onNext(StreamingOutputCallRequest request) {
        sender.add(request);
      }

      @Override
      public void onCompleted() {
        sender.finish();
      }

      @Override
      public void onError(Throwable cancelled) {
        sender.stop();
      }
    };
  }

  @Override
  public StreamObserver<StreamingOutputCallRequest> halfDuplexCall(
      StreamObserver<StreamingOutputCallResponse> responses) {
    ResponseSender sender = new ResponseSender(callObserver(responses));
    List<StreamingOutputCallRequest> requests = new ArrayList<>();
    return new StreamObserver<>() {
      @Override
      public void onNext(StreamingOutputCallRequest request) {
        requests.add(request);
      }

      @Override
      public void onCompleted() {
        requests.forEach(sender::add);
        sender.finish();
      }

      @Override
      public void onError(Throwable cancelled) {
        sender.stop();
      }
    };
  }

  private static ServerCallStreamObserver<StreamingOutputCallResponse> callObserver(
      StreamObserver<StreamingOutputCallResponse> responses) {
    return (ServerCallStreamObserver<StreamingOutputCallResponse>) responses;
  }
}
