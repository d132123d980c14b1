//! Command lines: flags in any order, each with a value or without.

use std::net::{SocketAddr, ToSocketAddrs};

/// Prints what is wrong and exits as for wrong usage.
pub fn usage(program: &str, text: &str) -> ! {
    eprintln!("{program}: {text}");
    std::process::exit(2);
}

/// The flags given, each of them one of `with_value` or `without`.
pub struct Flags {
    program: &'static str,
    given: Vec<(String, String)>,
}

impl Flags {
    pub fn parse(program: &'static str, with_value: &[&str], without: &[&str]) -> Self {
        let mut arguments = std::env::args().skip(1);
        let mut given = Vec::new();
        while let Some(flag) = arguments.next() {
            let value = if with_value.contains(&flag.as_str()) {
                match arguments.next() {
                    Some(value) => value,
                    None => usage(program, &format!("{flag} needs a value")),
                }
            } else if without.contains(&flag.as_str()) {
                String::new()
            } else {
                usage(program, &format!("unknown argument: {flag}"))
            };
            given.push((flag, value));
        }
        Self { program, given }
    }

    pub fn value(&self, flag: &str) -> Option<&str> {
        let found = self.given.iter().rfind(|(name, _)| name == flag);
        found.map(|(_, value)| value.as_str())
    }

    pub fn has(&self, flag: &str) -> bool {
        self.value(flag).is_some()
    }

    /// The HOST:PORT given with `flag`, as written and as an address.
    pub fn address(&self, flag: &str) -> (&str, SocketAddr) {
        let Some(text) = self.value(flag) else {
            usage(self.program, &format!("{flag} HOST:PORT is needed"));
        };
        match text.to_socket_addrs().map(|mut found| found.next()) {
            Ok(Some(address)) => (text, address),
            _ => usage(self.program, &format!("not HOST:PORT: {text}")),
        }
    }
}
