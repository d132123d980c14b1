//! Each limit of the HPACK decoder, exceeded once, and the table staying in step meanwhile.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use ferrpc_http2::Fields;
use ferrpc_http2::hpack::{DecodeError, Decoder, HeaderList, ListLimits, MAX_STRING_LENGTH};

const UNLIMITED: ListLimits = ListLimits { max_size: usize::MAX, max_fields: usize::MAX };

#[test]
fn integers() {
    // A size update of 4096 in the fewest bytes, and padded to the most allowed.
    check(&[0x3f, 0xe1, 0x1f], Ok(0));
    check(&[0x3f, 0xe1, 0x9f, 0x80, 0x80, 0x00], Ok(0));
    check(&[0x3f, 0xe1, 0x9f, 0x80, 0x80, 0x80, 0x00], Err(DecodeError::IntegerOverflow));
    // 2^32 - 1 is an integer, though no index; 2^32 is none.
    check(&[0xff, 0x80, 0xff, 0xff, 0xff, 0x0f], Err(DecodeError::InvalidIndex));
    check(&[0xff, 0x81, 0xff, 0xff, 0xff, 0x0f], Err(DecodeError::IntegerOverflow));
    check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], Err(DecodeError::IntegerOverflow));
    // Refused before its end has come.
    let mut list = HeaderList::new(UNLIMITED);
    let result = Decoder::new(4096).decode(&[0xff; 6], false, &mut list);
    assert_eq!(result, Err(DecodeError::IntegerOverflow));
}

#[test]
fn indexes() {
    check(&[0x80], Err(DecodeError::InvalidIndex));
    check(&[0x80 | 61], Ok(1));
    check(&[0x80 | 62], Err(DecodeError::InvalidIndex));
    check(&[0xff, 0x00], Err(DecodeError::InvalidIndex));
    check(&[0x40, 1, b'n', 1, b'v', 0x80 | 62], Ok(2));
    check(&[0x40, 1, b'n', 1, b'v', 0x80 | 63], Err(DecodeError::InvalidIndex));
    // As the name of a literal.
    check(&[0x7e, 1, b'v'], Err(DecodeError::InvalidIndex));
    check(&[0x0f, 0x2f, 1, b'v'], Err(DecodeError::InvalidIndex));
}

#[test]
fn size_updates() {
    check(&[0x20, 0x20], Ok(0));
    check(&[0x20, 0x3f, 0xe1, 0x1f, 0x82], Ok(1));
    check(&[0x20, 0x20, 0x20], Err(DecodeError::MisplacedSizeUpdate));
    check(&[0x82, 0x20], Err(DecodeError::MisplacedSizeUpdate));
    check(&[0x00, 0, 0, 0x20], Err(DecodeError::MisplacedSizeUpdate));
    check(&[0x3f, 0xe2, 0x1f], Err(DecodeError::InvalidSizeUpdate));
    // Counted by block, over its fragments.
    let mut decoder = Decoder::new(4096);
    let mut list = HeaderList::new(UNLIMITED);
    for _ in 0..2 {
        decoder.decode(&[0x20], false, &mut list).unwrap();
        decoder.decode(&[0x20], true, &mut list).unwrap();
    }
    decoder.decode(&[0x82], false, &mut list).unwrap();
    let result = decoder.decode(&[0x20], true, &mut list);
    assert_eq!(result, Err(DecodeError::MisplacedSizeUpdate));
}

#[test]
fn size_updates_of_other_advertised_sizes() {
    for advertised in [0, 100, 4096, 65_536] {
        for (size, expected) in
            [(advertised, Ok(())), (advertised + 1, Err(DecodeError::InvalidSizeUpdate))]
        {
            let mut block = Vec::new();
            integer(size, 5, 0x20, &mut block);
            let mut list = HeaderList::new(UNLIMITED);
            assert_eq!(Decoder::new(advertised).decode(&block, true, &mut list), expected);
        }
    }
}

