//! Responses: how their headers and trailers are written and read.

use std::borrow::Cow;

use ferrpc_http2::{Field, Fields};

use crate::{Code, Encoding, Metadata, Status, binary, details, mapping, percent};

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
        let details = (!status.is_ok() && !status.details().is_empty())
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
        self.iter().map(|field| field.name.len() + field.value.len() + 32).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        let message = (!self.message.is_empty()).then_some(&*self.message);
        std::iter::once(plain(b"grpc-status", self.code))
            .chain(message.map(|message| plain(b"grpc-message", message)))
            .chain(self.details.as_deref().map(|text| plain(b"grpc-status-details-bin", text)))
            .chain(self.metadata.fields().iter())
    }
}

/// The trailers of a call that succeeded.
pub(super) fn ok_fields(metadata: &Metadata) -> impl Iterator<Item = Field<'_>> {
    std::iter::once(plain(b"grpc-status", b"0")).chain(metadata.fields().iter())
}

/// The status in a list of trailers, if there is one; the rest becomes its metadata. `Err`: a
/// status of ours, because the trailers are not what they should be.
pub(super) fn read_status(fields: Fields) -> Option<Result<Status, Status>> {
    let code = fields.value(b"grpc-status")?;
    let code = Code::from_wire(code);
    let message =
        fields.value(b"grpc-message").map(percent::decode).unwrap_or_default().into_owned();
    let details = fields
        .value(b"grpc-status-details-bin")
        .filter(|_| code != Code::Ok)
        .and_then(binary::decode)
        // Details that name another code belong to another status: they are dropped.
        .filter(|details| details_agree(details, code))
        .unwrap_or_default();
    let metadata = match Metadata::from_received(fields) {
        Ok(metadata) => metadata,
        Err(bad) => return Some(Err(bad.into())),
    };
    Some(Ok(Status::new(code, message).with_details(details).with_metadata(metadata)))
}

fn details_agree(bytes: &[u8], code: Code) -> bool {
    details::read(bytes).is_some_and(|status| status.code == i32::from(code as u8))
}

/// The status of a response that is no gRPC response.
pub(super) fn foreign_status(http_status: u16, content_type: Option<&[u8]>) -> Status {
    let shown = match content_type {
        Some(value) => format!("content-type \"{}\"", value.escape_ascii()),
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

const fn plain<'a>(name: &'a [u8], value: &'a [u8]) -> Field<'a> {
    Field { name, value, sensitive: false }
}
