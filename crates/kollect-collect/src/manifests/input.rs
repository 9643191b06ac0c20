//! Where manifests are: files, folders of files, standard input.
//!
//! Separate because manifests are read twice, which standard input does not allow: it is put aside in a file that has no
//! name and is gone with the process.

use super::error::{ManifestError, TextError};
use super::read::{Each, json};
use super::yaml::yaml;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Read at once.
const CHUNK: usize = 1 << 18;
/// Inputs up to this size are read once.
const KEPT: u64 = 8 << 20;
const FORMATS: [&str; 5] = ["yaml", "yml", "json", "ndjson", "jsonl"];
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

enum Place {
    Path(PathBuf),
    Aside(File),
}

/// All manifests, ready to be read any number of times.
pub struct Inputs {
    places: Vec<Place>,
    /// Bytes of all files together.
    total: u64,
    /// Bytes read so far, of all readings.
    read: AtomicU64,
    /// The objects of a small input, as the first reading found them: YAML takes long to read.
    kept: OnceLock<Vec<Box<str>>>,
}

impl std::fmt::Debug for Inputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inputs({} files, {} bytes)", self.places.len(), self.total)
    }
}

impl Inputs {
    /// Finds the files of every path; `-` is `standard_input`.
    pub fn open(paths: &[PathBuf], standard_input: &mut dyn Read) -> Result<Self, ManifestError> {
        let mut places = Vec::new();
        for path in paths {
            if path.as_os_str() == "-" {
                places.push(Place::Aside(put_aside(standard_input).map_err(|error| TextError::Io(error).at("-"))?));
                continue;
            }
            let meta = fs::metadata(path).map_err(|error| cannot_read(path, error))?;
            if meta.is_dir() {
                let before = places.len();
                folder(path, &mut places)?;
                if places.len() == before {
                    return Err(ManifestError::Empty { place: path.display().to_string() });
                }
            } else {
                places.push(Place::Path(path.clone()));
            }
        }
        let mut total = 0;
        for place in &places {
            total += match place {
                Place::Path(path) => fs::metadata(path).map_err(|error| cannot_read(path, error))?.len(),
                Place::Aside(file) => file.metadata().map_or(0, |meta| meta.len()),
            };
        }
        Ok(Self { places, total, read: AtomicU64::new(0), kept: OnceLock::new() })
    }

    /// Bytes read so far, and of all files together.
    pub fn progress(&self) -> (u64, u64) {
        (self.read.load(Ordering::Relaxed), self.total)
    }

    /// Hands out every object of every file.
    pub(super) fn each(&self, each: &mut Each<'_>) -> Result<(), ManifestError> {
        if self.total > KEPT {
            return self.places.iter().try_for_each(|place| self.read_place(place, each));
        }
        if let Some(kept) = self.kept.get() {
            self.read.fetch_add(self.total, Ordering::Relaxed);
            return hand_out(kept, each);
        }
        let kept = self.read_at_once()?;
        // Only another first reading at the same time could have been faster, with the same objects.
        hand_out(self.kept.get_or_init(|| kept), each)
    }

    /// The objects of all files in their order, read by as many threads as there are processors.
    fn read_at_once(&self) -> Result<Vec<Box<str>>, ManifestError> {
        let next = AtomicUsize::new(0);
        let take = || {
            let at = next.fetch_add(1, Ordering::Relaxed);
            self.places.get(at).map(|place| (at, place))
        };
        let work = || {
            let mut done = Vec::new();
            while let Some((at, place)) = take() {
                let mut objects: Vec<Box<str>> = Vec::new();
                let read = self.read_place(place, &mut |object| {
                    objects.push(object.into());
                    true
                });
                done.push((at, read.map(|()| objects)));
            }
            done
        };
        let helpers =
            std::thread::available_parallelism().map_or(1, usize::from).min(self.places.len()).saturating_sub(1);
        let mut all = std::thread::scope(|scope| {
            let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
            let mut all = work();
            for helper in helpers {
                match helper.join() {
                    Ok(done) => all.extend(done),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            all
        });
        all.sort_unstable_by_key(|(at, _)| *at);
        let mut objects = Vec::new();
        for (_, read) in all {
            objects.append(&mut read?);
        }
        Ok(objects)
    }

    fn read_place(&self, place: &Place, each: &mut Each<'_>) -> Result<(), ManifestError> {
        let (name, extension, file) = match place {
            Place::Path(path) => {
                let file = File::open(path).map_err(|error| cannot_read(path, error))?;
                (path.display().to_string(), extension_of(path), file)
            }
            Place::Aside(file) => {
                let again = file.try_clone().and_then(|mut file| file.rewind().map(|()| file));
                ("-".to_owned(), String::new(), again.map_err(|error| TextError::Io(error).at("-"))?)
            }
        };
        let mut text = BufReader::with_capacity(CHUNK, Counted { file, read: &self.read });
        objects(&extension, &mut text, each).map_err(|error| error.at(&name))
    }
}

fn hand_out(objects: &[Box<str>], each: &mut Each<'_>) -> Result<(), ManifestError> {
    if objects.iter().all(|object| each(object)) { Ok(()) } else { Err(ManifestError::Stopped) }
}

fn cannot_read(path: &Path, source: io::Error) -> ManifestError {
    ManifestError::Read { place: path.display().to_string(), source }
}

fn extension_of(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// Files of known formats, also in folders below; hidden ones are left out.
fn folder(path: &Path, places: &mut Vec<Place>) -> Result<(), ManifestError> {
    let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = entries.map_err(|error| cannot_read(path, error))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        // Links to folders are not followed: they may lead in circles.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            folder(&path, places)?;
        } else if FORMATS.contains(&extension_of(&path).as_str()) && path.is_file() {
            places.push(Place::Path(path));
        }
    }
    Ok(())
}

fn put_aside(input: &mut dyn Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(input, &mut file)?;
    Ok(file)
}

fn objects(extension: &str, text: &mut BufReader<Counted<'_>>, each: &mut Each<'_>) -> Result<(), TextError> {
    if text.fill_buf().map_err(TextError::Io)?.starts_with(BYTE_ORDER_MARK) {
        text.consume(BYTE_ORDER_MARK.len());
    }
    let looks_like_json = |start: &[u8]| {
        start.iter().find(|c| !c.is_ascii_whitespace()).is_some_and(|first| matches!(first, b'{' | b'['))
    };
    let is_json = match extension {
        "json" | "ndjson" | "jsonl" => true,
        "yaml" | "yml" => false,
        _ => looks_like_json(text.fill_buf().map_err(TextError::Io)?),
    };
    if is_json { json(text, each) } else { yaml(text, each) }
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
