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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_statuses() {
        let named = [400, 401, 403, 404, 429, 502, 503, 504].map(|status| {
            let code = code_of_http_status(status);
            (status, code.name())
        });
        assert_eq!(
            named,
            [
                (400, "INTERNAL"),
                (401, "UNAUTHENTICATED"),
                (403, "PERMISSION_DENIED"),
                (404, "UNIMPLEMENTED"),
                (429, "UNAVAILABLE"),
                (502, "UNAVAILABLE"),
                (503, "UNAVAILABLE"),
                (504, "UNAVAILABLE"),
            ]
        );
        for status in (0..=u16::MAX).filter(|status| !named.iter().any(|(n, _)| n == status)) {
            assert_eq!(code_of_http_status(status), Code::Unknown, "{status}");
        }
    }

    #[test]
    fn resets() {
        for number in 0..300 {
            let expected = match number {
                0x7 => Code::Unavailable,
                0x8 => Code::Cancelled,
                0xb => Code::ResourceExhausted,
                0xc => Code::PermissionDenied,
                _ => Code::Internal,
            };
            assert_eq!(code_of_reset(Reason(number)), expected, "{number}");
        }
    }
}
