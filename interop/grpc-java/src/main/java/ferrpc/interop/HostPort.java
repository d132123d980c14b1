package ferrpc.interop;

import java.net.InetSocketAddress;

/** The HOST:PORT form of an address. */
final class HostPort {
  private HostPort() {}

  static InetSocketAddress parse(String flag, String text) throws UsageException {
    if (text == null) {
      throw new UsageException(flag + " is missing");
    }
    int colon = text.lastIndexOf(':');
    try {
      String host = text.substring(0, Math.max(colon, 0)).replaceAll("^\\[|\\]$", "");
      InetSocketAddress address =
          new InetSocketAddress(host, Integer.parseInt(text.substring(colon + 1)));
      if (!host.isEmpty() && !address.isUnresolved()) {
        return address;
      }
    } catch (IllegalArgumentException e) {
      // No port, or one out of range: said below.
    }
    throw new UsageException(flag + ": not an address: '" + text + "'");
  }

  static String format(InetSocketAddress address) {
    String host = address.getAddress().getHostAddress();
    return (host.contains(":") ? "[" + host + "]" : host) + ":" + address.getPort();
  }
}
