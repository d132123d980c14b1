package ferrpc.interop;

import io.grpc.Status;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** The client's end of a streaming call, with responses to wait for in place of callbacks. */
final class Stream<Q, R> implements ClientResponseObserver<Q, R> {
  // Longer than any deadline: the deadline of the call ends it, this is for a library that forgets.
  private static final long PATIENCE_SECONDS = 35;

  private final BlockingQueue<Event<R>> events = new LinkedBlockingQueue<>();
  private ClientCallStreamObserver<Q> requests;

  /** A response, or the end. */
  private record Event<R>(R response, Status end) {}

  @Override
  public void beforeStart(ClientCallStreamObserver<Q> requests) {
    this.requests = requests;
  }

  @Override
  public void onNext(R response) {
    events.add(new Event<>(response, null));
  }

  @Override
  public void onError(Throwable failure) {
    events.add(new Event<>(null, Status.fromThrowable(failure)));
  }

  @Override
  public void onCompleted() {
    events.add(new Event<>(null, Status.OK));
  }

  void send(Q request) {
    requests.onNext(request);
  }

  void halfClose() {
    requests.onCompleted();
  }

  void cancel() {
    requests.cancel("the case says so", null);
  }

  /** The next response; it is a failure if the call ends before it. */
  R receive() throws CaseFailure, InterruptedException {
    Event<R> event = next();
    if (event.response == null) {
      throw new CaseFailure("the call ended before the response: " + Reason.of(event.end));
    }
    return event.response;
  }

  /** The status of the call; it is a failure if a response comes before it. */
  Status end() throws CaseFailure, InterruptedException {
    Event<R> event = next();
    if (event.response != null) {
      throw new CaseFailure("a response too many");
    }
    return event.end;
  }

  void expectOk() throws CaseFailure, InterruptedException {
    Status end = end();
    if (!end.isOk()) {
      throw new CaseFailure("the call ended with " + Reason.of(end));
    }
  }

  private Event<R> next() throws CaseFailure, InterruptedException {
    Event<R> event = events.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
    if (event == null) {
      throw new CaseFailure("neither a response nor an end");
    }
    return event;
  }
}
