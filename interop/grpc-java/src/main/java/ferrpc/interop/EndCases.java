package ferrpc.interop;

import grpc.testing.EmptyOuterClass.Empty;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.testing.integration.StreamingInputCallRequest;
import io.grpc.testing.integration.StreamingInputCallResponse;
import io.grpc.testing.integration.StreamingOutputCallRequest;
import io.grpc.testing.integration.StreamingOutputCallResponse;
import java.util.concurrent.TimeUnit;

/** Calls that the client ends before the server does. */
final class EndCases {
  // The first is what the description says, and may be over before the server has seen the call; the
  // second is long enough for the server to be asleep in it.
  private static final int[] TIMEOUTS_MILLIS = {1, 100};
  private static final int SLEEP_MICROS = 10_000_000;

  private EndCases() {}

  static void cancelAfterBegin(CaseContext context) throws CaseFailure, InterruptedException {
    Stream<StreamingInputCallRequest, StreamingInputCallResponse> stream = new Stream<>();
    context.async().streamingInputCall(stream);
    stream.cancel();
    StatusCases.checkCode(stream.end(), Status.Code.CANCELLED);
    stillServed(context);
  }

  static void cancelAfterFirstResponse(CaseContext context)
      throws CaseFailure, InterruptedException {
    Stream<StreamingOutputCallRequest, StreamingOutputCallResponse> stream =
        BasicCases.fullDuplex(context.async());
    BasicCases.exchange(stream, BasicCases.firstRequest());
    stream.cancel();
    StatusCases.checkCode(stream.end(), Status.Code.CANCELLED);
    stillServed(context);
  }

  static void timeoutOnSleepingServer(CaseContext context)
      throws CaseFailure, InterruptedException {
    StreamingOutputCallRequest.Builder request = BasicCases.firstRequest().toBuilder();
    request.getResponseParametersBuilder(0).setIntervalUs(SLEEP_MICROS);
    for (int timeout : TIMEOUTS_MILLIS) {
      Stream<StreamingOutputCallRequest, StreamingOutputCallResponse> stream =
          BasicCases.fullDuplex(
              context.async().withDeadlineAfter(timeout, TimeUnit.MILLISECONDS));
      stream.send(request.build());
      StatusCases.checkCode(stream.end(), Status.Code.DEADLINE_EXCEEDED);
    }
    stillServed(context);
  }

  /**
   * Makes sure that there was a server at all, as an end that the client made itself does not show,
   * and that the connection outlived that end.
   */
  private static void stillServed(CaseContext context) throws CaseFailure {
    try {
      context.blocking().emptyCall(Empty.getDefaultInstance());
    } catch (StatusRuntimeException e) {
      throw new CaseFailure("the call after it: " + Reason.of(e));
    }
  }
}
