//! Responses: how their headers and trailers are written and read.

use std::borrow::Cow;

use ferrpc_http2::{Field, Fields, TooLarge};

use crate::metadata::DETAILS;
use crate::shown::Shown;
use crate::{Code, Encoding, Metadata, Status, binary, mapping, percent};

/// The fields that begin every gRPC response.
pub(super) fn head_fields<'a>(
    metadata: &'a Metadata,
    encoding: Encoding,
) -> impl Iterator<Item = Field<'a>> {
    let encoding = (encoding != Encoding::Identity).then(|| encoding.name());
    preamble()
        .into_iter()
        .chain(encoding.map(|name| plain(b"grpc-encoding", name.as_bytes())))
        .chain(metadata.fields().iter())
}

/// `:status` and content type.
pub(super) fn preamble() -> [Field<'static>; 2] {
    [plain(b":status", b"200"), plain(b"content-type", b"application/grpc")]
}

/// The texts of a status, ready to be fields.
pub(super) struct StatusFields<'a> {
    code: &'static [u8],
    message: Cow<'a, [u8]>,
    details: Option<Vec<u8>>,
    metadata: &'a Metadata,
}

impl<'a> StatusFields<'a> {
    pub(super) fn new(status: &'a Status) -> Self {
        // Among the metadata they stand where the application put them, or where they came.
        let details = (!status.is_ok()
            && !status.details().is_empty()
            && status.metadata().fields().value(DETAILS).is_none())
        .then(|| binary::encode_with(status.details(), <[u8]>::to_vec));
        Self {
            code: status.code().wire(),
            message: percent::encode(status.message()),
            details,
            metadata: status.metadata(),
        }
    }

    /// The size of the fields as HTTP/2 counts it.
    pub(super) fn list_size(&self) -> usize {
        self.iter().map(size_of_field).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        let message = (!self.message.is_empty()).then_some(&*self.message);
        std::iter::once(plain(b"grpc-status", self.code))
            .chain(message.map(|message| plain(b"grpc-message", message)))
            .chain(self.details.as_deref().map(|text| plain(DETAILS, text)))
            .chain(self.metadata.fields().iter())
    }
}

/// What of a status that is not OK fits into a list of `room` bytes, for a peer that takes lists of
/// `limit` bytes. The code always does. Details and metadata may take half of the room, and none of
/// them more than a quarter; then comes the message (its beginning, if there is not room for all of
/// it), then what else there is of the others. The message says that this is not all.
pub(super) fn shortened(status: &Status, room: usize, limit: usize) -> Status {
    let note = format!("(this status was shortened: the peer takes {limit} bytes of metadata)");
    let fixed = size_of_field(plain(b"grpc-status", status.code().wire()))
        + size_of_field(plain(b"grpc-message", note.as_bytes()));
    let Some(room) = room.checked_sub(fixed) else {
        return Status::new(status.code(), "");
    };
    let whole = StatusFields::new(status);
    let details = whole.details.as_deref().map(|text| plain(DETAILS, text));
    let fields: Vec<Field<'_>> =
        details.into_iter().chain(status.metadata().fields().iter()).collect();
    let mut kept = vec![false; fields.len()];
    // Takes fields as long as they fit; says how much they leave.
    let mut keep = |room: usize, most: usize| {
        fields.iter().zip(&mut kept).filter(|(_, kept)| !**kept).fold(
            room,
            |room, (field, kept)| {
                let size = size_of_field(*field);
                *kept = size <= room && size <= most;
                if *kept { room - size } else { room }
            },
        )
    };
    let mut room = room - room / 2 + keep(room / 2, room / 4);
    let mut message = String::new();
    for character in status.message().chars() {
        // A space follows; one at the beginning is three bytes.
        let spare = if message.is_empty() { 3 } else { 0 };
        let Some(left) = room.checked_sub(percent::encoded_length(character) + spare) else {
            break;
        };
        room = left;
        message.push(character);
    }
    keep(room, room);
    let space = if message.is_empty() { "" } else { " " };
    let mut out = Status::new(status.code(), message + space + &note);
    let (mut metadata, mut left) = (Fields::new(), fields.iter().zip(&kept));
    if details.is_some() && left.next().is_some_and(|(_, kept)| *kept) {
        out = out.with_details(status.details().clone());
    }
    for (field, _) in left.filter(|(_, kept)| **kept) {
        metadata.push_field(*field);
    }
    out.with_metadata(Metadata { fields: metadata })
}

