//! What a header list must look like (RFC 9113, 8.2 and 8.3).
//!
//! A broken rule makes the message malformed: its stream ends with PROTOCOL_ERROR. Bytes in values
//! that are merely unusual pass; the layer above decides about them.

use crate::Fields;

/// What the stream's state needs to know of a list that is well formed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) content_length: Option<u64>,
    /// The status of a response; 0 in requests.
    pub(crate) status: u16,
}

/// The list is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Checks a request's header list.
pub(crate) fn request(fields: &Fields) -> Result<Facts, Malformed> {
    let (mut method, mut scheme, mut path, mut authority) = (None, false, false, false);
    let mut regular = false;
    let mut facts = Facts::default();
    for field in fields.iter() {
        if field.name.first() == Some(&b':') {
            // An empty pseudo-header value (but for an absent authority) names nothing.
            if regular || field.value.is_empty() || !is_value(field.value) {
                return Err(Malformed);
            }
            let twice = match field.name {
                b":method" => method.replace(field.value).is_some(),
                b":scheme" => std::mem::replace(&mut scheme, true),
                b":path" => std::mem::replace(&mut path, true),
                b":authority" => std::mem::replace(&mut authority, true),
                _ => true,
            };
            if twice {
                return Err(Malformed);
            }
            continue;
        }
        regular = true;
        check_regular(field.name, field.value, &mut facts)?;
    }
    match method {
        // CONNECT has an authority alone (8.5); it is well formed, whatever is made of it.
        Some(b"CONNECT") if !scheme && !path && authority => Ok(facts),
        Some(_) if scheme && path => Ok(facts),
        _ => Err(Malformed),
    }
}

/// Checks a response's header list.
pub(crate) fn response(fields: &Fields) -> Result<Facts, Malformed> {
    let mut facts = Facts::default();
    let mut regular = false;
    for field in fields.iter() {
        if field.name.first() == Some(&b':') {
            if regular || field.name != b":status" || facts.status != 0 {
                return Err(Malformed);
            }
            facts.status = status(field.value).ok_or(Malformed)?;
            continue;
        }
        regular = true;
        check_regular(field.name, field.value, &mut facts)?;
    }
    if facts.status == 0 { Err(Malformed) } else { Ok(facts) }
}

/// Checks a trailer section.
pub(crate) fn trailers(fields: &Fields) -> Result<(), Malformed> {
    let mut facts = Facts::default();
    for field in fields.iter() {
        if field.name.first() == Some(&b':') {
            return Err(Malformed);
        }
        check_regular(field.name, field.value, &mut facts)?;
    }
    Ok(())
}

fn check_regular(name: &[u8], value: &[u8], facts: &mut Facts) -> Result<(), Malformed> {
    if !is_name(name) || !is_value(value) {
        return Err(Malformed);
    }
    match name {
        b"te" if value != b"trailers" => Err(Malformed),
        b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
            Err(Malformed)
        }
        b"content-length" => {
            let length = decimal(value).ok_or(Malformed)?;
            match facts.content_length.replace(length) {
                Some(other) if other != length => Err(Malformed),
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Not empty, no control character, no space, no upper case, no DEL or above, no colon (8.2.1).
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&byte| NAME[byte as usize])
}

/// No NUL, CR or LF (8.2.1).
fn is_value(value: &[u8]) -> bool {
    // Without a branch per byte, so that the loop becomes vector code.
    let bad = value
        .iter()
        .fold(false, |bad, &byte| bad | (byte == 0) | (byte == b'\r') | (byte == b'\n'));
    !bad
}

fn status(value: &[u8]) -> Option<u16> {
    let &[a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = value else {
        return None;
    };
    Some(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
}

fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

const NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        table[byte] = !(byte >= b'A' as usize && byte <= b'Z' as usize) && byte != b':' as usize;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Fields {
        text.split(';')
            .filter(|field| !field.is_empty())
            .map(|field| field.split_once('=').expect("name=value"))
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect()
    }

    #[test]
    fn requests() {
        let check = |text: &str, well: bool| {
            assert_eq!(request(&list(text)).is_ok(), well, "{text}");
        };
        check(":method=POST;:scheme=http;:path=/a/b;te=trailers", true);
        check(":method=POST;:scheme=http;:path=/a/b;:authority=x", true);
        check(":method=CONNECT;:authority=x", true);
        check(":method=CONNECT;:authority=x;:path=/", false);
        check(":method=POST;:scheme=http", false);
        check(":method=POST;:path=/", false);
        check(":scheme=http;:path=/", false);
        check(":method=POST;:method=POST;:scheme=http;:path=/", false);
        check(":method=POST;:scheme=http;:path=", false);
        check(":method=POST;:scheme=http;a=b;:path=/", false);
        check(":method=POST;:scheme=http;:path=/;:status=200", false);
        check(":method=POST;:scheme=http;:path=/;te=gzip", false);
        check(":method=POST;:scheme=http;:path=/;connection=close", false);
        check(":method=POST;:scheme=http;:path=/;Upper=x", false);
        check(":method=POST;:scheme=http;:path=/;a=x\r", false);
        check(":method=POST;:scheme=http;:path=/;=x", false);
        check(":method=POST;:scheme=http;:path=/;content-length=1;content-length=2", false);
        check(":method=POST;:scheme=http;:path=/;content-length=-1", false);
    }

    #[test]
    fn responses_and_trailers() {
        assert_eq!(response(&list(":status=200;a=b")).map(|facts| facts.status), Ok(200));
        assert_eq!(response(&list("a=b")), Err(Malformed));
        assert_eq!(response(&list(":status=20")), Err(Malformed));
        assert_eq!(response(&list(":status=200;:path=/")), Err(Malformed));
        assert_eq!(trailers(&list("grpc-status=0")), Ok(()));
        assert_eq!(trailers(&list(":status=200")), Err(Malformed));
    }
}
