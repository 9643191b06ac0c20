//! The rows of one shard in the order of their last change, indexed by UID.
//!
//! Memory per row is decided here: one log entry, one index entry, one `Arc<Row>`. A newer entry of an object turns the
//! older one into a hole; the log is compacted when a quarter of it is holes.

use hashbrown::{DefaultHashBuilder, HashTable};
use kollect_model::{Deleted, Row, Uid, Version};
use std::hash::BuildHasher;
use std::sync::Arc;

pub(crate) enum LogSlot {
    Live(Arc<Row>),
    Dead(Box<Deleted>),
    Hole,
}

impl LogSlot {
    fn uid(&self) -> Option<&Uid> {
        match self {
            Self::Live(row) => Some(&row.id.uid),
            Self::Dead(deleted) => Some(&deleted.id.uid),
            Self::Hole => None,
        }
    }
}

pub(crate) struct LogEntry {
    pub(crate) version: Version,
    pub(crate) slot: LogSlot,
}

#[derive(Default)]
pub(crate) struct ChangeLog {
    entries: Vec<LogEntry>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    live: usize,
    dead: usize,
    /// No tombstone is before this index, so that the search for the oldest one does not scan all rows.
    dead_from: usize,
}

impl ChangeLog {
    /// Number of rows.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Number of tombstones.
    pub(crate) fn dead(&self) -> usize {
        self.dead
    }

    /// Entries with a version above `after`, oldest first, holes left out.
    pub(crate) fn since(&self, after: Version) -> impl Iterator<Item = &LogEntry> {
        let start = self.entries.partition_point(|entry| entry.version <= after);
        self.entries[start..].iter().filter(|entry| !matches!(entry.slot, LogSlot::Hole))
    }

    /// Every row, in the order of the last change.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Arc<Row>> {
        self.entries.iter().filter_map(|entry| match &entry.slot {
            LogSlot::Live(row) => Some(row),
            _ => None,
        })
    }

    /// The row or tombstone of an object.
    pub(crate) fn find(&self, uid: &Uid) -> Option<&LogEntry> {
        let at = self.index.find(self.hash(uid), |at| self.is_at(*at, uid))?;
        self.entries.get(*at as usize)
    }

    /// Appends a row or tombstone, which replaces what was there for the object.
    pub(crate) fn push(&mut self, version: Version, slot: LogSlot) {
        let Some(uid) = slot.uid().cloned() else { return };
        self.compact_if_sparse();
        let place = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let hash = self.hash(&uid);
        let (entries, hasher) = (&self.entries, &self.hasher);
        let indexed = self.index.entry(
            hash,
            |at| entries.get(*at as usize).and_then(|entry| entry.slot.uid()) == Some(&uid),
            |at| hash_at(entries, hasher, *at),
        );
        let old = match indexed {
            hashbrown::hash_table::Entry::Occupied(mut found) => Some(std::mem::replace(found.get_mut(), place)),
            hashbrown::hash_table::Entry::Vacant(free) => {
                free.insert(place);
                None
            }
        };
        if let Some(entry) = old.and_then(|at| self.entries.get_mut(at as usize)) {
            match std::mem::replace(&mut entry.slot, LogSlot::Hole) {
                LogSlot::Live(_) => self.live -= 1,
                LogSlot::Dead(_) => self.dead -= 1,
                LogSlot::Hole => {}
            }
        }
        match &slot {
            LogSlot::Live(_) => self.live += 1,
            LogSlot::Dead(_) => {
                if self.dead == 0 {
                    self.dead_from = self.entries.len();
                }
                self.dead += 1;
            }
            LogSlot::Hole => {}
        }
        if self.entries.len() == self.entries.capacity() {
            // Doubling would waste up to a whole log; a quarter is still amortised constant.
            self.entries.reserve_exact((self.entries.len() / 4).max(16));
        }
        self.entries.push(LogEntry { version, slot });
    }

    /// Drops tombstones up to `upto`, and beyond that the oldest ones until at most `keep` are left.
    /// Returns the version of the newest one dropped.
    pub(crate) fn drop_tombstones(&mut self, upto: Version, keep: usize) -> Option<Version> {
        let mut newest = None;
        for at in self.dead_from..self.entries.len() {
            self.dead_from = at;
            if self.dead == 0 || (self.entries[at].version > upto && self.dead <= keep) {
                break;
            }
            let LogSlot::Dead(deleted) = &self.entries[at].slot else { continue };
            let hash = self.hash(&deleted.id.uid);
            if let Ok(spot) = self.index.find_entry(hash, |place| *place as usize == at) {
                spot.remove();
            }
            newest = Some(self.entries[at].version);
            self.entries[at].slot = LogSlot::Hole;
            self.dead -= 1;
        }
        self.compact_if_sparse();
        newest
    }

    fn compact_if_sparse(&mut self) {
        let filled = self.live + self.dead;
        if self.entries.len() - filled <= (filled / 4).max(64) {
            return;
        }
        self.entries.retain(|entry| !matches!(entry.slot, LogSlot::Hole));
        self.dead_from = 0;
        self.entries.shrink_to(filled + filled / 4);
        self.index.clear();
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.index.shrink_to(filled, |at| hash_at(entries, hasher, *at));
        for (at, entry) in entries.iter().enumerate() {
            if let (Some(uid), Ok(place)) = (entry.slot.uid(), u32::try_from(at)) {
                self.index.insert_unique(hasher.hash_one(uid), place, |at| hash_at(entries, hasher, *at));
            }
        }
    }

    fn hash(&self, uid: &Uid) -> u64 {
        self.hasher.hash_one(uid)
    }

    fn is_at(&self, at: u32, uid: &Uid) -> bool {
        self.entries.get(at as usize).and_then(|entry| entry.slot.uid()) == Some(uid)
    }
}

