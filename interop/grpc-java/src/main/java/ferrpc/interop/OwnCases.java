package ferrpc.interop;

import io.grpc.testing.integration.BoolValue;
import io.grpc.testing.integration.StreamingOutputCallRequest;
import io.grpc.testing.integration.StreamingOutputCallResponse;
import java.util.Arrays;

/** ferrpc's own cases: size, number and compression of messages. */
final class OwnCases {
  private static final int BIG_SIZE = (4 << 20) - 64;
  private static final int MANY = 10_000;
  private static final int SMALL_SIZE = 8;
  private static final int GZIP_SIZE = 100_000;
  private static final int GZIP_ROUNDS = 3;
  private static final BoolValue COMPRESSED = BoolValue.newBuilder().setValue(true).build();

  private OwnCases() {}

  static void bigUnary(CaseContext context) throws CaseFailure {
    BasicCases.unary(context.blocking(), Messages.simpleRequest(BIG_SIZE, BIG_SIZE));
  }

  static void manyMessages(CaseContext context) throws CaseFailure, InterruptedException {
    Stream<StreamingOutputCallRequest, StreamingOutputCallResponse> stream =
        BasicCases.fullDuplex(context.async());
    StreamingOutputCallRequest request = Messages.outputRequest(0, SMALL_SIZE);
    // grpc-java queues what the connection does not take yet, so this never waits.
    for (int i = 0; i < MANY; i++) {
      stream.send(request);
    }
    stream.halfClose();
    for (int i = 0; i < MANY; i++) {
      Messages.checkSize(stream.receive().getPayload(), SMALL_SIZE);
    }
    stream.expectOk();

    int[] sizes = new int[MANY];
    Arrays.fill(sizes, SMALL_SIZE);
    BasicCases.sum(context, sizes, MANY * SMALL_SIZE);
    BasicCases.output(context, sizes);
  }

  static void gzip(CaseContext context) throws CaseFailure, InterruptedException {
    BasicCases.unary(
        context.blocking().withCompression("gzip"),
        Messages.simpleRequest(GZIP_SIZE, GZIP_SIZE).toBuilder()
            .setResponseCompressed(COMPRESSED)
            .build());

    Stream<StreamingOutputCallRequest, StreamingOutputCallResponse> stream =
        BasicCases.fullDuplex(context.async().withCompression("gzip"));
    StreamingOutputCallRequest.Builder request =
        Messages.outputRequest(GZIP_SIZE, GZIP_SIZE).toBuilder();
    request.getResponseParametersBuilder(0).setCompressed(COMPRESSED);
    for (int i = 0; i < GZIP_ROUNDS; i++) {
      BasicCases.exchange(stream, request.build());
    }
    stream.halfClose();
    stream.expectOk();
  }
}
