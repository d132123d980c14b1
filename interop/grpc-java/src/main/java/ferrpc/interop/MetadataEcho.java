package ferrpc.interop;

import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.testing.integration.TestServiceGrpc;
import java.util.Set;

/** Sends the metadata that asks for it back; services do not see metadata in grpc-java. */
final class MetadataEcho implements ServerInterceptor {
  static final Metadata.Key<String> INITIAL =
      Metadata.Key.of("x-grpc-test-echo-initial", Metadata.ASCII_STRING_MARSHALLER);
  static final Metadata.Key<byte[]> TRAILING =
      Metadata.Key.of("x-grpc-test-echo-trailing-bin", Metadata.BINARY_BYTE_MARSHALLER);

  private static final Set<String> METHODS =
      Set.of(
          TestServiceGrpc.getUnaryCallMethod().getFullMethodName(),
          TestServiceGrpc.getFullDuplexCallMethod().getFullMethodName());

  @Override
  public <Q, R> ServerCall.Listener<Q> interceptCall(
      ServerCall<Q, R> call, Metadata received, ServerCallHandler<Q, R> next) {
    boolean echoes = METHODS.contains(call.getMethodDescriptor().getFullMethodName());
    return next.startCall(echoes ? new EchoingCall<>(call, received) : call, received);
  }

  private static final class EchoingCall<Q, R> extends SimpleForwardingServerCall<Q, R> {
    private final Metadata received;
    private boolean headersSent;

    EchoingCall(ServerCall<Q, R> call, Metadata received) {
      super(call);
      this.received = received;
    }

    @Override
    public void sendHeaders(Metadata headers) {
      headersSent = true;
      echo(INITIAL, headers);
      super.sendHeaders(headers);
    }

    @Override
    public void close(Status status, Metadata trailers) {
      // A call without responses would end by trailers alone.
      if (!headersSent && received.containsKey(INITIAL)) {
        sendHeaders(new Metadata());
      }
      echo(TRAILING, trailers);
      super.close(status, trailers);
    }

    private <T> void echo(Metadata.Key<T> key, Metadata target) {
      Iterable<T> values = received.getAll(key);
      if (values != null) {
        values.forEach(value -> target.put(key, value));
      }
    }
  }
}
