package ferrpc.interop;

import io.grpc.Status;
import io.grpc.StatusRuntimeException;

/** Failures in words that fit on the line of their case. */
final class Reason {
  private Reason() {}

  static String of(Throwable failure) {
    String text;
    if (failure instanceof CaseFailure) {
      text = failure.getMessage();
    } else if (failure instanceof StatusRuntimeException) {
      text = of(((StatusRuntimeException) failure).getStatus());
    } else {
      text = failure.toString();
    }
    return oneLine(text);
  }

  static String of(Status status) {
    StringBuilder text = new StringBuilder(status.getCode().toString());
    if (status.getDescription() != null) {
      text.append(": ").append(status.getDescription());
    }
    // grpc-java tells only the cause what the network said; its own text has the stack trace too.
    if (status.getCause() != null) {
      text.append(" (").append(status.getCause().getMessage()).append(')');
    }
    return oneLine(text.toString());
  }

  private static String oneLine(String text) {
    return text.replace("\n", "\\n").replace("\r", "\\r");
  }
}
