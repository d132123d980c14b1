package ferrpc.interop;

import java.util.ArrayList;
import java.util.List;

/** A named case. */
record Case(String name, Body body) {
  @FunctionalInterface
  interface Body {
    void run(CaseContext context) throws CaseFailure, InterruptedException;
  }

  /** In the order of ../README.md. */
  static final List<Case> ALL =
      List.of(
          new Case("empty_unary", BasicCases::emptyUnary),
          new Case("large_unary", BasicCases::largeUnary),
          new Case("client_streaming", BasicCases::clientStreaming),
          new Case("server_streaming", BasicCases::serverStreaming),
          new Case("ping_pong", BasicCases::pingPong),
          new Case("empty_stream", BasicCases::emptyStream),
          new Case("custom_metadata", StatusCases::customMetadata),
          new Case("status_code_and_message", StatusCases::statusCodeAndMessage),
          new Case("special_status_message", StatusCases::specialStatusMessage),
          new Case("unimplemented_method", StatusCases::unimplementedMethod),
          new Case("unimplemented_service", StatusCases::unimplementedService),
          new Case("cancel_after_begin", EndCases::cancelAfterBegin),
          new Case("cancel_after_first_response", EndCases::cancelAfterFirstResponse),
          new Case("timeout_on_sleeping_server", EndCases::timeoutOnSleepingServer),
          new Case("big_unary", OwnCases::bigUnary),
          new Case("many_messages", OwnCases::manyMessages),
          new Case("gzip", OwnCases::gzip));

  static List<Case> choose(String names) throws UsageException {
    List<Case> chosen = new ArrayList<>();
    for (String name : names.split(",", -1)) {
      int before = chosen.size();
      ALL.stream()
          .filter(one -> name.equals("all") || name.equals(one.name))
          .forEachOrdered(chosen::add);
      if (chosen.size() == before) {
        throw new UsageException("no such case: '" + name + "'");
      }
    }
    return chosen;
  }
}
