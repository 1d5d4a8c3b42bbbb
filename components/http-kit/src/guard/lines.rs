//! A stream cut into lines, of bounded length.

/// The longest line; longer ones are sent in pieces of less.
const LONGEST: usize = 64 * 1024 * 1024;

/// Collects pieces and gives whole lines.
#[derive(Debug)]
pub struct Lines {
    held: Vec<u8>,
    /// How much of `held` has been searched for a newline.
    searched: usize,
    limit: usize,
}

/// A line is longer than is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line is too long")]
pub struct TooLong;

impl Default for Lines {
    fn default() -> Lines {
        Lines::with_limit(LONGEST)
    }
}

impl Lines {
    pub fn with_limit(limit: usize) -> Lines {
        Lines { held: Vec::new(), searched: 0, limit }
    }

    /// Takes a piece and hands each line that is whole now to `line`, without its newline; empty
    /// ones are left out.
    pub fn push<E: From<TooLong>>(
        &mut self,
        piece: &[u8],
        mut line: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.held.extend_from_slice(piece);
        let mut start = 0;
        while let Some(at) = self.newline() {
            if at - start > self.limit {
                return Err(TooLong.into());
            }
            if let Some(whole) = self.held.get(start..at).filter(|whole| !whole.is_empty()) {
                line(whole)?;
            }
            start = at + 1;
            self.searched = start;
        }
        self.held.drain(..start);
        self.searched = self.held.len();
        if self.held.len() > self.limit { Err(TooLong.into()) } else { Ok(()) }
    }

    fn newline(&self) -> Option<usize> {
        let rest = self.held.get(self.searched..)?;
        rest.iter().position(|byte| *byte == b'\n').map(|at| self.searched + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(pieces: &[&[u8]], limit: usize) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut lines = Lines::with_limit(limit);
        let mut found = Vec::new();
        for piece in pieces {
            lines.push(piece, |line| {
                found.push(line.to_vec());
                Ok::<_, TooLong>(())
            })?;
        }
        Ok(found)
    }

    proptest! {
        #[test]
        fn however_it_is_cut(text in "[a\n]{0,40}", cuts in proptest::collection::vec(0..40_usize, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> =
                cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]]).collect();
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let expected: Vec<Vec<u8>> =
                whole.split('\n').filter(|l| !l.is_empty()).map(|l| l.as_bytes().to_vec()).collect();
            prop_assert_eq!(all(&pieces, 100).unwrap(), expected);
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        assert_eq!(all(&[b"aaa", b"aa"], 4), Err(TooLong));
        assert_eq!(all(&[b"aaaaa\n"], 4), Err(TooLong));
        assert_eq!(all(&[b"aaaa\naaa"], 4).unwrap().len(), 1);
    }
}
