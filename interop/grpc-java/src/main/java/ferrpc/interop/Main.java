package ferrpc.interop;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.logging.Level;
import java.util.logging.Logger;

/** The grpc-java peer of ferrpc's interop tests; ../README.md is its contract. */
public final class Main {
  /** Both ends take messages up to this size. */
  static final int MAX_MESSAGE_SIZE = 16 << 20;

  // A field, as a logger that nothing holds forgets its level.
  private static final Logger GRPC_LOGGER = Logger.getLogger("io.grpc");

  private static final String USAGE =
      """
      usage:
        server --listen HOST:PORT [TLS]
        client --connect HOST:PORT --case CASE[,CASE...] [TLS]
        client --connect HOST:PORT --as CALLER [TLS]
      where TLS is: [--tls-ca FILE] [--tls-cert FILE --tls-key FILE]""";

  private Main() {}

  public static void main(String[] args) throws InterruptedException {
    // Status messages are printed, and the locale may know ASCII only.
    System.setOut(utf8(FileDescriptor.out));
    System.setErr(utf8(FileDescriptor.err));
    GRPC_LOGGER.setLevel(Level.WARNING); // what it says of itself at each start is of no use here
    int exitStatus;
    try {
      exitStatus = run(List.of(args));
    } catch (UsageException e) {
      System.err.println("wrong usage: " + e.getMessage());
      System.err.println(USAGE);
      exitStatus = 2;
    } catch (IOException e) {
      System.err.println(e.getMessage());
      exitStatus = 1;
    }
    System.exit(exitStatus);
  }

  private static int run(List<String> args)
      throws UsageException, IOException, InterruptedException {
    String end = args.isEmpty() ? "" : args.get(0);
    switch (end) {
      case "server":
        Map<String, String> flags = parse(args, Set.of("--listen"), TlsFiles.FLAGS);
        PeerServer.serve(HostPort.parse("--listen", flags.get("--listen")), TlsFiles.of(flags));
        return 0;
      case "client":
        return client(parse(args, Set.of("--connect", "--case", "--as"), TlsFiles.FLAGS));
      default:
        throw new UsageException("server or client? not '" + end + "'");
    }
  }

  private static int client(Map<String, String> flags) throws UsageException, IOException {
    String names = flags.get("--case");
    String caller = flags.get("--as");
    if ((names == null) == (caller == null)) {
      throw new UsageException("client needs one of --case and --as");
    }
    List<Case> cases = names == null ? List.of() : Case.choose(names);
    try (PeerClient client =
        new PeerClient(
            HostPort.parse("--connect", flags.get("--connect")), TlsFiles.of(flags))) {
      boolean good = names == null ? client.askAs(caller) : client.runCases(cases);
      return good ? 0 : 1;
    }
  }

  private static Map<String, String> parse(
      List<String> args, Set<String> known, Set<String> more)
      throws UsageException {
    Map<String, String> flags = new HashMap<>();
    for (int i = 1; i < args.size(); i += 2) {
      String flag = args.get(i);
      if (!known.contains(flag) && !more.contains(flag)) {
        throw new UsageException("unexpected '" + flag + "'");
      }
      if (i + 1 == args.size()) {
        throw new UsageException(flag + " needs a value");
      }
      flags.put(flag, args.get(i + 1));
    }
    return flags;
  }

  private static PrintStream utf8(FileDescriptor descriptor) {
    return new PrintStream(new FileOutputStream(descriptor), true, StandardCharsets.UTF_8);
  }
}