fn hash_at(entries: &[LogEntry], hasher: &DefaultHashBuilder, at: u32) -> u64 {
    entries.get(at as usize).and_then(|entry| entry.slot.uid()).map_or(0, |uid| hasher.hash_one(uid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{dead, row};

    fn versions(log: &ChangeLog, after: u64) -> Vec<u64> {
        log.since(Version(after)).map(|entry| entry.version.0).collect()
    }

    #[test]
    fn the_log_stays_in_version_order_and_near_its_size_under_endless_updates() {
        let mut log = ChangeLog::default();
        for version in 1..=50_000_u64 {
            log.push(
                Version(version),
                LogSlot::Live(Arc::new(row("a", "ns", &format!("u{}", version % 1000), version))),
            );
        }
        assert_eq!(log.live(), 1000);
        assert_eq!(versions(&log, 49_990), (49_991..=50_000).collect::<Vec<_>>());
        assert_eq!(versions(&log, 0), (49_001..=50_000).collect::<Vec<_>>());
        assert!(log.entries.capacity() <= 1700, "{}", log.entries.capacity());
        for uid in 0..1000 {
            assert!(log.find(&Uid::parse(&format!("u{uid}"))).is_some());
        }
    }

    #[test]
    fn tombstones_among_many_rows_are_found_again_and_again() {
        let mut log = ChangeLog::default();
        let put = |log: &mut ChangeLog, version: u64, uid: u64| {
            log.push(Version(version), LogSlot::Live(Arc::new(row("a", "ns", &format!("u{uid}"), version))));
        };
        (1..=1_000).for_each(|version| put(&mut log, version, version));
        for round in 0..200_u64 {
            let version = 2_000 + 10 * round;
            for step in 0..3 {
                log.push(
                    Version(version + step),
                    LogSlot::Dead(Box::new(dead("a", &format!("u{}", 3 * round + step)))),
                );
            }
            // The newest of the three becomes a row again before the others are dropped.
            put(&mut log, version + 5, 3 * round + 2);
            assert_eq!(log.drop_tombstones(Version(version), usize::MAX), Some(Version(version)), "round {round}");
            assert_eq!(log.dead(), 1);
            assert_eq!(log.drop_tombstones(Version(version + 9), usize::MAX), Some(Version(version + 1)));
            assert_eq!(log.dead(), 0);
        }
    }

    #[test]
    fn dropped_tombstones_are_forgotten_oldest_first() {
        let mut log = ChangeLog::default();
        for version in 1..=10 {
            log.push(Version(version), LogSlot::Dead(Box::new(dead("a", &format!("u{version}")))));
        }
        assert_eq!(log.drop_tombstones(Version(3), usize::MAX), Some(Version(3)));
        assert_eq!(versions(&log, 0), vec![4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(log.drop_tombstones(Version(0), 2), Some(Version(8)));
        assert_eq!((log.dead(), versions(&log, 0)), (2, vec![9, 10]));
        assert!(log.find(&Uid::parse("u8")).is_none());
        assert!(log.find(&Uid::parse("u9")).is_some());
    }
}
