//! Requests: how their headers are read, and how they are written.

use std::sync::Arc;

use ferrpc_http2::{Field, Fields, TooLarge};

use crate::shown::Shown;
use crate::{Code, Encoding, EncodingSet, Metadata, Status, timeout};

use super::{RequestHead, StartCall};

/// What a request turned out to be.
#[derive(Clone)]
pub(super) enum Request {
    /// A gRPC call.
    Call(RequestHead),
    /// A gRPC call that is answered with this status at once.
    Refused(Status),
    /// No gRPC, and no content type: for whoever answers plain HTTP.
    Http(Fields),
    /// No gRPC: answered with this HTTP status.
    Foreign(u16),
}

/// Reads the headers of a request that is well formed HTTP; `any_path` as in [`super::Config`]. `grow`
/// is asked before the list becomes larger than it came, with its size and by how much.
pub(super) fn read(
    fields: Fields,
    accept: EncodingSet,
    any_path: bool,
    grow: impl FnOnce(usize, usize) -> Result<(), TooLarge>,
) -> Request {
    let mut head = RequestHead {
        path: Arc::default(),
        authority: None,
        metadata: Metadata::new(),
        deadline: None,
        timeout: None,
        encoding: Encoding::Identity,
        accept: EncodingSet::IDENTITY,
        content_subtype: None,
        end: false,
    };
    let mut post = false;
    let mut grpc = None;
    let mut path: &[u8] = b"";
    let mut host = None;
    let mut refused = None;
    for field in fields.iter() {
        match field.name {
            b":method" => post = field.value == b"POST",
            b":path" => path = field.value,
            b":authority" => head.authority = text(field.value),
            b"host" => host = text(field.value),
            b"content-type" => {
                let subtype = content_subtype(field.value);
                grpc = Some(subtype.is_some());
                let told = subtype.filter(|rest| (1..=MOST_SUBTYPE).contains(&rest.len()));
                head.content_subtype = told.and_then(text);
            }
            b"grpc-timeout" => match timeout::parse(field.value) {
                Ok(timeout) => head.timeout = Some(timeout),
                Err(_) => {
                    let shown = Shown(field.value);
                    refused = Some(Status::internal(format!("malformed grpc-timeout \"{shown}\"")));
                }
            },
            b"grpc-encoding" => match Encoding::from_name(field.value) {
                Some(encoding) if accept.contains(encoding) => head.encoding = encoding,
                found => {
                    let shown = Shown(field.value);
                    let message = match found {
                        // The words that programs know.
                        Some(_) => format!("Compression algorithm '{shown}' is disabled."),
                        None => format!("request encoding \"{shown}\" is not supported"),
                    };
                    refused = Some(with_accepted(Status::unimplemented(message), accept));
                }
            },
            b"grpc-accept-encoding" => head.accept = EncodingSet::parse(field.value),
            _ => {}
        }
    }
    match grpc {
        None => return Request::Http(fields),
        Some(false) => return Request::Foreign(415),
        Some(true) if !post => return Request::Foreign(405),
        Some(true) => {}
    }
    // A `host` beside an `:authority` is dropped, whether or not they agree (gRFC A41).
    head.authority = head.authority.take().or(host);
    match canonical_path(path) {
        Some(path) => head.path = path.into(),
        None if any_path => head.path = String::from_utf8_lossy(path).into(),
        None => {
            let shown = Shown(path);
            return Request::Refused(Status::unimplemented(format!(
                "malformed method name \"{shown}\": the path must be \"/service/method\""
            )));
        }
    }
    if let Some(status) = refused {
        return Request::Refused(status);
    }
    if head.timeout.is_some_and(|timeout| timeout.is_zero()) {
        return Request::Refused(Status::new(Code::DeadlineExceeded, DEADLINE_TEXT));
    }
    match Metadata::from_received(fields, grow) {
        (metadata, None) => head.metadata = metadata,
        (_, Some(unreadable)) => return Request::Refused(unreadable.into()),
    }
    Request::Call(head)
}

/// The path, if it is "/service/method" with nothing that two readers could take for different
/// things: the one parse that routing and policy both use.
fn canonical_path(path: &[u8]) -> Option<&str> {
    let path = std::str::from_utf8(path).ok()?;
    let (service, method) = path.strip_prefix('/')?.rsplit_once('/')?;
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'%' && byte != b'?' && byte != b'#')
    };
    let service_ok = service.split('/').all(plain);
    (service_ok && plain(method)).then_some(path)
}

