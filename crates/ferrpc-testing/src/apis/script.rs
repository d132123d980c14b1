//! What a peer does on one connection: steps, separated by semicolons.
//!
//! ```text
//!   settings max_streams=1; requested; headers; message 5 3; goaway this NO_ERROR; close
//! ```
//!
//! Behind its last step a peer goes on reading, and answers SETTINGS and PING, until the client has
//! closed the connection.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Deserialize;

/// The steps of a peer on one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Script(pub(super) Vec<Action>);

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Reads the preface, sends SETTINGS. With `window=0` it gives no credit for what it reads.
    Settings { entries: BTreeMap<u16, u32>, credit: bool },
    /// Waits for the next request's headers; what follows is about that call.
    Request,
    /// Waits for the end of its requests (and before that for a request, if there was none).
    Requested,
    /// Goes back to a request by its number on this connection, from 1.
    On(usize),
    /// Response headers.
    Headers,
    /// Messages of so many bytes, and how many.
    Messages { size: usize, count: usize },
    /// Trailers, with headers before them unless the response has begun.
    Trailers { code: String, text: String },
    /// `requested`, headers, a message, trailers with OK; of so many calls, one after the other.
    Answer(usize),
    /// The same with all calls that come, until the client has closed the connection.
    Serve,
    /// The beginning of a message: it announces so many bytes, and half of them follow.
    Part(usize),
    /// Any frame: kind, flags, stream, and the payload in hexadecimal digits.
    Frame { kind: u8, flags: u8, stream: Last, payload: Vec<u8> },
    /// Reads nothing for so many milliseconds.
    Pause(u64),
    /// From now on answers no PING.
    Mute,
    /// From now on waits a millisecond behind each of the next frames of requests.
    Slowly,
    /// RST_STREAM.
    Reset(u32),
    /// GOAWAY: the last stream processed, the code, and a text.
    Goaway { last: Last, code: u32, text: String },
    /// Half-closes the connection (FIN), behind all that was sent.
    Close,
    /// Resets the connection (RST).
    Abort,
    /// Waits until the client's script releases it.
    Meet(String),
    /// Waits for RST_STREAM of the current call.
    Cancelled,
    /// Waits until the client has closed the connection.
    Gone,
    /// Sends a text as it is; `\r` and `\n` are written so.
    Say(String),
    /// Headers of these fields, as other servers send them, and whether they end the stream:
    /// `fields :status=503 content-type=text/html`, `only :status=404`.
    Fields { list: Vec<(String, String)>, end: bool },
}

/// A stream: the current call's, or any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    This,
    Number(u32),
}

impl TryFrom<String> for Script {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let steps = text.split(';').map(str::trim).filter(|step| !step.is_empty());
        let actions = steps.map(|step| action(step).ok_or_else(|| format!("no step: {step:?}")));
        Ok(Self(actions.collect::<Result<_, _>>()?))
    }
}

fn action(step: &str) -> Option<Action> {
    let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
    let mut words = rest.split_whitespace();
    Some(match verb {
        "settings" => settings(words)?,
        "request" => Action::Request,
        "requested" => Action::Requested,
        "on" => Action::On(rest.parse().ok()?),
        "headers" => Action::Headers,
        "fields" | "only" => {
            let field = |word: &str| {
                let (name, value) = word.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
            };
            Action::Fields { list: words.map(field).collect::<Option<_>>()?, end: verb == "only" }
        }
        "message" => Action::Messages {
            size: words.next().unwrap_or("5").parse().ok()?,
            count: words.next().unwrap_or("1").parse().ok()?,
        },
        "trailers" => {
            let (code, text) = rest.split_once(' ').unwrap_or((rest, ""));
            Action::Trailers { code: code.to_owned(), text: text.to_owned() }
        }
        "answer" => Action::Answer(if rest.is_empty() { 1 } else { rest.parse().ok()? }),
        "serve" => Action::Serve,
        "part" => Action::Part(rest.parse().ok()?),
        "frame" => Action::Frame {
            kind: words.next()?.parse().ok()?,
            flags: words.next()?.parse().ok()?,
            stream: stream(words.next()?)?,
            payload: bytes(words.next().unwrap_or_default())?,
        },
        "pause" => Action::Pause(rest.parse().ok()?),
        "slowly" => Action::Slowly,
        "mute" => Action::Mute,
        "reset" => Action::Reset(reason(rest)?),
        "goaway" => Action::Goaway {
            last: stream(words.next()?)?,
            code: reason(words.next()?)?,
            text: words.collect::<Vec<_>>().join(" "),
        },
        "close" => Action::Close,
        "abort" => Action::Abort,
        "meet" => Action::Meet(rest.to_owned()),
        "cancelled" => Action::Cancelled,
        "gone" => Action::Gone,
        "say" => Action::Say(rest.replace("\\r", "\r").replace("\\n", "\n")),
        _ => return None,
    })
}

fn settings<'a>(words: impl Iterator<Item = &'a str>) -> Option<Action> {
    let mut entries = BTreeMap::new();
    let mut credit = true;
    for word in words {
        let (name, value) = word.split_once('=')?;
        let value = value.parse().ok()?;
        let id = match name {
            "max_streams" => 3,
            "window" => {
                credit = false;
                4
            }
            "max_headers" => 6,
            _ => return None,
        };
        entries.insert(id, value);
    }
    Some(Action::Settings { entries, credit })
}

fn stream(word: &str) -> Option<Last> {
    if word == "this" { Some(Last::This) } else { word.parse().ok().map(Last::Number) }
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pairs = (0..digits.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}

/// The code of an HTTP/2 error by its name.
fn reason(name: &str) -> Option<u32> {
    (0..=MAX_REASON).find(|code| ferrpc_http2::Reason(*code).to_string() == name)
}

/// HTTP_1_1_REQUIRED.
const MAX_REASON: u32 = 0xd;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps() {
        let script: Script =
            "settings max_streams=1; goaway this CANCEL so it is;".parse().expect("one");
        let settings = Action::Settings { entries: BTreeMap::from([(3, 1)]), credit: true };
        let goaway = Action::Goaway { last: Last::This, code: 8, text: "so it is".to_owned() };
        assert_eq!(script, Script(vec![settings, goaway]));
        assert!("settings; dance".parse::<Script>().is_err());
    }
}
