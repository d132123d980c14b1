package ferrpc.interop;

import grpc.testing.EmptyOuterClass.Empty;
import io.grpc.ClientInterceptor;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.MetadataUtils;
import io.grpc.testing.integration.EchoStatus;
import io.grpc.testing.integration.SimpleRequest;
import io.grpc.testing.integration.StreamingOutputCallRequest;
import io.grpc.testing.integration.StreamingOutputCallResponse;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicReference;

/** Metadata, and statuses that the server gives. */
final class StatusCases {
  private static final String INITIAL_VALUE = "test_initial_metadata_value";
  private static final byte[] TRAILING_VALUE = {(byte) 0xab, (byte) 0xab, (byte) 0xab};

  private static final String SPECIAL_MESSAGE =
      "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \ud83d\ude08\t\n";

  private StatusCases() {}

  static void customMetadata(CaseContext context) throws CaseFailure, InterruptedException {
    Metadata sent = new Metadata();
    sent.put(MetadataEcho.INITIAL, INITIAL_VALUE);
    sent.put(MetadataEcho.TRAILING, TRAILING_VALUE);
    AtomicReference<Metadata> headers = new AtomicReference<>();
    AtomicReference<Metadata> trailers = new AtomicReference<>();
    ClientInterceptor[] interceptors = {
      MetadataUtils.newAttachHeadersInterceptor(sent),
      MetadataUtils.newCaptureMetadataInterceptor(headers, trailers)
    };

    BasicCases.unary(
        context.blocking().withInterceptors(interceptors),
        Messages.simpleRequest(
            BasicCases.LARGE_REQUEST_SIZE, BasicCases.LARGE_RESPONSE_SIZE));
    checkEcho("UnaryCall", headers.getAndSet(null), trailers.getAndSet(null));

    Stream<StreamingOutputCallRequest, StreamingOutputCallResponse> stream =
        BasicCases.fullDuplex(context.async().withInterceptors(interceptors));
    BasicCases.exchange(
        stream,
        Messages.outputRequest(
            BasicCases.LARGE_REQUEST_SIZE, BasicCases.LARGE_RESPONSE_SIZE));
    stream.halfClose();
    stream.expectOk();
    checkEcho("FullDuplexCall", headers.get(), trailers.get());
  }

  static void statusCodeAndMessage(CaseContext context) throws CaseFailure, InterruptedException {
    EchoStatus wanted = unknown("test status message");
    checkStatus("UnaryCall", unaryStatus(context, wanted), wanted);

    Stream<StreamingOutputCallRequest, StreamingOutputCallResponse> stream =
        BasicCases.fullDuplex(context.async());
    stream.send(StreamingOutputCallRequest.newBuilder().setResponseStatus(wanted).build());
    stream.halfClose();
    checkStatus("FullDuplexCall", stream.end(), wanted);
  }

  static void specialStatusMessage(CaseContext context) throws CaseFailure {
    EchoStatus wanted = unknown(SPECIAL_MESSAGE);
    checkStatus("UnaryCall", unaryStatus(context, wanted), wanted);
  }

  static void unimplementedMethod(CaseContext context) throws CaseFailure {
    checkCode(
        statusOf(() -> context.blocking().unimplementedCall(Empty.getDefaultInstance())),
        Status.Code.UNIMPLEMENTED);
  }

  static void unimplementedService(CaseContext context) throws CaseFailure {
    checkCode(
        statusOf(() -> context.unimplemented().unimplementedCall(Empty.getDefaultInstance())),
        Status.Code.UNIMPLEMENTED);
  }

  static void checkCode(Status status, Status.Code wanted) throws CaseFailure {
    if (status.getCode() != wanted) {
      throw new CaseFailure("the status is " + Reason.of(status) + ", not " + wanted);
    }
  }

  private static EchoStatus unknown(String message) {
    return EchoStatus.newBuilder()
        .setCode(Status.Code.UNKNOWN.value())
        .setMessage(message)
        .build();
  }

  private static Status unaryStatus(CaseContext context, EchoStatus wanted) {
    SimpleRequest request = SimpleRequest.newBuilder().setResponseStatus(wanted).build();
    return statusOf(() -> context.blocking().unaryCall(request));
  }

  private static Status statusOf(Runnable call) {
    try {
      call.run();
      return Status.OK;
    } catch (StatusRuntimeException e) {
      return e.getStatus();
    }
  }

  private static void checkStatus(String call, Status status, EchoStatus wanted)
      throws CaseFailure {
    if (status.getCode().value() != wanted.getCode()
        || !wanted.getMessage().equals(status.getDescription())) {
      throw new CaseFailure(
          call
              + ": the status is "
              + Reason.of(status)
              + ", not "
              + Reason.of(ResponseSender.wantedStatus(wanted)));
    }
  }

  private static void checkEcho(String call, Metadata headers, Metadata trailers)
      throws CaseFailure {
    String initial = headers == null ? null : headers.get(MetadataEcho.INITIAL);
    if (!INITIAL_VALUE.equals(initial)) {
      throw new CaseFailure(call + ": initial metadata comes back as " + initial);
    }
    byte[] trailing = trailers == null ? null : trailers.get(MetadataEcho.TRAILING);
    if (!Arrays.equals(TRAILING_VALUE, trailing)) {
      throw new CaseFailure(
          call + ": trailing metadata comes back as " + Arrays.toString(trailing));
    }
  }
}