/// A literal of `pattern` whose name or value has `length` bytes, and a field behind it.
fn long(pattern: u8, huffman: bool, length: usize, is_name: bool) -> Vec<u8> {
    let mut block = vec![pattern];
    let coded = if huffman { 0x80 } else { 0 };
    let mut string = Vec::new();
    integer(length, 7, coded, &mut string);
    // "a", coded and plain, over and over: eight letters in five bytes.
    let letters: &[u8] = if huffman { &[0x18, 0xc6, 0x31, 0x8c, 0x63] } else { b"a" };
    string.extend(letters.iter().cycle().take(length));
    let short = [1, b'v'];
    block.extend(if is_name {
        [&string[..], &short].concat()
    } else {
        [&short[..], &string].concat()
    });
    block.push(0x82);
    block
}

#[test]
fn strings_up_to_the_limit_are_read() {
    for is_name in [false, true] {
        check(&long(0x00, false, MAX_STRING_LENGTH, is_name), Ok(2));
        // Of 64 KiB coded, 105 KB come out.
        check(&long(0x00, true, MAX_STRING_LENGTH - 1, is_name), Ok(2));
    }
    let block = long(0x00, false, 100_000, false);
    let mut list = HeaderList::new(UNLIMITED);
    let mut decoder = Decoder::new(4096).with_max_string(100_000);
    assert_eq!(decoder.decode(&block, true, &mut list), Ok(()));
    assert_eq!(list.into_fields().value(b"v").map(<[u8]>::len), Some(100_000));
}

/// A longer string costs its field, not the block: the list says what is missing, and the table is
/// in step.
#[test]
fn longer_strings_are_passed_over() {
    let limits = ListLimits { max_size: 16 << 10, max_fields: 100 };
    for (pattern, is_name, huffman) in [0x00, 0x10, 0x40].into_iter().flat_map(|pattern| {
        [false, true]
            .into_iter()
            .flat_map(move |name| [(pattern, name, false), (pattern, name, true)])
    }) {
        let length = MAX_STRING_LENGTH + 1;
        let block = long(pattern, huffman, length, is_name);
        for size in [block.len(), 1, 1000, MAX_STRING_LENGTH] {
            let mut decoder = Decoder::new(4096);
            let mut list = HeaderList::new(limits);
            decoder.decode(&[0x40, 1, b'n', 1, b'v'], true, &mut list).unwrap();
            let mut list = HeaderList::new(limits);
            for fragment in block.chunks(size) {
                decoder.decode(fragment, false, &mut list).unwrap();
            }
            decoder.decode(&[], true, &mut list).unwrap();
            assert!(list.is_overflow() && list.size() > MAX_STRING_LENGTH);
            assert_eq!(list.into_fields(), pairs(&[(b":method", b"GET")]), "{pattern} {size}");
            // An entry larger than the table empties it; others leave it alone.
            let mut list = HeaderList::new(limits);
            let known = decoder.decode(&[0xbe], true, &mut list);
            assert_eq!(known.is_ok(), pattern != 0x40, "{pattern:x} {is_name} {huffman}");
        }
        let mut decoder = Decoder::new(4096);
        let mut list = HeaderList::new(limits);
        let cut = decoder.decode(&block[..block.len() - 3], true, &mut list);
        assert_eq!(cut, Err(DecodeError::Truncated));
    }
}

#[test]
fn truncated_blocks() {
    let block = [0x40, 0x81, 0x1f, 3, b'a', b'b', b'c', 0xff, 0x80, 0x00];
    check(&block[..7], Ok(1));
    for length in [1, 2, 3, 4, 5, 6, 8, 9] {
        check(&block[..length], Err(DecodeError::Truncated));
    }
    // Also where the end comes with a fragment of its own.
    let mut decoder = Decoder::new(4096);
    let mut list = HeaderList::new(UNLIMITED);
    decoder.decode(&block[..5], false, &mut list).unwrap();
    assert_eq!(decoder.decode(&[], true, &mut list), Err(DecodeError::Truncated));
}

