package ferrpc.interop;

import com.google.protobuf.ByteString;
import io.grpc.Status;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.testing.integration.EchoStatus;
import io.grpc.testing.integration.Payload;
import io.grpc.testing.integration.PayloadType;
import io.grpc.testing.integration.ResponseParameters;
import io.grpc.testing.integration.StreamingOutputCallRequest;
import io.grpc.testing.integration.StreamingOutputCallResponse;
import java.util.ArrayDeque;
import java.util.Queue;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * Sends the responses of one stream in order: each after its interval, and no faster than the
 * client takes them. It asks for the next request only when those before it are answered, so that a
 * client that does not read cannot fill the memory.
 */
final class ResponseSender {
  // Waiting in a call's own thread would hold it for the whole interval after a cancellation.
  private static final ScheduledExecutorService TIMER =
      Executors.newSingleThreadScheduledExecutor(
          task -> {
            Thread thread = new Thread(task, "intervals");
            thread.setDaemon(true);
            return thread;
          });

  private final ServerCallStreamObserver<StreamingOutputCallResponse> responses;
  private final Queue<ResponseParameters> pending = new ArrayDeque<>();
  private boolean answering;
  private boolean asleep;
  private boolean rested;
  private boolean started;
  private boolean finishing;
  private boolean ended;

  /** To be made in the service method: it sets handlers that cannot be set later. */
  ResponseSender(ServerCallStreamObserver<StreamingOutputCallResponse> responses) {
    this.responses = responses;
    responses.setOnReadyHandler(this::pump);
    responses.setOnCancelHandler(this::stop);
  }

  /** Queues what the request asks for, or ends the call with the status it asks for. */
  synchronized void add(StreamingOutputCallRequest request) {
    if (ended) {
      return;
    }
    Status status = wantedStatus(request.getResponseStatus());
    for (ResponseParameters parameters : request.getResponseParametersList()) {
      if (status.isOk()) {
        status = checkSize(parameters.getSize());
      }
    }
    if (!status.isOk()) {
      stop();
      responses.onError(status.asRuntimeException());
      return;
    }
    pending.addAll(request.getResponseParametersList());
    answering = true;
    pump();
  }

  /** Ends the call with OK after the last response. */
  synchronized void finish() {
    finishing = true;
    pump();
  }

  synchronized void stop() {
    ended = true;
    pending.clear();
  }

  private synchronized void pump() {
    while (!pending.isEmpty()) {
      if (asleep || !responses.isReady()) {
        return; // the timer or the ready handler comes back here
      }
      ResponseParameters next = pending.peek();
      if (next.getIntervalUs() > 0 && !rested) {
        asleep = true;
        TIMER.schedule(this::wake, next.getIntervalUs(), TimeUnit.MICROSECONDS);
        return;
      }
      rested = false;
      send(pending.remove());
    }
    if (ended) {
      return;
    }
    if (finishing) {
      ended = true;
      responses.onCompleted();
    } else if (answering) {
      answering = false;
      responses.request(1);
    }
  }

  private synchronized void wake() {
    asleep = false;
    rested = true;
    pump();
  }

  private void send(ResponseParameters parameters) {
    boolean compressed = parameters.getCompressed().getValue();
    // The headers name the compressor, and they go with the first response.
    if (!started && compressed) {
      responses.setCompression("gzip");
    }
    started = true;
    responses.setMessageCompression(compressed);
    responses.onNext(
        StreamingOutputCallResponse.newBuilder()
            .setPayload(zeros(PayloadType.COMPRESSABLE, parameters.getSize()))
            .build());
  }

  static Status wantedStatus(EchoStatus wanted) {
    return Status.fromCodeValue(wanted.getCode()).withDescription(wanted.getMessage());
  }

  static Status checkSize(int size) {
    return size >= 0 && size <= Main.MAX_MESSAGE_SIZE
        ? Status.OK
        : Status.INVALID_ARGUMENT.withDescription("no payload can have " + size + " bytes");
  }

  static Payload zeros(PayloadType type, int size) {
    return Payload.newBuilder().setType(type).setBody(ByteString.copyFrom(new byte[size])).build();
  }
}
