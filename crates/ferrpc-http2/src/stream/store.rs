//! The open streams of a connection.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{Stream, StreamKey};

/// Streams in slots, found by key without hashing and by id with.
#[derive(Debug, Default)]
pub(crate) struct Store {
    slots: Vec<Option<Stream>>,
    free: Vec<u32>,
    by_id: HashMap<u32, u32, RandomState>,
    /// The stream that the last look-up by id found; frames of one stream come in a row.
    last: Option<StreamKey>,
}

impl Store {
    pub(crate) fn insert(&mut self, stream: Stream) -> StreamKey {
        let id = stream.id;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(stream);
                slot
            }
            None => {
                self.slots.push(Some(stream));
                u32::try_from(self.slots.len() - 1).expect("stream ids have 31 bits")
            }
        };
        self.by_id.insert(id, slot);
        let key = StreamKey { slot, id };
        self.last = Some(key);
        key
    }

    pub(crate) fn find(&mut self, id: u32) -> Option<StreamKey> {
        if let Some(last) = self.last
            && last.id == id
        {
            return Some(last);
        }
        let slot = *self.by_id.get(&id)?;
        let key = StreamKey { slot, id };
        self.last = Some(key);
        Some(key)
    }

    pub(crate) fn stream(&self, key: StreamKey) -> Option<&Stream> {
        self.slots.get(key.slot as usize)?.as_ref().filter(|stream| stream.id == key.id)
    }

    pub(crate) fn stream_mut(&mut self, key: StreamKey) -> Option<&mut Stream> {
        self.slots.get_mut(key.slot as usize)?.as_mut().filter(|stream| stream.id == key.id)
    }

    /// Drops a stream where it lies: a copy of it would be a part of what a call costs.
    pub(crate) fn remove(&mut self, key: StreamKey) {
        let Some(slot) = self.slots.get_mut(key.slot as usize) else {
            return;
        };
        if slot.as_ref().is_none_or(|stream| stream.id != key.id) {
            return;
        }
        *slot = None;
        self.by_id.remove(&key.id);
        if self.last == Some(key) {
            self.last = None;
        }
        self.free.push(key.slot);
    }

    /// Gives back the memory of a burst of streams, if all are closed.
    pub(crate) fn trim(&mut self) {
        if self.is_empty() && self.slots.len() > RETAINED_SLOTS {
            *self = Self::default();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Slots there is memory for.
    #[cfg(test)]
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (StreamKey, &mut Stream)> {
        self.slots.iter_mut().enumerate().filter_map(|(slot, stream)| {
            let stream = stream.as_mut()?;
            Some((StreamKey { slot: slot as u32, id: stream.id }, stream))
        })
    }

    /// The keys of the streams for which `wanted` holds.
    pub(crate) fn keys(&self, mut wanted: impl FnMut(&Stream) -> bool) -> Vec<StreamKey> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(slot, stream)| {
                let stream = stream.as_ref().filter(|stream| wanted(stream))?;
                Some(StreamKey { slot: slot as u32, id: stream.id })
            })
            .collect()
    }
}

/// Slots that an idle connection keeps.
const RETAINED_SLOTS: usize = 16;
