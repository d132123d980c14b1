package ferrpc.interop;

import io.grpc.Channel;
import io.grpc.Deadline;
import io.grpc.testing.integration.TestServiceGrpc;
import io.grpc.testing.integration.UnimplementedServiceGrpc;
import java.util.concurrent.TimeUnit;

/** What a case works with. Every stub has the deadline of the case, so that no call can hang. */
final class CaseContext {
  private static final long LIMIT_SECONDS = 30;

  private final Channel channel;
  private final Deadline deadline = limit();

  CaseContext(Channel channel) {
    this.channel = channel;
  }

  static Deadline limit() {
    return Deadline.after(LIMIT_SECONDS, TimeUnit.SECONDS);
  }

  TestServiceGrpc.TestServiceBlockingStub blocking() {
    return TestServiceGrpc.newBlockingStub(channel).withDeadline(deadline);
  }

  TestServiceGrpc.TestServiceStub async() {
    return TestServiceGrpc.newStub(channel).withDeadline(deadline);
  }

  UnimplementedServiceGrpc.UnimplementedServiceBlockingStub unimplemented() {
    return UnimplementedServiceGrpc.newBlockingStub(channel).withDeadline(deadline);
  }
}
