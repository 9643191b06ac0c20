//! Writes file contents as Git blobs: a few as loose objects, many as packs, because creating thousands of files is slow.

use crate::blocking::JobHandle;
use crate::error::{GitError, disk, local};
use git2::{Oid, Repository};
use kollect_export::Body;
use kollect_model::Digest;
use std::io::{self, Write};
use std::sync::Arc;

/// From so many on, blobs are packed.
const MANY: usize = 256;
/// A pack is written when its blobs take this much memory.
const PACK_BYTES: u64 = 16 << 20;
/// Larger blobs go to disk while they are made.
const IN_MEMORY: usize = 4 << 20;

/// A file to write: path, digest, body.
pub(crate) type NewBlob<'a> = (&'a Arc<str>, Digest, &'a dyn Body);

/// Writes every content and reports its blob and length. All blobs are in `repo` when this returns.
pub(crate) fn write(
    repo: &Repository,
    job: &JobHandle,
    contents: &[NewBlob<'_>],
    mut each: impl FnMut(&Arc<str>, Digest, Oid, u64),
) -> Result<(), GitError> {
    if contents.len() < MANY {
        for (path, digest, body) in contents {
            job.tick();
            job.check()?;
            let (blob, length) = write_one(repo, repo, path, *body)?;
            each(path, *digest, blob, length);
        }
        return Ok(());
    }
    // A second handle, because a memory backend cannot be removed.
    let side = Repository::open_bare(repo.path()).map_err(local)?;
    let odb = side.odb().map_err(local)?;
    let memory = odb.add_new_mempack_backend(1000).map_err(local)?;
    let mut fresh = Vec::new();
    let mut bytes = 0;
    for (path, digest, body) in contents {
        job.tick();
        job.check()?;
        let (blob, length) = write_one(&side, repo, path, *body)?;
        each(path, *digest, blob, length);
        fresh.push(blob);
        bytes += length;
        if bytes > PACK_BYTES {
            pack(&side, job, &fresh)?;
            memory.reset().map_err(local)?;
            fresh.clear();
            bytes = 0;
        }
    }
    pack(&side, job, &fresh)
}

fn pack(repo: &Repository, job: &JobHandle, blobs: &[Oid]) -> Result<(), GitError> {
    if blobs.is_empty() {
        return Ok(());
    }
    let mut builder = repo.packbuilder().map_err(local)?;
    builder.set_threads(1);
    builder
        .set_progress_callback(|_, _, _| {
            job.tick();
            job.check().is_ok()
        })
        .map_err(local)?;
    for blob in blobs {
        builder.insert_object(*blob, None).map_err(local)?;
    }
    let written = builder.write(&repo.path().join("objects/pack"), 0);
    job.check()?;
    written.map_err(local)
}

/// Small contents become blobs of `small`, large ones of `large`.
fn write_one(small: &Repository, large: &Repository, path: &str, body: &dyn Body) -> Result<(Oid, u64), GitError> {
    let mut out = Blob { large, memory: Vec::new(), disk: None, length: 0, disk_failed: false };
    if let Err(error) = body.write_to(&mut out) {
        return Err(if out.disk_failed {
            disk(error)
        } else {
            GitError::Body { path: path.to_owned(), why: error.to_string() }
        });
    }
    let length = out.length;
    let id = match out.disk {
        None => small.blob(&out.memory),
        Some(disk) => disk.commit(),
    };
    Ok((id.map_err(local)?, length))
}

/// Collects a body in memory, or on disk when it is large.
struct Blob<'r> {
    large: &'r Repository,
    memory: Vec<u8>,
    disk: Option<git2::BlobWriter<'r>>,
    length: u64,
    /// The local disk failed, not the body.
    disk_failed: bool,
}

impl Blob<'_> {
    fn move_to_disk(&mut self) -> io::Result<()> {
        let mut disk = self.large.blob_writer(None).map_err(io::Error::other)?;
        disk.write_all(&std::mem::take(&mut self.memory))?;
        self.disk = Some(disk);
        Ok(())
    }
}

impl Write for Blob<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.length += bytes.len() as u64;
        if self.disk.is_none() {
            self.memory.extend_from_slice(bytes);
        }
        let stored = match &mut self.disk {
            Some(disk) => disk.write_all(bytes),
            None if self.memory.len() > IN_MEMORY => self.move_to_disk(),
            None => Ok(()),
        };
        self.disk_failed = stored.is_err();
        stored?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
