//! What is known of the branch: where it is, what a record holds, and whether somebody else touched it.
//!
//! Separate from pushing because reading has no decisions in it. Runs on a blocking thread that holds the place.

use crate::error::{Trouble, local};
use crate::ledger::Ledger;
use crate::mirror::Mirror;
use crate::mirror_quota::make_room;
use crate::place::{Seen, Tip};
use crate::push::Writer;
use crate::remote;
use crate::snapshot::{Found, Snapshot};
use crate::transport::OpenLine;
use crate::tree::{Built, Item};
use git2::{Oid, Repository};
use kollect_export::{HeldFile, LARGEST_READ};

/// A commit and its tree; `None` when the branch does not exist yet.
pub(crate) type Base = Option<(Oid, Oid)>;

/// What reading a file gave.
pub(crate) enum Content {
    Absent,
    Whole(Vec<u8>),
    /// Its size.
    TooLarge(u64),
}

impl Writer<'_> {
    /// The files in the record at `path`, compared with the branch as it is now.
    pub(crate) fn held(&mut self, path: &str) -> Result<Vec<HeldFile>, Trouble> {
        let (files, entry) = self.again_if_damaged(|writer| {
            writer.refresh()?;
            writer.read_record(path)
        })?;
        self.state.seen.insert(path.to_owned(), Seen { moves: self.state.moves, entry });
        Ok(files)
    }

    fn read_record(&mut self, path: &str) -> Result<(Vec<HeldFile>, Option<Oid>), Trouble> {
        let pulse = self.pulse.clone();
        let (repo, base) = self.base()?;
        let mut snapshot = Snapshot::open(repo, base.map(|(_, tree)| tree))?;
        let ledger = Ledger::open(&mut snapshot, path)?;
        let record = ledger.all(&mut snapshot)?;
        let mut files = Vec::with_capacity(record.len());
        for (path, entry) in record.iter() {
            pulse.tick();
            let intact = is_intact(&mut snapshot, path, &entry.tag)?;
            files.push(HeldFile { path: path.clone(), digest: intact.then_some(entry.digest) });
        }
        Ok((files, ledger.entry))
    }

    /// A file of the record as it is in the branch that was last fetched.
    pub(crate) fn read(&mut self, record: &str, path: &str) -> Result<Content, Trouble> {
        self.again_if_damaged(|writer| {
            // Usually the record was read a moment ago. Without that, or for other credentials, the server is asked.
            if writer.state.tip == Tip::Unknown || writer.state.read_by.as_deref() != Some(writer.auth()) {
                writer.refresh()?;
            }
            writer.read_file(record, path)
        })
    }

    fn read_file(&mut self, record: &str, path: &str) -> Result<Content, Trouble> {
        let pulse = self.pulse.clone();
        let (repo, base) = self.base()?;
        let mut snapshot = Snapshot::open(repo, base.map(|(_, tree)| tree))?;
        let owned = Ledger::open(&mut snapshot, record)?.get(&mut snapshot, path)?.is_some();
        let Found::Blob(id) = snapshot.find(path)? else { return Ok(Content::Absent) };
        if !owned {
            return Ok(Content::Absent);
        }
        let size = snapshot.size(id)?;
        let content = if size > LARGEST_READ { Content::TooLarge(size) } else { Content::Whole(snapshot.content(id)?) };
        pulse.tick();
        Ok(content)
    }

    /// Asks the remote where the branch is, and fetches it if the mirror lacks it.
    pub(crate) fn refresh(&mut self) -> Result<Option<Oid>, Trouble> {
        self.state.tip = Tip::Unknown;
        let line = OpenLine::open(self.route.endpoint.clone(), self.pulse.clone())?;
        let mirror = match &mut self.state.mirror {
            Some(mirror) => mirror,
            none => none.insert(Mirror::take(&self.route.mirror_root, &self.route.mirror_name)?),
        };
        let present = mirror.present()?;
        let route = self.route;
        let limits = route.endpoint.limits;
        let room = || make_room(&route.mirror_root, &route.mirror_name, &limits);
        let tip = remote::fetch(mirror.repo()?, &line, self.pulse, &route.reference, route.depth, present, room)?;
        if present != tip {
            mirror.fetched(present.is_none(), limits.mirror)?;
        }
        self.state.tip = tip.map_or(Tip::Empty, Tip::At);
        let last = std::mem::replace(&mut self.state.last, self.state.tip);
        if last != Tip::Unknown && last != self.state.tip {
            self.state.moves += 1;
        }
        self.state.read_by = Some(self.auth().to_owned());
        Ok(tip)
    }

    /// The repository with the commit and tree to build on.
    pub(crate) fn base(&mut self) -> Result<(&Repository, Base), Trouble> {
        let tip = self.state.tip;
        let missing = || Trouble::Mirror("the last known commit is not in the mirror".to_owned());
        let mirror = self.state.mirror.as_mut().ok_or_else(missing)?;
        if let Tip::At(tip) = tip
            && mirror.present()? != Some(tip)
        {
            return Err(missing());
        }
        let repo = mirror.repo()?;
        let base = match tip {
            Tip::At(tip) => Some((tip, repo.find_commit(tip).map_err(local)?.tree_id())),
            Tip::Empty | Tip::Unknown => None,
        };
        Ok((repo, base))
    }

    pub(crate) fn remember(&mut self, item: &Item, built: &Built) {
        if item.forget {
            self.state.seen.remove(&item.batch.record);
        } else {
            let seen = Seen { moves: self.state.moves, entry: built.entry };
            self.state.seen.insert(item.batch.record.clone(), seen);
        }
    }

    fn again_if_damaged<T>(&mut self, step: impl Fn(&mut Self) -> Result<T, Trouble>) -> Result<T, Trouble> {
        match step(self) {
            Err(trouble) if trouble.is_local() => {
                self.start_over(&trouble)?;
                step(self)
            }
            done => done,
        }
    }

    pub(crate) fn start_over(&mut self, why: &Trouble) -> Result<(), Trouble> {
        tracing::info!(cluster = self.route.cluster, branch = self.route.reference, error = %why, "the git mirror is fetched anew");
        self.state.drop_mirror()
    }

    /// When the record was last seen in order, if somebody else moved the branch after that.
    pub(crate) fn outdated(&self, record: &str) -> Option<Seen> {
        self.state.seen.get(record).copied().filter(|seen| seen.moves != self.state.moves)
    }

    pub(crate) fn auth(&self) -> &str {
        &self.route.endpoint.target.auth_digest
    }
}

/// Fails when somebody else touched the record or a file in it. Proportional to the record, and only asked after
/// somebody else moved the branch.
pub(crate) fn still_in_order(repo: &Repository, tree: Option<Oid>, path: &str, seen: Seen) -> Result<(), Trouble> {
    let mut snapshot = Snapshot::open(repo, tree)?;
    let ledger = Ledger::open(&mut snapshot, path)?;
    if ledger.entry != seen.entry {
        return Err(Trouble::Disturbed);
    }
    for (path, entry) in ledger.all(&mut snapshot)?.iter() {
        if !is_intact(&mut snapshot, path, &entry.tag)? {
            return Err(Trouble::Disturbed);
        }
    }
    Ok(())
}

fn is_intact(snapshot: &mut Snapshot<'_>, path: &str, tag: &str) -> Result<bool, Trouble> {
    Ok(matches!(snapshot.find(path)?, Found::Blob(id) if Oid::from_str(tag).is_ok_and(|tag| tag == id)))
}
