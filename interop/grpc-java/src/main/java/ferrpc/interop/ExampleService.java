package ferrpc.interop;

import example.TestServiceGrpc;
import example.TestServiceOuterClass.Request;
import example.TestServiceOuterClass.Result;
import io.grpc.stub.StreamObserver;
import java.util.Set;

/** {@code example.TestService}. */
final class ExampleService extends TestServiceGrpc.TestServiceImplBase {
  private static final String SUFFIX = "-request1";
  private static final Set<String> CALLERS = Set.of("java", "py", "rust", "go", "node");

  @Override
  public void method(Request request, StreamObserver<Result> responses) {
    String result1 = "f1";
    String result2 = "fn1";
    String request1 = request.getRequest1();
    if (request1.endsWith(SUFFIX)) {
      String caller = request1.substring(0, request1.length() - SUFFIX.length());
      if (CALLERS.contains(caller)) {
        result1 = "res1-" + caller + "-client->java-server";
        result2 = result1;
      }
    }
    responses.onNext(Result.newBuilder().setResult1(result1).setResult2(result2).build());
    responses.onCompleted();
  }
}
