//! A memory of Huffman strings, for peers that send the same literals again and again.

use super::hash::hash;

/// The longest coded string remembered.
const MAX_RAW: usize = 64;

/// The longest that decodes to: no code is shorter than 5 bits.
const MAX_TEXT: usize = MAX_RAW * 8 / 5;

/// About twice the distinct literals that the requests of one client have.
const SLOT_COUNT: usize = 16;

/// Strings that missed, of which those that miss again are remembered.
const MISSED_COUNT: usize = 16;

/// Coded strings with what they decode to. The oldest is replaced, by a string seen twice within
/// a few calls: values that never return do not enter.
///
/// Allocated (some 2.7 KiB) on first use, which peers that index their fields never come to.
#[derive(Debug, Default)]
pub(super) struct Memo {
    /// By slot: the hash of its coded string, 0 at first.
    hashes: [u32; SLOT_COUNT],
    slots: Vec<Slot>,
    next_slot: usize,
    missed: [u32; MISSED_COUNT],
    next_missed: usize,
}

#[derive(Debug, Clone)]
struct Slot {
    raw_len: u8,
    text_len: u8,
    raw: [u8; MAX_RAW],
    text: [u8; MAX_TEXT],
}

impl Memo {
    /// Appends to `out` what `raw` decodes to, by memory or else by `decode`.
    #[inline]
    pub(super) fn recall<E>(
        &mut self,
        raw: &[u8],
        out: &mut Vec<u8>,
        decode: impl FnOnce(&[u8], &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        if raw.is_empty() || raw.len() > MAX_RAW {
            return decode(raw, out);
        }
        let hash = hash(raw, 0);
        if let Some(at) = self.hashes.iter().position(|&slot| slot == hash)
            && let Some(slot) = self.slots.get(at)
            && slot.raw.get(..slot.raw_len.into()) == Some(raw)
        {
            out.extend_from_slice(&slot.text[..slot.text_len.into()]);
            return Ok(());
        }
        let start = out.len();
        decode(raw, out)?;
        if self.missed.contains(&hash) {
            self.remember(hash, raw, &out[start..]);
        } else {
            self.missed[self.next_missed] = hash;
            self.next_missed = (self.next_missed + 1) % MISSED_COUNT;
        }
        Ok(())
    }

    #[cold]
    fn remember(&mut self, hash: u32, raw: &[u8], text: &[u8]) {
        if self.slots.is_empty() {
            let empty = Slot { raw_len: 0, text_len: 0, raw: [0; MAX_RAW], text: [0; MAX_TEXT] };
            self.slots.resize(SLOT_COUNT, empty);
        }
        self.hashes[self.next_slot] = hash;
        let slot = &mut self.slots[self.next_slot];
        slot.raw[..raw.len()].copy_from_slice(raw);
        slot.text[..text.len()].copy_from_slice(text);
        slot.raw_len = raw.len() as u8;
        slot.text_len = text.len() as u8;
        self.next_slot = (self.next_slot + 1) % SLOT_COUNT;
    }
}
