//! `.zip` and `.jar` files, stored without compression: APPNOTE.TXT 4.3, with nothing optional.

use std::collections::BTreeMap;

/// An archive of the files. A `.jar` has a manifest, as `jar` makes it.
pub(super) fn bytes(place: &str, files: &BTreeMap<String, String>) -> Vec<u8> {
    let mut archive = Archive::default();
    if place.ends_with(".jar") {
        archive
            .add("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\nCreated-By: 1.6.0 (protoc)\n\n");
    }
    for (name, content) in files {
        archive.add(name, content.as_bytes());
    }
    archive.finish()
}

#[derive(Default)]
struct Archive {
    files: Vec<u8>,
    directory: Vec<u8>,
    count: u16,
}

impl Archive {
    fn add(&mut self, name: &str, content: &[u8]) {
        let mut common = Vec::new();
        let short = |value: u16, out: &mut Vec<u8>| out.extend(value.to_le_bytes());
        short(VERSION_NEEDED, &mut common);
        short(UTF8_NAMES, &mut common);
        short(STORED, &mut common);
        short(0, &mut common);
        short(FIRST_DAY, &mut common);
        common.extend(crc32(content).to_le_bytes());
        common.extend(length(content).to_le_bytes());
        common.extend(length(content).to_le_bytes());
        short(u16::try_from(name.len()).unwrap_or(u16::MAX), &mut common);
        short(0, &mut common);
        let at = length(&self.files);
        self.files.extend(LOCAL_FILE);
        self.files.extend(&common);
        self.files.extend(name.as_bytes());
        self.files.extend(content);
        self.directory.extend(DIRECTORY_ENTRY);
        self.directory.extend(VERSION_NEEDED.to_le_bytes());
        self.directory.extend(&common);
        // No comment, first disk, no attributes.
        self.directory.extend([0; 10]);
        self.directory.extend(at.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.count += 1;
    }

    fn finish(self) -> Vec<u8> {
        let mut out = self.files;
        let at = length(&out);
        out.extend(&self.directory);
        out.extend(DIRECTORY_END);
        out.extend([0; 4]);
        out.extend(self.count.to_le_bytes());
        out.extend(self.count.to_le_bytes());
        out.extend(length(&self.directory).to_le_bytes());
        out.extend(at.to_le_bytes());
        out.extend([0; 2]);
        out
    }
}

/// Generated sources are far from the format's 4 GiB.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            let low = crc & 1;
            crc >>= 1;
            if low == 1 {
                crc ^= CRC_POLYNOMIAL;
            }
        }
    }
    !crc
}

const LOCAL_FILE: &[u8] = b"PK\x03\x04";
const DIRECTORY_ENTRY: &[u8] = b"PK\x01\x02";
const DIRECTORY_END: &[u8] = b"PK\x05\x06";
/// 2.0: directories in names.
const VERSION_NEEDED: u16 = 20;
const UTF8_NAMES: u16 = 1 << 11;
const STORED: u16 = 0;
/// 1980-01-01, the first day there is: equal files make equal archives.
const FIRST_DAY: u16 = (1 << 5) | 1;
/// IEEE 802.3, bits reversed.
const CRC_POLYNOMIAL: u32 = 0xedb8_8320;

#[cfg(test)]
mod tests {
    #[test]
    fn the_check_value_of_the_crc() {
        assert_eq!(super::crc32(b"123456789"), 0xcbf4_3926);
    }
}
