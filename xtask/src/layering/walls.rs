//! Walls between the modules of a crate, as data: what a module must not see, and the files that
//! see it all the same. There may only be fewer of these.

use std::collections::BTreeSet;

use super::Rule;
use super::source::Source;

/// Modules at the top of a crate, and those that they must not see.
struct Wall {
    of: &'static str,
    modules: &'static [&'static str],
    hidden: &'static [&'static str],
}

/// A file that sees through a wall.
struct Exception {
    of: &'static str,
    file: &'static str,
    sees: &'static str,
    /// What has to be done to be rid of it.
    reason: &'static str,
}

const WALLS: &[Wall] = &[
    // Frames and header blocks are formats; streams and windows know no connection.
    Wall { of: "ferrpc-http2", modules: &["frame"], hidden: &["connection", "stream", "hpack"] },
    Wall { of: "ferrpc-http2", modules: &["hpack"], hidden: &["connection", "stream", "frame"] },
    Wall {
        of: "ferrpc-http2",
        modules: &["stream", "flow", "ledger", "ping", "validate", "fields"],
        hidden: &["connection"],
    },
    // Rules of the wire know nothing of who applies them; a transport knows one connection.
    Wall {
        of: "ferrpc-core",
        modules: &[
            "binary", "details", "encoding", "framing", "mapping", "metadata", "percent", "status",
            "timeout",
        ],
        hidden: &["transport", "call", "channel"],
    },
    Wall { of: "ferrpc-core", modules: &["transport"], hidden: &["call", "channel"] },
    // Bytes know nothing of who they come from or go to; what secures them knows no socket.
    Wall {
        of: "ferrpc-net",
        modules: &["streams"],
        hidden: &["tls", "credentials", "resolver", "socket", "connect", "listen"],
    },
    Wall {
        of: "ferrpc-net",
        modules: &["tls"],
        hidden: &["credentials", "resolver", "socket", "connect", "listen"],
    },
    Wall {
        of: "ferrpc-net",
        modules: &["credentials"],
        hidden: &["resolver", "socket", "connect", "listen"],
    },
    Wall {
        of: "ferrpc-net",
        modules: &["resolver"],
        hidden: &["tls", "credentials", "streams", "socket", "connect", "listen"],
    },
    Wall { of: "ferrpc-net", modules: &["socket"], hidden: &["credentials", "connect", "listen"] },
    Wall { of: "ferrpc-net", modules: &["connect"], hidden: &["listen"] },
    Wall { of: "ferrpc-net", modules: &["listen"], hidden: &["connect", "socket"] },
    // The driver moves bytes and time, whoever is behind it.
    Wall {
        of: "ferrpc",
        modules: &["transport"],
        hidden: &[
            "client",
            "server",
            "credentials",
            "codec",
            "interceptor",
            "method",
            "request",
            "streaming",
        ],
    },
    // What a user's types pass through is the same for both ends.
    Wall {
        of: "ferrpc",
        modules: &[
            "codec",
            "compression",
            "extensions",
            "interceptor",
            "method",
            "request",
            "rich",
            "streaming",
        ],
        hidden: &["client", "server"],
    },
    Wall { of: "ferrpc", modules: &["client"], hidden: &["server", "for_blocking"] },
    Wall { of: "ferrpc", modules: &["server"], hidden: &["client", "for_blocking"] },
    // A server's calls and a client's have nothing to do with each other.
    Wall {
        of: "ferrpc-blocking",
        modules: &["drains"],
        hidden: &["channel", "call", "connection", "raw", "shared"],
    },
    // One file is read before anything is known of others.
    Wall {
        of: "ferrpc-compiler",
        modules: &["parser", "lexer", "comments", "literal", "wire", "source_info"],
        hidden: &["link", "options", "check", "compile", "strip", "encode", "decode"],
    },
    // A generator for one language knows no other, and no command line.
    Wall {
        of: "ferrpc-codegen",
        modules: &["python"],
        hidden: &["protoc", "builder", "messages", "service"],
    },
    Wall {
        of: "ferrpc-codegen",
        modules: &["builder", "messages", "service"],
        hidden: &["python", "protoc"],
    },
    Wall { of: "ferrpc-python", modules: &["client"], hidden: &["server", "aio"] },
    Wall { of: "ferrpc-python", modules: &["server"], hidden: &["client", "aio"] },
    Wall { of: "ferrpc-python", modules: &["credentials"], hidden: &["client", "server", "aio"] },
    Wall {
        of: "ferrpc-python",
        modules: &[
            "completions",
            "contract",
            "fork",
            "metadata",
            "metadata_limits",
            "runtime",
            "trace",
            "waiting",
        ],
        hidden: &["client", "server", "aio", "credentials"],
    },
];

