//! The locked branch of one job: its settings, its state, and how the mirror is brought up to date.

use crate::blocking::JobHandle;
use crate::branch_state::{BranchState, Tip};
use crate::config::PushPolicy;
use crate::error::{GitError, local};
use crate::mirror::Mirror;
use crate::mirror_quota::make_room;
use crate::remote;
use crate::transport::{Endpoint, OpenConversation};
use git2::{Oid, Repository};
use std::path::PathBuf;
use std::sync::Arc;

/// A commit and its tree; `None` when the branch does not exist yet.
pub(crate) type Base = Option<(Oid, Oid)>;

/// The destination and settings of a sink's pushes.
pub(crate) struct PushTarget {
    pub(crate) endpoint: Endpoint,
    pub(crate) reference: String,
    pub(crate) policy: PushPolicy,
    pub(crate) depth: u32,
    pub(crate) mirror_root: PathBuf,
    pub(crate) mirror_name: String,
    pub(crate) cluster: String,
}

/// Reads and writes a branch for one job, which holds the branch's lock. Blocks.
pub(crate) struct BranchWriter<'a> {
    pub(crate) target: &'a PushTarget,
    pub(crate) state: &'a mut BranchState,
    pub(crate) job: &'a Arc<JobHandle>,
}

impl BranchWriter<'_> {
    /// Lists the remote branch, and fetches it unless the mirror has its commit.
    pub(crate) fn refresh(&mut self) -> Result<Option<Oid>, GitError> {
        self.state.tip = Tip::Unknown;
        let conversation = OpenConversation::open(self.target.endpoint.clone(), self.job.clone())?;
        let mirror = match &mut self.state.mirror {
            Some(mirror) => mirror,
            none => none.insert(Mirror::take(&self.target.mirror_root, &self.target.mirror_name)?),
        };
        let present = mirror.present()?;
        let target = self.target;
        let limits = target.endpoint.limits;
        let room = || make_room(&target.mirror_root, &target.mirror_name, &limits);
        let tip =
            remote::fetch(mirror.repo()?, &conversation, self.job, &target.reference, target.depth, present, room)?;
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
    pub(crate) fn base(&mut self) -> Result<(&Repository, Base), GitError> {
        let tip = self.state.tip;
        let missing = || GitError::Mirror("the last known commit is not in the mirror".to_owned());
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

    /// Deletes the mirror, so that the next step fetches the branch again.
    pub(crate) fn start_over(&mut self, why: &GitError) -> Result<(), GitError> {
        tracing::info!(cluster = self.target.cluster, branch = self.target.reference, error = %why, "the git mirror is fetched anew");
        self.state.drop_mirror()
    }

    /// Digest of the sink's credentials.
    pub(crate) fn auth(&self) -> &str {
        &self.target.endpoint.access.auth_digest
    }
}
