package ferrpc.interop;

import example.TestServiceGrpc;
import example.TestServiceOuterClass.Request;
import example.TestServiceOuterClass.Result;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.List;

/** Runs cases, or asks one question, on one connection. */
final class PeerClient implements AutoCloseable {
  private final ManagedChannel channel;

  PeerClient(InetSocketAddress address, TlsFiles tls) throws IOException {
    channel =
        NettyChannelBuilder.forAddress(address, tls.channel())
            // The peers are on this machine, whatever proxy the JVM is told of.
            .proxyDetector(target -> null)
            .maxInboundMessageSize(Main.MAX_MESSAGE_SIZE)
            .build();
  }

  /** Prints a line for each case; false if one failed. */
  boolean runCases(List<Case> cases) {
    boolean good = true;
    for (Case one : cases) {
      try {
        one.body().run(new CaseContext(channel));
        System.out.println("ok " + one.name());
      } catch (Exception e) { // a library's surprise is a failed case too
        good = false;
        System.out.println("FAIL " + one.name() + ": " + Reason.of(e));
      }
    }
    return good;
  }

  /** Asks {@code example.TestService/method} in the name of the caller; false on an RPC error. */
  boolean askAs(String caller) {
    Request request =
        Request.newBuilder()
            .setRequest1(caller + "-request1")
            .setRequest2(caller + "-request2")
            .build();
    try {
      Result result =
          TestServiceGrpc.newBlockingStub(channel)
              .withDeadline(CaseContext.limit())
              .method(request);
      System.out.println(result.getResult1());
      System.out.println(result.getResult2());
      return true;
    } catch (StatusRuntimeException e) {
      System.err.println(Reason.of(e));
      return false;
    }
  }

  @Override
  public void close() {
    channel.shutdownNow();
  }
}
