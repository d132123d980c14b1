package ferrpc.interop;

import io.grpc.Server;
import io.grpc.ServerInterceptors;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;

/** Serves both services on one port. */
final class PeerServer {
  private PeerServer() {}

  /** Returns when standard input ends: the starter's end closes it also when it cannot kill us. */
  static void serve(InetSocketAddress address, TlsFiles tls) throws UsageException, IOException {
    // A test server with no authentication has no business on other addresses.
    if (!address.getAddress().isLoopbackAddress()) {
      throw new UsageException("--listen: not a loopback address: " + HostPort.format(address));
    }
    Server server =
        NettyServerBuilder.forAddress(address, tls.server())
            .maxInboundMessageSize(Main.MAX_MESSAGE_SIZE)
            .addService(ServerInterceptors.intercept(new InteropService(), new MetadataEcho()))
            .addService(new ExampleService())
            .build()
            .start();
    System.out.println(
        "listening on " + HostPort.format((InetSocketAddress) server.getListenSockets().get(0)));
    System.in.transferTo(OutputStream.nullOutputStream());
    server.shutdownNow();
  }
}
