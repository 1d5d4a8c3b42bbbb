//! A slab whose copy is cheap: what a reader holds stays as it was while the owner goes on writing.
//!
//! Values live in small shared chunks. Copying the slab copies one pointer a
//! chunk; the first write to a chunk after that copies the chunk's pointers and
//! the value written, nothing else. A snapshot of 100,000 tasks therefore costs
//! the owner some microseconds and never a scan.
use std::sync::Arc;

const CHUNK: usize = 64;

/// Values by dense key, with freed keys used again.
#[derive(Debug)]
pub struct CowSlab<T> {
    chunks: Vec<Arc<Vec<Option<Arc<T>>>>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Clone for CowSlab<T> {
    fn clone(&self) -> Self {
        // A reader never inserts, so it needs no free list.
        Self { chunks: self.chunks.clone(), free: Vec::new(), len: self.len }
    }
}

impl<T> Default for CowSlab<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), len: 0 }
    }
}

// === impl CowSlab ===

impl<T> CowSlab<T> {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value under `key`.
    pub fn get(&self, key: u32) -> Option<&Arc<T>> {
        let (chunk, slot) = split(key);
        self.chunks.get(chunk)?.get(slot)?.as_ref()
    }

    /// All values, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.chunks.iter().flat_map(|chunk| chunk.iter().flatten())
    }

    /// How many chunks there are; readers that share the work divide them.
    pub fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// The values in some of the chunks.
    pub fn in_chunks(&self, chunks: std::ops::Range<usize>) -> impl Iterator<Item = &Arc<T>> {
        let begin = chunks.start.min(self.chunks.len());
        let end = chunks.end.min(self.chunks.len()).max(begin);
        self.chunks[begin..end].iter().flat_map(|chunk| chunk.iter().flatten())
    }

    /// All keys with their values.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u32, &Arc<T>)> {
        self.chunks.iter().enumerate().flat_map(|(chunk, values)| {
            values.iter().enumerate().filter_map(move |(slot, value)| {
                value.as_ref().map(|value| ((chunk * CHUNK + slot) as u32, value))
            })
        })
    }

    /// Stores a value and says under which key.
    pub(crate) fn insert(&mut self, value: Arc<T>) -> u32 {
        self.len += 1;
        if let Some(key) = self.free.pop() {
            let (chunk, slot) = split(key);
            if let Some(place) = self.chunks.get_mut(chunk).map(Arc::make_mut)
                && let Some(place) = place.get_mut(slot)
            {
                *place = Some(value);
                return key;
            }
        }
        if self.chunks.last().is_none_or(|last| last.len() == CHUNK) {
            self.chunks.push(Arc::new(Vec::new()));
        }
        let chunk = self.chunks.len() - 1;
        let values = Arc::make_mut(&mut self.chunks[chunk]);
        values.push(Some(value));
        (chunk * CHUNK + values.len() - 1) as u32
    }

    /// Takes the value under `key` out.
    pub(crate) fn remove(&mut self, key: u32) -> Option<Arc<T>> {
        let (chunk, slot) = split(key);
        let value = Arc::make_mut(self.chunks.get_mut(chunk)?).get_mut(slot)?.take()?;
        self.len -= 1;
        self.free.push(key);
        Some(value)
    }
}

impl<T: Clone> CowSlab<T> {
    /// The value under `key`, to change: copied first if a reader holds it.
    pub(crate) fn get_mut(&mut self, key: u32) -> Option<&mut T> {
        let (chunk, slot) = split(key);
        let place = Arc::make_mut(self.chunks.get_mut(chunk)?).get_mut(slot)?;
        place.as_mut().map(Arc::make_mut)
    }
}

fn split(key: u32) -> (usize, usize) {
    (key as usize / CHUNK, key as usize % CHUNK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_does_not_see_later_writes() {
        let mut slab = CowSlab::default();
        let keys: Vec<u32> = (0..200).map(|n| slab.insert(Arc::new(n))).collect();
        let before = slab.clone();
        *slab.get_mut(keys[7]).unwrap() = 1000;
        slab.remove(keys[100]);
        assert_eq!(**before.get(keys[7]).unwrap(), 7);
        assert_eq!(before.len(), 200);
        assert_eq!(before.iter().count(), 200);
        assert_eq!(**slab.get(keys[7]).unwrap(), 1000);
        assert_eq!(slab.iter().count(), 199);
        assert_eq!(slab.insert(Arc::new(5)), keys[100]);
        assert_eq!(slab.entries().count(), 200);
    }
}
