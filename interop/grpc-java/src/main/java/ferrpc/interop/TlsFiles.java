package ferrpc.interop;

import io.grpc.ChannelCredentials;
import io.grpc.InsecureChannelCredentials;
import io.grpc.InsecureServerCredentials;
import io.grpc.ServerCredentials;
import io.grpc.TlsChannelCredentials;
import io.grpc.TlsServerCredentials;
import java.io.File;
import java.io.IOException;
import java.util.Map;
import java.util.Set;

/** PEM files: roots for the other side's certificate, and this side's certificate. */
record TlsFiles(File ca, File certificate, File key) {
  static final Set<String> FLAGS = Set.of("--tls-ca", "--tls-cert", "--tls-key");

  static TlsFiles of(Map<String, String> flags) throws UsageException {
    TlsFiles files =
        new TlsFiles(
            file(flags.get("--tls-ca")),
            file(flags.get("--tls-cert")),
            file(flags.get("--tls-key")));
    if ((files.certificate == null) != (files.key == null)) {
      throw new UsageException("--tls-cert and --tls-key go together");
    }
    return files;
  }

  /** TLS if there is a certificate; with roots, clients must have one. */
  ServerCredentials server() throws IOException {
    if (certificate == null) {
      return InsecureServerCredentials.create();
    }
    TlsServerCredentials.Builder builder =
        TlsServerCredentials.newBuilder().keyManager(certificate, key);
    if (ca != null) {
      builder.trustManager(ca).clientAuth(TlsServerCredentials.ClientAuth.REQUIRE);
    }
    return builder.build();
  }

  /** TLS if there are roots. */
  ChannelCredentials channel() throws IOException {
    if (ca == null) {
      return InsecureChannelCredentials.create();
    }
    TlsChannelCredentials.Builder builder = TlsChannelCredentials.newBuilder().trustManager(ca);
    if (certificate != null) {
      builder.keyManager(certificate, key);
    }
    return builder.build();
  }

  private static File file(String path) {
    return path == null ? null : new File(path);
  }
}