const EXCEPTIONS: &[Exception] = &[Exception {
    of: "ferrpc-core",
    file: "framing.rs",
    sees: "transport",
    reason: "`Message` and `Run` belong beside the framing",
}];

/// The walls of each crate, and the list of exceptions.
pub(super) fn rules(sources: &[Source]) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut used = BTreeSet::new();
    for wall in WALLS {
        let broken = match sources.iter().find(|source| source.name == wall.of) {
            Some(source) => broken(wall, source, &mut used),
            None => vec![format!("there is no crate {}", wall.of)],
        };
        rules.push(Rule { name: "walls", broken });
    }
    let stale = EXCEPTIONS.iter().enumerate().filter(|(at, _)| !used.contains(at));
    let stale = stale.map(|(_, Exception { of, file, sees, .. })| {
        format!("{of}: {file} does not see `{sees}` any more: take its exception out of {HERE}")
    });
    rules.push(Rule { name: "exceptions from walls", broken: stale.collect() });
    let empty = EXCEPTIONS.iter().filter(|exception| exception.reason.is_empty());
    let empty =
        empty.map(|exception| format!("{}: {} has no reason", exception.of, exception.file));
    rules.push(Rule { name: "reasons of exceptions", broken: empty.collect() });
    rules
}

fn broken(wall: &Wall, source: &Source, used: &mut BTreeSet<usize>) -> Vec<String> {
    let top =
        |file: &str| file.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned();
    let mut broken = Vec::new();
    for name in wall.modules.iter().chain(wall.hidden) {
        if !source.files.keys().any(|file| top(file) == *name) {
            broken.push(format!("{} has no module {name}: put {HERE} right", wall.of));
        }
    }
    for (path, file) in &source.files {
        if !wall.modules.contains(&top(path).as_str()) {
            continue;
        }
        for hidden in wall.hidden.iter().filter(|hidden| file.sees.contains(**hidden)) {
            let exception = EXCEPTIONS.iter().position(|exception| {
                exception.of == wall.of && exception.file == path && exception.sees == *hidden
            });
            match exception {
                Some(at) => _ = used.insert(at),
                None => broken.push(format!(
                    "crates/{}/src/{path} sees `{hidden}`, which `{}` must not ({HERE})",
                    wall.of,
                    top(path)
                )),
            }
        }
    }
    broken
}

const HERE: &str = "xtask/src/layering/walls.rs";

#[cfg(test)]
mod tests {
    use super::super::source::File;
    use super::*;

    fn source(files: &[(&str, &[&str])]) -> Source {
        let file = |sees: &[&str]| File {
            sees: sees.iter().map(|name| (*name).to_owned()).collect(),
            ..File::default()
        };
        let files = files.iter().map(|(path, sees)| ((*path).to_owned(), file(sees)));
        Source { name: "ferrpc".to_owned(), files: files.collect() }
    }

    const WALL: Wall = Wall { of: "ferrpc", modules: &["client"], hidden: &["server", "blocking"] };

    #[test]
    fn a_wall_with_a_hole() {
        let holds = [("client/mod.rs", &[][..]), ("server.rs", &["client"]), ("blocking.rs", &[])];
        assert_eq!(broken(&WALL, &source(&holds), &mut BTreeSet::new()), [""; 0]);
        let hole = [("client/mod.rs", &["server"][..]), ("server.rs", &[]), ("blocking.rs", &[])];
        let broken = broken(&WALL, &source(&hole), &mut BTreeSet::new());
        assert_eq!(
            broken,
            ["crates/ferrpc/src/client/mod.rs sees `server`, which `client` must not \
              (xtask/src/layering/walls.rs)"]
        );
    }

    #[test]
    fn an_exception_is_for_one_file() {
        let wall = Wall { of: "ferrpc-core", modules: &["framing"], hidden: &["transport"] };
        let used = |file| {
            let mut used = BTreeSet::new();
            let source = source(&[(file, &["transport"][..]), ("transport.rs", &[])]);
            let source = Source { name: "ferrpc-core".to_owned(), ..source };
            (broken(&wall, &source, &mut used).len(), used.len())
        };
        assert_eq!(used("framing.rs"), (0, 1));
        assert_eq!(used("framing/other.rs"), (1, 0));
    }

    #[test]
    fn a_module_that_is_gone_is_no_wall() {
        let files = [("client/mod.rs", &[][..]), ("blocking.rs", &[])];
        assert_eq!(broken(&WALL, &source(&files), &mut BTreeSet::new()).len(), 1);
    }
}
