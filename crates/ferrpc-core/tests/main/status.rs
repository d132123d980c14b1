//! Status and Code: conversions and constructors.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use ferrpc_core::{Code, DetailsError, Status};

#[test]
fn codes_convert_both_ways() {
    for (number, code) in (0..).zip(Code::ALL) {
        assert_eq!(code.number(), number);
        assert_eq!(u32::from(code), number);
        assert_eq!(i32::from(code), number as i32);
        assert_eq!(Code::try_from(number).unwrap(), code);
        assert_eq!(Code::try_from(number as i32).unwrap(), code);
        assert_eq!(code.name().parse::<Code>().unwrap(), code);
        assert_eq!(code.name().to_lowercase().parse::<Code>().unwrap(), code);
        assert_eq!(number.to_string().parse::<Code>().unwrap(), code);
    }
    assert_eq!("Not_Found".parse::<Code>().unwrap(), Code::NotFound);
}

#[test]
fn what_is_no_code() {
    for text in ["", "17", "-1", "+1", "NOT FOUND", "NotFound", "4294967296", "1 "] {
        let error = text.parse::<Code>().unwrap_err();
        assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
    }
    Code::try_from(17u32).unwrap_err();
    Code::try_from(17i32).unwrap_err();
    assert!(Code::try_from(-1i32).unwrap_err().to_string().contains("-1"));
}

#[test]
fn each_failure_has_a_constructor() {
    let made = [
        Status::cancelled("m"),
        Status::unknown("m"),
        Status::invalid_argument("m"),
        Status::deadline_exceeded("m"),
        Status::not_found("m"),
        Status::already_exists("m"),
        Status::permission_denied("m"),
        Status::resource_exhausted("m"),
        Status::failed_precondition("m"),
        Status::aborted("m"),
        Status::out_of_range("m"),
        Status::unimplemented("m"),
        Status::internal("m"),
        Status::unavailable("m"),
        Status::data_loss("m"),
        Status::unauthenticated("m"),
    ];
    for (status, code) in made.iter().zip(&Code::ALL[1..]) {
        assert_eq!((status.code(), status.message()), (*code, "m"));
    }
}

#[test]
fn from_details() {
    let status = Status::from_details(&b"\x08\x05\x12\x03abc\x1a\x00"[..]).unwrap();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "abc"));
    assert_eq!(&status.details()[..], b"\x08\x05\x12\x03abc\x1a\x00");
    let check = |details: &'static [u8], error| {
        assert_eq!(Status::from_details(details).unwrap_err(), error);
    };
    check(b"", DetailsError::Code(0));
    check(b"\x08\x11", DetailsError::Code(17));
    check(b"\x12\x05abc", DetailsError::Malformed);
}
