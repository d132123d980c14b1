package ferrpc.interop;

import com.google.protobuf.ByteString;
import io.grpc.testing.integration.Payload;
import io.grpc.testing.integration.ResponseParameters;
import io.grpc.testing.integration.SimpleRequest;
import io.grpc.testing.integration.StreamingInputCallRequest;
import io.grpc.testing.integration.StreamingOutputCallRequest;

/** The messages that the cases send, and the check of what comes back. */
final class Messages {
  private Messages() {}

  static SimpleRequest simpleRequest(int size, int responseSize) {
    return SimpleRequest.newBuilder()
        .setPayload(zeros(size))
        .setResponseSize(responseSize)
        .build();
  }

  static StreamingInputCallRequest inputRequest(int size) {
    return StreamingInputCallRequest.newBuilder().setPayload(zeros(size)).build();
  }

  static StreamingOutputCallRequest outputRequest(int size, int... responseSizes) {
    StreamingOutputCallRequest.Builder request =
        StreamingOutputCallRequest.newBuilder().setPayload(zeros(size));
    for (int responseSize : responseSizes) {
      request.addResponseParameters(ResponseParameters.newBuilder().setSize(responseSize));
    }
    return request.build();
  }

  static void checkSize(Payload payload, int wanted) throws CaseFailure {
    int size = payload.getBody().size();
    if (size != wanted) {
      throw new CaseFailure("a payload of " + size + " bytes, not " + wanted);
    }
  }

  private static Payload zeros(int size) {
    return Payload.newBuilder().setBody(ByteString.copyFrom(new byte[size])).build();
  }
}
