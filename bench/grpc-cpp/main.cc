#include <cstring>
#include <iostream>

#include "server.h"

bool announce(const std::string& address, int port) {
  if (port == 0) {
    std::cerr << "server: cannot listen on " << address << std::endl;
    return false;
  }
  std::cout << "listening on " << address.substr(0, address.rfind(':')) << ":" << port << std::endl;
  return true;
}

int main(int argc, char** argv) {
  std::string address;
  bool async = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--async") == 0) {
      async = true;
    } else if (std::strcmp(argv[i], "--listen") == 0 && i + 1 < argc) {
      address = argv[++i];
    } else {
      address.clear();
      break;
    }
  }
  if (address.find(':') == std::string::npos) {
    std::cerr << "usage: server --listen HOST:PORT [--async]" << std::endl;
    return 2;
  }
  return async ? serve_async(address) : serve_callback(address);
}