#[test]
fn list_limits() {
    // Three fields of 34 bytes.
    let block = [0x00, 1, b'n', 1, b'1', 0x00, 1, b'n', 1, b'2', 0x00, 1, b'n', 1, b'3'];
    for (max_size, max_fields, stored) in
        [(102, 3, 3), (101, 3, 2), (102, 2, 2), (33, 3, 0), (102, 0, 0)]
    {
        let limits = ListLimits { max_size, max_fields };
        let mut list = HeaderList::new(limits);
        Decoder::new(4096).decode(&block, true, &mut list).unwrap();
        assert_eq!(list.is_overflow(), stored < 3);
        assert_eq!(list.size(), 102);
        assert_eq!(list.into_fields().len(), stored);
    }
}

#[test]
fn what_fits_is_stored_beside_what_does_not() {
    let field = |length: usize| {
        let mut block = vec![0x00, 1, b'n', length as u8];
        block.resize(4 + length, b'v');
        block
    };
    let limits = ListLimits { max_size: 200, max_fields: 10 };
    let stored = |lengths: &[usize]| {
        let mut list = HeaderList::new(limits);
        let block: Vec<u8> = lengths.iter().flat_map(|length| field(*length)).collect();
        Decoder::new(4096).decode(&block, true, &mut list).unwrap();
        assert!(list.is_overflow());
        let fields = list.into_fields();
        assert!(fields.list_size() <= limits.max_size);
        fields.iter().map(|field| field.value.len()).collect::<Vec<_>>()
    };
    // 33 bytes and the value each.
    assert_eq!(stored(&[120, 120, 10]), [120, 10]);
    assert_eq!(stored(&[100, 90, 1]), [100, 1]);
    assert_eq!(stored(&[[100, 34].as_slice(), &[1; 40]].concat()), [100, 34]);

    // Essential ones beyond the limit: there is room for 15 of 34 bytes.
    let mut list = HeaderList::new(limits).with_essential(&["n"]);
    Decoder::new(4096)
        .decode(&[field(100), field(34), field(1).repeat(40)].concat(), true, &mut list)
        .unwrap();
    let fields = list.into_fields();
    assert_eq!(fields.len(), 2 + 15);
    assert!(fields.list_size() <= limits.max_size + HeaderList::SPARE);
}

#[test]
fn an_overflowing_list_keeps_the_table_in_step() {
    let mut decoder = Decoder::new(4096);
    let block = [0x40, 1, b'a', 1, b'1', 0x40, 1, b'b', 1, b'2', 0x40, 1, b'c', 1, b'3'];
    let limits = ListLimits { max_size: 40, max_fields: 10 };
    let mut list = HeaderList::new(limits);
    decoder.decode(&block, true, &mut list).unwrap();
    assert!(list.is_overflow());
    assert_eq!(list.into_fields(), pairs(&[(b"a", b"1")]));

    let mut list = HeaderList::new(UNLIMITED);
    decoder.decode(&[0xbe, 0xbf, 0xc0], true, &mut list).unwrap();
    assert_eq!(list.into_fields(), pairs(&[(b"c", b"3"), (b"b", b"2"), (b"a", b"1")]));
}

