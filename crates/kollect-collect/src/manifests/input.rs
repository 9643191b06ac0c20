//! The inputs that hold manifests: files, folders, standard input.
//!
//! Manifests are read twice. Standard input and files in other encodings are copied to an unnamed temporary file first. An
//! unreadable file does not stop the others.

use super::error::ManifestError;
use super::exclude::{Exclude, IGNORE_FILE};
use super::input_file::{Input, InputSource, cannot_read, copy, folder};
use super::summary::{BadInput, CappedList};
use kollect_manifest::{LineColumn, ManifestFault, ManifestFormat, ManifestItem, ReadError, read_objects};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Inputs up to this size are read once.
const KEPT: u64 = 8 << 20;

/// What is read, and how.
#[derive(Clone, Debug, Default)]
pub struct InputOptions {
    /// Patterns of files in folders that are not read, as in `.gitignore`.
    pub exclude: Vec<String>,
    /// The first part that cannot be read ends the reading.
    pub strict: bool,
}

/// What was found, and in which file.
pub(super) struct InputItem<'a> {
    pub(super) file: &'a Arc<str>,
    pub(super) found: ManifestItem<'a>,
}

type Each<'a> = dyn FnMut(InputItem<'_>) -> bool + 'a;

/// What a file held.
enum Kept {
    Object(Box<str>, LineColumn),
    Fault(ManifestFault),
}

/// All manifests, ready to be read any number of times.
pub struct Inputs {
    all: Vec<Input>,
    strict: bool,
    /// Bytes of all files together.
    total: u64,
    /// Bytes read so far, of all readings.
    read: AtomicU64,
    /// The content of small inputs after the first reading: parsing YAML is slow.
    kept: OnceLock<Vec<(usize, Kept)>>,
    /// Files that the last reading could not read.
    unreadable: Mutex<Vec<BadInput>>,
}

impl std::fmt::Debug for Inputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inputs({} files, {} bytes)", self.all.len(), self.total)
    }
}

impl Inputs {
    /// Finds the files of every path; `-` is `standard_input`.
    pub fn open(
        paths: &[PathBuf],
        standard_input: &mut dyn Read,
        options: &InputOptions,
    ) -> Result<Self, ManifestError> {
        let exclude = Exclude::of(&options.exclude)?;
        let mut all = Vec::new();
        for path in paths {
            if path.as_os_str() == "-" {
                let file = copy(standard_input).map_err(|error| cannot_read(path, error))?;
                all.push(Input {
                    name: "-".into(),
                    format: ManifestFormat::Unknown,
                    source: InputSource::Temporary(file),
                });
            } else if fs::metadata(path).map_err(|error| cannot_read(path, error))?.is_dir() {
                let before = all.len();
                let exclude = match fs::read_to_string(path.join(IGNORE_FILE)) {
                    Ok(lines) => exclude.below(&lines),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => exclude.clone(),
                    Err(error) => return Err(cannot_read(&path.join(IGNORE_FILE), error)),
                };
                folder(path, "", &exclude, &mut all);
                if all.len() == before {
                    return Err(ManifestError::Empty { place: path.display().to_string() });
                }
            } else {
                all.push(Input::of_path(path.clone()));
            }
        }
        let total = all.iter().map(Input::size).sum();
        let (strict, unreadable) = (options.strict, Mutex::default());
        Ok(Self { all, strict, total, read: AtomicU64::new(0), kept: OnceLock::new(), unreadable })
    }

    /// Bytes read so far, and of all files together.
    pub fn progress(&self) -> (u64, u64) {
        (self.read.load(Ordering::Relaxed), self.total)
    }

    /// The files that the last reading could not read.
    pub(super) fn unreadable(&self) -> CappedList<BadInput> {
        let mut named = CappedList::default();
        let all = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().for_each(|one| named.add(one.clone()));
        named
    }

    /// Passes every object and fault of every file to `each`.
    pub(super) fn each(&self, each: &mut Each<'_>) -> Result<(), ManifestError> {
        if self.total > KEPT {
            self.forget_unreadable();
            return self.all.iter().try_for_each(|input| self.read_input(input, each));
        }
        if let Some(kept) = self.kept.get() {
            self.read.fetch_add(self.total, Ordering::Relaxed);
            return self.hand_out(kept, each);
        }
        self.forget_unreadable();
        let kept = self.read_at_once()?;
        // A concurrent first reading may have set it; it holds the same objects.
        self.hand_out(self.kept.get_or_init(|| kept), each)
    }

    fn forget_unreadable(&self) {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn hand_out(&self, kept: &[(usize, Kept)], each: &mut Each<'_>) -> Result<(), ManifestError> {
        for (at, kept) in kept {
            let Some(Input { name: file, .. }) = self.all.get(*at) else { continue };
            let found = match kept {
                Kept::Object(json, place) => ManifestItem::Object { json, place: *place },
                Kept::Fault(fault) => ManifestItem::Fault(fault.clone()),
            };
            if !each(InputItem { file, found }) {
                return Err(ManifestError::Stopped);
            }
        }
        Ok(())
    }

    /// The content of all files in their order, read by one thread per processor.
    fn read_at_once(&self) -> Result<Vec<(usize, Kept)>, ManifestError> {
        let next = AtomicUsize::new(0);
        let take = || {
            let at = next.fetch_add(1, Ordering::Relaxed);
            self.all.get(at).map(|input| (at, input))
        };
        let work = || {
            let mut done = Vec::new();
            while let Some((at, input)) = take() {
                let mut found: Vec<(usize, Kept)> = Vec::new();
                let read = self.read_input(input, &mut |item| {
                    let kept = match item.found {
                        ManifestItem::Object { json, place } => Kept::Object(json.into(), place),
                        ManifestItem::Fault(fault) => Kept::Fault(fault),
                    };
                    found.push((at, kept));
                    true
                });
                done.push((at, read.map(|()| found)));
            }
            done
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(self.all.len()).saturating_sub(1);
        let mut all = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let mut all = work();
            for thread in threads {
                match thread.join() {
                    Ok(done) => all.extend(done),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            all
        });
        all.sort_unstable_by_key(|(at, _)| *at);
        let mut found = Vec::new();
        for (_, read) in all {
            found.append(&mut read?);
        }
        Ok(found)
    }

    fn read_input(&self, input: &Input, each: &mut Each<'_>) -> Result<(), ManifestError> {
        let name = &input.name;
        let mut first_fault = None;
        let read = input.open().and_then(|file| {
            let text = Counted { file, read: &self.read };
            read_objects(text, input.format, &mut |found| {
                if let (true, ManifestItem::Fault(fault)) = (self.strict, &found) {
                    first_fault = Some(bad(name, fault));
                    return false;
                }
                each(InputItem { file: name, found })
            })
        });
        let wrong = match read {
            Ok(()) => return Ok(()),
            Err(ReadError::Stopped) => return Err(first_fault.map_or(ManifestError::Stopped, ManifestError::Strict)),
            Err(ReadError::Fault(fault)) => bad(name, &fault),
            Err(ReadError::Io(error)) => BadInput { place: name.to_string(), why: format!("cannot be read: {error}") },
        };
        if self.strict {
            return Err(ManifestError::Strict(wrong));
        }
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).push(wrong);
        Ok(())
    }
}

fn bad(name: &str, fault: &ManifestFault) -> BadInput {
    BadInput { place: format!("{name}:{}", fault.place), why: fault.what.to_string() }
}

struct Counted<'a> {
    file: File,
    read: &'a AtomicU64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Seek for Counted<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