/// What follows "application/grpc", if the content type is gRPC's.
pub(super) fn content_subtype(value: &[u8]) -> Option<&[u8]> {
    let rest = value.strip_prefix(b"application/grpc")?;
    match rest.first() {
        None | Some(b'+' | b';') => Some(rest),
        Some(_) => None,
    }
}

/// Says which encodings are supported, as a refusal for their sake must.
pub(super) fn with_accepted(mut status: Status, accept: EncodingSet) -> Status {
    status.metadata_mut().fields.push(b"grpc-accept-encoding", accept.header().as_bytes());
    status
}

fn text(value: &[u8]) -> Option<Arc<str>> {
    std::str::from_utf8(value).ok().map(Into::into)
}

/// The requests last read, by the marks of their header lists: a repeated one is not read again.
#[derive(Debug, Default)]
pub(super) struct RequestMemo {
    entries: Vec<(u64, RequestHead)>,
    next: usize,
}

impl RequestMemo {
    pub(super) fn find(&self, mark: u64) -> Option<RequestHead> {
        let (_, head) = self.entries.iter().find(|(known, _)| *known == mark)?;
        Some(head.clone())
    }

    pub(super) fn keep(&mut self, mark: u64, head: &RequestHead) {
        let entry = (mark, head.clone());
        match self.entries.get_mut(self.next) {
            Some(place) => *place = entry,
            None => self.entries.push(entry),
        }
        self.next = (self.next + 1) % MEMO_PLACES;
    }
}

/// Requests kept: as many as HTTP/2 keeps header blocks.
const MEMO_PLACES: usize = 4;

/// The header list of a request. `timeout` is what is left of the deadline.
pub(super) fn fields<'a>(
    start: &'a StartCall<'a>,
    accept: EncodingSet,
    timeout: Option<&'a [u8]>,
    attempts: Option<&'a [u8]>,
) -> impl Iterator<Item = Field<'a>> {
    let plain = |name, value| Field { name, value, sensitive: false };
    let encoding = (start.encoding != Encoding::Identity).then(|| start.encoding.name());
    [
        plain(b":method" as &[u8], b"POST" as &[u8]),
        plain(b":scheme", start.scheme.as_bytes()),
        plain(b":path", start.path.as_bytes()),
        plain(b":authority", start.authority.as_bytes()),
    ]
    .into_iter()
    .chain(timeout.map(move |timeout| plain(b"grpc-timeout", timeout)))
    .chain([
        plain(b"te", b"trailers"),
        plain(b"content-type", b"application/grpc"),
        plain(b"user-agent", start.user_agent.as_bytes()),
        plain(b"grpc-accept-encoding", accept.header().as_bytes()),
    ])
    .chain(encoding.map(move |name| plain(b"grpc-encoding", name.as_bytes())))
    .chain(attempts.map(move |count| plain(b"grpc-previous-rpc-attempts", count)))
    .chain(start.metadata.fields().iter())
}

/// Bytes of a content subtype that is told: names of formats are shorter.
const MOST_SUBTYPE: usize = 127;

/// The message of a deadline that passed.
pub(super) const DEADLINE_TEXT: &str = "Deadline Exceeded";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let check = |path: &str, well: bool| {
            assert_eq!(canonical_path(path.as_bytes()).is_some(), well, "{path}");
        };
        check("/example.TestService/method", true);
        check("/a/b/c", true);
        check("example.TestService/method", false);
        check("//method", false);
        check("/service/", false);
        check("/service", false);
        check("/a//b", false);
        check("/service/%6dethod", false);
        check("/service/method?x=1", false);
        check("/", false);
        check("", false);
        check("*", false);
    }

    #[test]
    fn content_types() {
        let check = |value: &str, well: bool| {
            assert_eq!(content_subtype(value.as_bytes()).is_some(), well, "{value}");
        };
        check("application/grpc", true);
        check("application/grpc+proto", true);
        check("application/grpc;charset=utf-8", true);
        check("application/grpc-web", false);
        check("application/grpcx", false);
        check("text/html", false);
    }
}
