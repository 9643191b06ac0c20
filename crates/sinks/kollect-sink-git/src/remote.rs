//! The three conversations with a remote: list its branches, fetch one, push one.
//!
//! Separate so that libgit2's callbacks and their odd corners (a push that the server refused returns `Ok`) are in one
//! file. It knows nothing of files and records.

use crate::error::{Trouble, local};
use crate::job::Pulse;
use crate::mirror::TIP;
use crate::transport::OpenLine;
use git2::{AutotagOption, Direction, ErrorCode, FetchOptions, Oid, PushOptions, Remote, RemoteCallbacks, Repository};
use std::cell::RefCell;

/// The commit that is about to be pushed.
const NEXT: &str = "refs/kollect/next";
/// The room on disk is checked again after so many bytes.
const ROOM_EVERY: usize = 16 << 20;
/// What is kept of a server's own words.
const MAX_WORDS: usize = 800;

/// What became of a push.
#[derive(Debug)]
pub(crate) enum Pushed {
    Done,
    /// The branch is not where it was expected.
    Moved,
    /// The server took the pack but not the update, in its words.
    Refused(String),
}

/// The branch's commit on the remote; `None` when there is no such branch.
pub(crate) fn list(remote: &mut Remote<'_>, line: &OpenLine, reference: &str) -> Result<Option<Oid>, Trouble> {
    if !remote.connected() {
        remote.connect(Direction::Fetch).map_err(|error| line.explain(&error))?;
    }
    let heads = remote.list().map_err(|error| line.explain(&error))?;
    Ok(heads.iter().find(|head| head.name() == reference).map(git2::RemoteHead::oid))
}

/// Looks where the branch is and fetches it unless `present` is that commit. `room` fails when the disk is full.
pub(crate) fn fetch(
    repo: &Repository,
    line: &OpenLine,
    pulse: &Pulse,
    reference: &str,
    depth: u32,
    present: Option<Oid>,
    room: impl Fn() -> Result<(), Trouble>,
) -> Result<Option<Oid>, Trouble> {
    let mut remote = repo.remote_anonymous(&line.url()).map_err(local)?;
    let tip = list(&mut remote, line, reference)?;
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
        pulse.tick();
        let received = progress.received_bytes() / ROOM_EVERY;
        if received > checked {
            checked = received;
            *full.borrow_mut() = room().err();
        }
        full.borrow().is_none() && pulse.check().is_ok()
    });
    callbacks.sideband_progress(|_| pulse.check().is_ok());
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
    fetched.map_err(|error| line.explain(&error))?;
    let fetched = repo.refname_to_id(TIP).map_err(local)?;
    if fetched != wanted {
        return Err(Trouble::Protocol("the server sent another commit than it had announced".to_owned()));
    }
    Ok(tip)
}

/// Pushes `commit` if the branch is still at `expected`. Asks for the right to write just before it sends.
pub(crate) fn push(
    repo: &Repository,
    line: &OpenLine,
    pulse: &Pulse,
    reference: &str,
    (expected, commit): (Option<Oid>, Oid),
    force: bool,
) -> Result<Pushed, Trouble> {
    repo.reference(NEXT, commit, true, "").map_err(local)?;
    let mut remote = repo.remote_anonymous(&line.url()).map_err(local)?;
    let (moved, status, words) = (RefCell::new(false), RefCell::new(None), RefCell::new(Vec::new()));
    let mut callbacks = RemoteCallbacks::new();
    callbacks.push_negotiation(|updates| {
        // The old commit travels with the push, so the server refuses if the branch moves after this.
        let there = updates.first().map(git2::PushUpdate::src).filter(|oid| !oid.is_zero());
        if there == expected {
            return Ok(());
        }
        *moved.borrow_mut() = true;
        Err(git2::Error::from_str("the branch moved"))
    });
    callbacks.pack_progress(|_, _, _| pulse.tick());
    callbacks.push_update_reference(|_, why| {
        *status.borrow_mut() = why.map(str::to_owned);
        Ok(())
    });
    callbacks.sideband_progress(|bytes| {
        let mut words = words.borrow_mut();
        let room = MAX_WORDS.saturating_sub(words.len());
        words.extend_from_slice(&bytes[..bytes.len().min(room)]);
        pulse.tick();
        pulse.check().is_ok()
    });
    let mut options = PushOptions::new();
    options.remote_callbacks(callbacks).packbuilder_parallelism(1);
    let spec = format!("{}{NEXT}:{reference}", if force { "+" } else { "" });
    let done = remote.push(&[spec], Some(&mut options));
    drop(options);
    if moved.into_inner() {
        return Ok(Pushed::Moved);
    }
    match done {
        Err(error) if error.code() == ErrorCode::NotFastForward => Ok(Pushed::Moved),
        Err(error) => Err(line.explain(&error)),
        Ok(()) => match status.into_inner() {
            None => {
                repo.reference(TIP, commit, true, "").map_err(local)?;
                Ok(Pushed::Done)
            }
            Some(why) => Ok(Pushed::Refused(line.quote(&why, &words.into_inner()))),
        },
    }
}
