//! What HTTP says, as gRPC codes.

use ferrpc_http2::Reason;

use crate::Code;

/// The code of a response with HTTP status `status` and no `grpc-status`
/// (http-grpc-status-mapping.md). Clients only.
pub(crate) const fn code_of_http_status(status: u16) -> Code {
    match status {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// The code of a call whose stream the peer reset (PROTOCOL-HTTP2.md, "Errors").
pub(crate) const fn code_of_reset(reason: Reason) -> Code {
    match reason {
        Reason::REFUSED_STREAM => Code::Unavailable,
        Reason::CANCEL => Code::Cancelled,
        Reason::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
        Reason::INADEQUATE_SECURITY => Code::PermissionDenied,
        _ => Code::Internal,
    }
}