#[test]
fn eviction() {
    let mut decoder = Decoder::new(4096);
    // Room for two entries of 34 bytes.
    let mut fields = |block: &[u8]| {
        let mut list = HeaderList::new(UNLIMITED);
        decoder.decode(block, true, &mut list).map(|()| list.into_fields())
    };
    fields(&[0x3f, 68 - 31]).unwrap();
    fields(&[0x40, 1, b'a', 1, b'1', 0x40, 1, b'b', 1, b'2']).unwrap();
    // The name of the oldest entry, which this insertion evicts (4.4).
    assert_eq!(fields(&[0x7f, 0, 1, b'3']).unwrap(), pairs(&[(b"a", b"3")]));
    assert_eq!(fields(&[0xbe, 0xbf]).unwrap(), pairs(&[(b"a", b"3"), (b"b", b"2")]));
    assert_eq!(fields(&[0xc0]), Err(DecodeError::InvalidIndex));
    // An entry of the whole table, whose name is that of one it evicts.
    let mut block = vec![0x7f, 0, 35];
    block.resize(3 + 35, b'v');
    assert_eq!(fields(&block).unwrap(), pairs(&[(b"b", &[b'v'; 35])]));
    assert_eq!(fields(&[0xbe]).unwrap(), pairs(&[(b"b", &[b'v'; 35])]));
    assert_eq!(fields(&[0xbf]), Err(DecodeError::InvalidIndex));
    // One byte more: the field counts, and the table is empty.
    block[2] = 36;
    block.push(b'v');
    block[0..2].copy_from_slice(&[0x7e, 36]);
    block.remove(2);
    assert_eq!(fields(&block).unwrap(), pairs(&[(b"b", &[b'v'; 36])]));
    assert_eq!(fields(&[0xbe]), Err(DecodeError::InvalidIndex));
    // A size of 0 and back leaves nothing either.
    fields(&[0x40, 1, b'a', 1, b'1']).unwrap();
    fields(&[0x20, 0x3f, 68 - 31]).unwrap();
    assert_eq!(fields(&[0xbe]), Err(DecodeError::InvalidIndex));
}

#[test]
fn repeated_huffman_literals() {
    // Remembered when seen again, and more of them than can be; one is invalid.
    const CODES: [(u8, u32, u32); 5] =
        [(b'0', 0, 5), (b'a', 3, 5), (b'o', 7, 5), (b'b', 0x23, 6), (b'5', 0x1b, 6)];
    let mut decoder = Decoder::new(4096);
    for round in 0..40 {
        for (first, second) in CODES.iter().flat_map(|first| CODES.map(|second| (first, second))) {
            let length = first.2 + second.2;
            let code = (first.1 << second.2 | second.1) << (16 - length);
            let coded = (code | 0xffff >> length) as u16;
            let expected = pairs(&[(b"n", &[first.0, second.0])]);
            for _ in 0..round % 4 {
                assert_eq!(literal(&mut decoder, coded).unwrap(), expected);
            }
        }
        assert_eq!(literal(&mut decoder, 0x1c70), Err(DecodeError::InvalidHuffman));
    }
}

fn literal(decoder: &mut Decoder, coded: u16) -> Result<Fields, DecodeError> {
    let mut list = HeaderList::new(UNLIMITED);
    let block = [0x00, 1, b'n', 0x82, (coded >> 8) as u8, coded as u8];
    decoder.decode(&block, true, &mut list).map(|()| list.into_fields())
}

/// Decodes `block` with a fresh decoder, whole and then byte by byte; `expected` is the number of
/// its fields.
fn check(block: &[u8], expected: Result<usize, DecodeError>) {
    let mut list = HeaderList::new(UNLIMITED);
    let result = Decoder::new(4096).decode(block, true, &mut list);
    assert_eq!(result.map(|()| list.into_fields().len()), expected, "{block:02x?}");

    let mut decoder = Decoder::new(4096);
    let mut list = HeaderList::new(UNLIMITED);
    let mut fragments = block.chunks(1).map(|byte| decoder.decode(byte, false, &mut list));
    let result = fragments.find(Result::is_err).unwrap_or(Ok(()));
    let result = result.and_then(|()| decoder.decode(&[], true, &mut list));
    assert_eq!(result.map(|()| list.into_fields().len()), expected, "{block:02x?} by bytes");
}

fn integer(value: usize, prefix: u32, pattern: u8, out: &mut Vec<u8>) {
    let mask = (1 << prefix) - 1;
    if value < mask {
        return out.push(pattern | value as u8);
    }
    out.push(pattern | mask as u8);
    let mut value = value - mask;
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn pairs(pairs: &[(&[u8], &[u8])]) -> Fields {
    pairs.iter().copied().collect()
}
