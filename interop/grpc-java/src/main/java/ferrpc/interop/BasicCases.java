package ferrpc.interop;

import grpc.testing.EmptyOuterClass.Empty;
import io.grpc.testing.integration.SimpleRequest;
import io.grpc.testing.integration.StreamingInputCallRequest;
import io.grpc.testing.integration.StreamingInputCallResponse;
import io.grpc.testing.integration.StreamingOutputCallRequest;
import io.grpc.testing.integration.StreamingOutputCallResponse;
import io.grpc.testing.integration.TestServiceGrpc.TestServiceBlockingStub;
import io.grpc.testing.integration.TestServiceGrpc.TestServiceStub;

/** Every kind of call, with messages of set sizes; and the steps that other cases share. */
final class BasicCases {
  static final int LARGE_REQUEST_SIZE = 271828;
  static final int LARGE_RESPONSE_SIZE = 314159;

  private static final int[] REQUEST_SIZES = {27182, 8, 1828, 45904};
  private static final int[] RESPONSE_SIZES = {31415, 9, 2653, 58979};
  private static final int REQUEST_SIZES_SUM = 74922;

  private BasicCases() {}

  static void emptyUnary(CaseContext context) {
    context.blocking().emptyCall(Empty.getDefaultInstance());
  }

  static void largeUnary(CaseContext context) throws CaseFailure {
    unary(
        context.blocking(),
        Messages.simpleRequest(LARGE_REQUEST_SIZE, LARGE_RESPONSE_SIZE));
  }

  static void clientStreaming(CaseContext context) throws CaseFailure, InterruptedException {
    sum(context, REQUEST_SIZES, REQUEST_SIZES_SUM);
  }

  static void serverStreaming(CaseContext context) throws CaseFailure, InterruptedException {
    output(context, RESPONSE_SIZES);
  }

  static void pingPong(CaseContext context) throws CaseFailure, InterruptedException {
    Stream<StreamingOutputCallRequest, StreamingOutputCallResponse> stream =
        fullDuplex(context.async());
    for (int i = 0; i < REQUEST_SIZES.length; i++) {
      exchange(stream, Messages.outputRequest(REQUEST_SIZES[i], RESPONSE_SIZES[i]));
    }
    stream.halfClose();
    stream.expectOk();
  }

  static void emptyStream(CaseContext context) throws CaseFailure, InterruptedException {
    Stream<StreamingOutputCallRequest, StreamingOutputCallResponse> stream =
        fullDuplex(context.async());
    stream.halfClose();
    stream.expectOk();
  }

  /** The first exchange of ping_pong, which other cases begin with. */
  static StreamingOutputCallRequest firstRequest() {
    return Messages.outputRequest(REQUEST_SIZES[0], RESPONSE_SIZES[0]);
  }

  static void unary(TestServiceBlockingStub stub, SimpleRequest request) throws CaseFailure {
    Messages.checkSize(stub.unaryCall(request).getPayload(), request.getResponseSize());
  }

  static Stream<StreamingOutputCallRequest, StreamingOutputCallResponse> fullDuplex(
      TestServiceStub stub) {
    Stream<StreamingOutputCallRequest, StreamingOutputCallResponse> stream = new Stream<>();
    stub.fullDuplexCall(stream);
    return stream;
  }

  static void exchange(
      Stream<StreamingOutputCallRequest, StreamingOutputCallResponse> stream,
      StreamingOutputCallRequest request)
      throws CaseFailure, InterruptedException {
    stream.send(request);
    Messages.checkSize(
        stream.receive().getPayload(), request.getResponseParameters(0).getSize());
  }

  static void sum(CaseContext context, int[] sizes, int wanted)
      throws CaseFailure, InterruptedException {
    Stream<StreamingInputCallRequest, StreamingInputCallResponse> stream = new Stream<>();
    context.async().streamingInputCall(stream);
    for (int size : sizes) {
      stream.send(Messages.inputRequest(size));
    }
    stream.halfClose();
    int sum = stream.receive().getAggregatedPayloadSize();
    if (sum != wanted) {
      throw new CaseFailure("the sum is " + sum + ", not " + wanted);
    }
    stream.expectOk();
  }

  static void output(CaseContext context, int[] sizes) throws CaseFailure, InterruptedException {
    Stream<StreamingOutputCallRequest, StreamingOutputCallResponse> stream = new Stream<>();
    context.async().streamingOutputCall(Messages.outputRequest(0, sizes), stream);
    for (int size : sizes) {
      Messages.checkSize(stream.receive().getPayload(), size);
    }
    stream.expectOk();
  }
}