/// The trailers of a call that succeeded.
pub(super) fn ok_fields(metadata: &Metadata) -> impl Iterator<Item = Field<'_>> {
    std::iter::once(plain(b"grpc-status", b"0")).chain(metadata.fields().iter())
}

/// The status in a header list, if there is one; the rest becomes its metadata. `Err`: a status of
/// ours, because the server's is OK, but some of what it sent cannot be read. The code of a
/// failure stays what it is: the message tells what is missing.
pub(super) fn read_status(
    fields: Fields,
    too_large: Option<TooLarge>,
    grow: impl FnOnce(usize, usize) -> Result<(), TooLarge>,
) -> Option<Result<Status, Status>> {
    let mut code = None;
    let mut message = Cow::Borrowed("");
    for field in fields.iter() {
        match field.name {
            b"grpc-status" => code = Some(combined(code, field.value)),
            b"grpc-message" if message.is_empty() => message = percent::decode(field.value),
            _ => {}
        }
    }
    let code = code?;
    let message = message.into_owned();
    let (metadata, unreadable) = Metadata::from_received(fields, grow);
    let missing = match (too_large, unreadable) {
        (None, None) => None,
        (Some(too_large), _) => Some(received_too_large(too_large)),
        (None, Some(unreadable)) => Some(Status::from(unreadable)),
    };
    let message = match missing {
        None => message,
        Some(missing) if code == Code::Ok => return Some(Err(missing)),
        Some(missing) => {
            let space = if message.is_empty() { "" } else { " " };
            let missing = missing.message();
            format!("{message}{space}(parts of this status are missing: {missing})")
        }
    };
    let status = Status::new(code, message);
    if metadata.is_empty() {
        return Some(Ok(status));
    }
    let details = metadata.fields().value(DETAILS).and_then(binary::decode).unwrap_or_default();
    Some(Ok(status.with_details(details).with_metadata(metadata)))
}

/// The code of one value, and of those before it. Where proxies have left several, or joined them
/// by commas, a failure counts rather than OK.
fn combined(before: Option<Code>, value: &[u8]) -> Code {
    match before {
        None if !value.contains(&b',') => Code::from_wire(value.trim_ascii()),
        None | Some(Code::Ok) => value
            .split(|byte| *byte == b',')
            .map(|value| Code::from_wire(value.trim_ascii()))
            .find(|code| *code != Code::Ok)
            .unwrap_or(Code::Ok),
        Some(failure) => failure,
    }
}

/// The status of a call whose metadata is larger than we take.
pub(super) fn received_too_large(too_large: TooLarge) -> Status {
    Status::resource_exhausted(format!("received metadata size {too_large}"))
}

/// The status of a response that is no gRPC response.
pub(super) fn foreign_status(http_status: u16, content_type: Option<&[u8]>) -> Status {
    let shown = match content_type {
        Some(value) => format!("content-type \"{}\"", Shown(value)),
        None => "no content-type".to_owned(),
    };
    let code =
        if http_status == 200 { Code::Unknown } else { mapping::code_of_http_status(http_status) };
    Status::new(
        code,
        format!(
            "the peer answered with HTTP status {http_status} and {shown}, which is no gRPC \
             response; is this the port of a gRPC server?"
        ),
    )
}

/// What a field adds to the size of its list (RFC 9113, 6.5.2).
pub(super) fn size_of_field(field: Field<'_>) -> usize {
    field.name.len() + field.value.len() + 32
}

const fn plain<'a>(name: &'a [u8], value: &'a [u8]) -> Field<'a> {
    Field { name, value, sensitive: false }
}
