//! The values of number and string tokens, and the text of numbers.

/// The value of an integer token in decimal, octal or hex, if it is not above `max`.
pub(crate) fn integer(text: &[u8], max: u64) -> Option<u64> {
    let (digits, base) = match text {
        [b'0', b'x' | b'X', rest @ ..] => (rest, 16),
        [b'0', rest @ ..] => (rest, 8),
        _ => (text, 10),
    };
    let mut value: u64 = 0;
    for digit in digits {
        let digit = char::from(*digit).to_digit(base)?;
        value = value.checked_mul(u64::from(base))?.checked_add(u64::from(digit))?;
    }
    (value <= max).then_some(value)
}

/// The value of a float token, or of an integer token in decimal.
pub(crate) fn float(text: &[u8]) -> f64 {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let text = text.trim_end_matches(['f', 'F']);
    // The lexer lets "1e" through, with a fault.
    let text = text.trim_end_matches(['+', '-']).trim_end_matches(['e', 'E']);
    text.parse().unwrap_or_default()
}

/// Appends what a string token stands for, token by token.
pub(crate) fn string(token: &[u8], out: &mut Vec<u8>) {
    let Some((quote, body)) = token.split_first() else { return };
    let mut rest = body;
    while let Some((&character, after)) = rest.split_first() {
        rest = after;
        if character != b'\\' || rest.is_empty() {
            if character != *quote || !rest.is_empty() {
                out.push(character);
            }
            continue;
        }
        rest = escape(rest, out);
    }
}

/// Appends an escape sequence, which begins behind its backslash, and returns what follows it.
fn escape<'a>(text: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    match text[0] {
        b'0'..=b'7' => {
            let (value, rest) = digits(text, 8, 3);
            // As in C, what is above a byte is cut off.
            out.push(value.to_le_bytes()[0]);
            rest
        }
        b'x' | b'X' => {
            let (value, rest) = digits(&text[1..], 16, 2);
            out.push(value.to_le_bytes()[0]);
            rest
        }
        b'u' => code_point(text, 4, out),
        b'U' => code_point(text, 8, out),
        other => {
            out.push(match other {
                b'a' => 0x07,
                b'b' => 0x08,
                b'f' => 0x0c,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 0x0b,
                b'\\' | b'?' | b'\'' | b'"' => other,
                _ => b'?',
            });
            &text[1..]
        }
    }
}

fn code_point<'a>(text: &'a [u8], length: usize, out: &mut Vec<u8>) -> &'a [u8] {
    let Some(mut value) = hex(&text[1..], length) else {
        out.push(text[0]);
        return &text[1..];
    };
    let mut rest = &text[1 + length..];
    // Two escapes that are a surrogate pair are one character.
    if (0xd800..0xdc00).contains(&value)
        && let [b'\\', b'u', low @ ..] = rest
        && let Some(low_value) = hex(low, 4)
        && (0xdc00..0xe000).contains(&low_value)
    {
        value = 0x10000 + ((value - 0xd800) << 10) + (low_value - 0xdc00);
        rest = &low[4..];
    }
    match char::from_u32(value) {
        Some(character) => {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        // A lone surrogate, in the form that UTF-8 would give it.
        None if value < 0x10000 => out.extend_from_slice(&[
            0xe0 | (value >> 12) as u8,
            0x80 | ((value >> 6) & 0x3f) as u8,
            0x80 | (value & 0x3f) as u8,
        ]),
        None => out.extend_from_slice(format!("\\U{value:08x}").as_bytes()),
    }
    rest
}

fn hex(text: &[u8], length: usize) -> Option<u32> {
    let digits = text.get(..length)?;
    digits
        .iter()
        .try_fold(0, |value: u32, digit| Some((value << 4) + char::from(*digit).to_digit(16)?))
}

fn digits(text: &[u8], base: u32, most: usize) -> (u32, &[u8]) {
    let mut value = 0;
    let mut used = 0;
    while used < most
        && let Some(digit) = text.get(used).and_then(|digit| char::from(*digit).to_digit(base))
    {
        value = value * base + digit;
        used += 1;
    }
    (value, &text[used..])
}

/// A double with 15 digits if they are enough to read it back, else with 17.
pub(crate) fn double_text(value: f64) -> String {
    float_text(value, 15, 17, |text| text.parse() == Ok(value))
}

/// A float with 6 digits if they are enough to read it back, else with 9. protoc takes those below
/// the normal ones for not read back.
pub(crate) fn single_text(value: f32) -> String {
    float_text(f64::from(value), 6, 9, |text| !value.is_subnormal() && text.parse() == Ok(value))
}

fn float_text(value: f64, short: usize, long: usize, exact: impl Fn(&str) -> bool) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let text = general(value, short);
    if exact(&text) { text } else { general(value, long) }
}

/// The format `%.*g` of C.
fn general(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return if value.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = exponent.parse().unwrap_or_default();
    let precision = i32::try_from(digits).unwrap_or(i32::MAX);
    if power < -4 || power >= precision {
        let sign = if power < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", shortened(mantissa), power.abs());
    }
    let decimals = usize::try_from(precision - 1 - power).unwrap_or_default();
    shortened(&format!("{value:.decimals$}")).to_owned()
}

/// Without zeros at the end of the fraction.
fn shortened(number: &str) -> &str {
    match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    }
}

/// Bytes as a C string literal has them: what is not printable is octal.
pub(crate) fn c_escape(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for &byte in value {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'"' | b'\'' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x20..=0x7e => out.push(byte),
            _ => out.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
        }
    }
    out
}

/// A double as a float; the largest one up to where its printed form would be read as infinite.
pub(crate) fn to_single(value: f64) -> f32 {
    const ROUNDED: f64 = 3.402_823_567_797_336_6e38;
    if value.abs() == ROUNDED { f32::MAX.copysign(value as f32) } else { value as f32 }
}
