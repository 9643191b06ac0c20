//! The three operations on a remote: list its branches, fetch one, push one.
//!
//! libgit2's `push` returns `Ok` when the server refused the update; the status callback reports it.

use crate::blocking::JobHandle;
use crate::error::{GitError, local};
use crate::mirror::TIP;
use crate::transport::OpenConversation;
use git2::{AutotagOption, Direction, ErrorCode, FetchOptions, Oid, PushOptions, Remote, RemoteCallbacks, Repository};
use std::cell::RefCell;

/// The commit that is about to be pushed.
const NEXT: &str = "refs/kollect/next";
/// Bytes of a fetch between two checks of the disk quota.
const ROOM_EVERY: usize = 16 << 20;
/// Bytes kept of a server's messages.
const MAX_WORDS: usize = 800;

/// The result of a push.
#[derive(Debug)]
pub(crate) enum PushOutcome {
    Done,
    /// The branch is not where it was expected.
    Moved,
    /// The server refused the update; its message.
    Refused(String),
}

/// The branch's commit on the remote; `None` when there is no such branch.
pub(crate) fn list(
    remote: &mut Remote<'_>,
    conversation: &OpenConversation,
    reference: &str,
) -> Result<Option<Oid>, GitError> {
    if !remote.connected() {
        remote.connect(Direction::Fetch).map_err(|error| conversation.explain(&error))?;
    }
    let heads = remote.list().map_err(|error| conversation.explain(&error))?;
    Ok(heads.iter().find(|head| head.name() == reference).map(git2::RemoteHead::oid))
}

/// Lists the branch and fetches it unless `present` is its commit. `room` fails when the disk quota is used up.
pub(crate) fn fetch(
    repo: &Repository,
    conversation: &OpenConversation,
    job: &JobHandle,
    reference: &str,
    depth: u32,
    present: Option<Oid>,
    room: impl Fn() -> Result<(), GitError>,
) -> Result<Option<Oid>, GitError> {
    let mut remote = repo.remote_anonymous(&conversation.url()).map_err(local)?;
    let tip = list(&mut remote, conversation, reference)?;
    let Some(wanted) = tip else {
        if let Ok(mut old) = repo.find_reference(TIP) {
            old.delete().map_err(local)?;
        }
        return Ok(None);
    };
    if present == tip {
        return Ok(tip);
    }
    room()?;
    let (mut checked, full) = (0, RefCell::new(None));
    let mut callbacks = RemoteCallbacks::new();
    callbacks.transfer_progress(|progress| {
        job.tick();
        let received = progress.received_bytes() / ROOM_EVERY;
        if received > checked {
            checked = received;
            *full.borrow_mut() = room().err();
        }
        full.borrow().is_none() && job.check().is_ok()
    });
    callbacks.sideband_progress(|_| job.check().is_ok());
    let mut options = FetchOptions::new();
    options
        .remote_callbacks(callbacks)
        .depth(i32::try_from(depth.max(1)).unwrap_or(i32::MAX))
        .update_fetchhead(false)
        .download_tags(AutotagOption::None);
    let spec = format!("+{reference}:{TIP}");
    let fetched = remote.fetch(&[spec], Some(&mut options), None);
    drop(options);
    if let Some(full) = full.into_inner() {
        return Err(full);
    }
    fetched.map_err(|error| conversation.explain(&error))?;
    let fetched = repo.refname_to_id(TIP).map_err(local)?;
    if fetched != wanted {
        return Err(GitError::Protocol("the server sent another commit than it had announced".to_owned()));
    }
    Ok(tip)
}

/// Pushes `commit` if the branch is still at `expected`. The transport checks the right to write before it sends.
pub(crate) fn push(
    repo: &Repository,
    conversation: &OpenConversation,
    job: &JobHandle,
    reference: &str,
    (expected, commit): (Option<Oid>, Oid),
    force: bool,
) -> Result<PushOutcome, GitError> {
    repo.reference(NEXT, commit, true, "").map_err(local)?;
    let mut remote = repo.remote_anonymous(&conversation.url()).map_err(local)?;
    let (moved, status, words) = (RefCell::new(false), RefCell::new(None), RefCell::new(Vec::new()));
    let mut callbacks = RemoteCallbacks::new();
    callbacks.push_negotiation(|updates| {
        // The push contains the old commit, so the server refuses it if the branch moves after this.
        let there = updates.first().map(git2::PushUpdate::src).filter(|oid| !oid.is_zero());
        if there == expected {
            return Ok(());
        }
        *moved.borrow_mut() = true;
        Err(git2::Error::from_str("the branch moved"))
    });
    callbacks.pack_progress(|_, _, _| job.tick());
    callbacks.push_update_reference(|_, why| {
        *status.borrow_mut() = why.map(str::to_owned);
        Ok(())
    });
    callbacks.sideband_progress(|bytes| {
        let mut words = words.borrow_mut();
        let room = MAX_WORDS.saturating_sub(words.len());
        words.extend_from_slice(&bytes[..bytes.len().min(room)]);
        job.tick();
        job.check().is_ok()
    });
    let mut options = PushOptions::new();
    options.remote_callbacks(callbacks).packbuilder_parallelism(1);
    let spec = format!("{}{NEXT}:{reference}", if force { "+" } else { "" });
    let done = remote.push(&[spec], Some(&mut options));
    drop(options);
    if moved.into_inner() {
        return Ok(PushOutcome::Moved);
    }
    match done {
        Err(error) if error.code() == ErrorCode::NotFastForward => Ok(PushOutcome::Moved),
        Err(error) => Err(conversation.explain(&error)),
        Ok(()) => match status.into_inner() {
            None => {
                repo.reference(TIP, commit, true, "").map_err(local)?;
                Ok(PushOutcome::Done)
            }
            Some(why) => Ok(PushOutcome::Refused(conversation.quote(&why, &words.into_inner()))),
        },
    }
}
