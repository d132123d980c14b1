//! Ways to break a byte stream of frames.

use ferrpc_testing::wire::{self, Frame, PREFACE};

/// Numbers from a seed (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.next() as u8).collect()
    }
}

/// `bytes` with a few things wrong.
pub(crate) fn broken(random: &mut Random, bytes: Vec<u8>) -> Vec<u8> {
    let preface = bytes.starts_with(PREFACE);
    let mut frames: Vec<Vec<u8>> = wire::parse(&bytes).iter().map(encoded).collect();
    for _ in 0..=random.below(6) {
        let place = random.below(frames.len());
        match random.below(10) {
            0 => drop(frames.remove(place)),
            1 => frames.insert(place, frames[place].clone()),
            2 => {
                let other = random.below(frames.len());
                frames.swap(place, other);
            }
            3 => {
                let length = random.below(frames[place].len() + 1);
                frames[place].truncate(length);
            }
            4 => frames.insert(place, made_up(random)),
            5 => {
                let count = 1 + random.below(2000);
                let flood = made_up(random).repeat(count);
                frames.insert(place, flood);
            }
            // A head that lies: length, kind, flags or stream.
            6 => {
                let at = random.below(9);
                frames[place][at] = random.next() as u8;
            }
            7 => frames[place][4] ^= 1 << random.below(8),
            8 => frames[place][8] = random.below(24) as u8,
            _ => {
                for _ in 0..=random.below(4) {
                    let at = random.below(frames[place].len());
                    frames[place][at] = random.next() as u8;
                }
            }
        }
        frames.retain(|frame| frame.len() >= 9);
        if frames.is_empty() {
            frames.push(made_up(random));
        }
    }
    let start = if preface && random.below(50) > 0 { PREFACE } else { b"" };
    let mut out = [start, &frames.concat()].concat();
    if random.below(4) == 0 {
        let count = random.below(20);
        for _ in 0..count {
            let at = random.below(out.len());
            out[at] = random.next() as u8;
        }
    }
    out
}

fn made_up(random: &mut Random) -> Vec<u8> {
    let payload = match random.below(4) {
        0 => vec![],
        1 => (random.next() as u32).to_be_bytes().to_vec(),
        2 => random.next().to_be_bytes().to_vec(),
        _ => random.bytes(300),
    };
    let stream = [0, 1, 3, 5, 7, 9, 2, 1 << 20][random.below(8)];
    wire::frame(random.below(11) as u8, random.next() as u8, stream, &payload)
}

fn encoded(frame: &Frame) -> Vec<u8> {
    wire::frame(frame.kind, frame.flags, frame.stream, &frame.payload)
}
