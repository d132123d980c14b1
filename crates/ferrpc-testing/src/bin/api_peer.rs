//! Lends the scripted peers of the suite over every API to programs in other languages.
//!
//! ```text
//! api_peer testdata/apis
//! ```
//!
//! It speaks JSON, one object a line. First it says `{"root": "<PEM>"}`: whom its peers prove to be.
//! Then each line of its input is a command, answered by one line:
//!
//! - `{"start": NAME, "transport": "tcp" | "unix" | "tls"}`: plays a scenario; answered with `target` and
//!   `addresses`.
//! - `{"meet": NAME}`: waits until a peer comes to that place of its script. `{"release": NAME}`: lets it
//!   go on from there.
//! - `{"listen": true | false}`: the peer's address listens, or refuses.
//! - `{"finish": true}`: ends the scenario; answered with what its peers saw. `{"leave": true}`: the same,
//!   of which nobody wants to know what they saw, so that they need not be waited for.
//!
//! A command that fails is answered with `{"error": TEXT}`. It ends with its input.

use std::io::{self, BufRead, Write};
use std::path::Path;

use ferrpc_testing::apis::{Host, Scenario, Transport, certificates, load};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
struct Command {
    start: Option<String>,
    transport: Option<Transport>,
    meet: Option<String>,
    release: Option<String>,
    listen: Option<bool>,
    #[serde(default)]
    finish: bool,
    #[serde(default)]
    leave: bool,
}

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).ok_or_else(|| io::Error::other("which folder?"))?;
    let scenarios = load(Path::new(&folder));
    let mut host = None;
    say(&json!({ "root": certificates().root }))?;
    for line in io::stdin().lock().lines() {
        let answer = serde_json::from_str(&line?)
            .map_err(io::Error::other)
            .and_then(|command| obey(&command, &scenarios, &mut host));
        say(&answer.unwrap_or_else(|error| json!({ "error": error.to_string() })))?;
    }
    Ok(())
}

fn say(answer: &Value) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{answer}")?;
    stdout.flush()
}

fn obey(
    command: &Command,
    scenarios: &[(String, Scenario)],
    host: &mut Option<Host>,
) -> io::Result<Value> {
    if let Some(name) = &command.start {
        let scenario = scenarios.iter().find(|(_, scenario)| scenario.name == *name);
        let (_, scenario) =
            scenario.ok_or_else(|| io::Error::other("there is no such scenario"))?;
        let started = Host::start(scenario, command.transport.unwrap_or(Transport::Tcp))?;
        let answer = json!({ "target": started.target(), "addresses": started.addresses() });
        *host = Some(started);
        return Ok(answer);
    }
    if command.leave {
        *host = None;
        return Ok(json!({}));
    }
    let none = || io::Error::other("nothing was started");
    if command.finish {
        let seen = host.take().ok_or_else(none)?.finish();
        return Ok(json!({
            "connections": seen.connections,
            "requests": seen.requests,
            "fewest": seen.fewest,
            "received": seen.received,
            "resets": seen.resets,
            "faults": seen.faults,
        }));
    }
    let host = host.as_mut().ok_or_else(none)?;
    if let Some(name) = &command.meet {
        host.meet(name)?;
    }
    if let Some(name) = &command.release {
        host.release(name);
    }
    if let Some(listen) = command.listen {
        host.listen(listen)?;
    }
    Ok(json!({}))
}
