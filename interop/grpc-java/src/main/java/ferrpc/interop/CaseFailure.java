package ferrpc.interop;

/** What a case saw is not what it should be. */
final class CaseFailure extends Exception {
  private static final long serialVersionUID = 1;

  CaseFailure(String message) {
    super(message);
  }
}
