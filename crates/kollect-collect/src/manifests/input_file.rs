//! One input that holds manifests, and the files of a folder.

use super::error::ManifestError;
use super::exclude::Exclude;
use kollect_manifest::{Encoding, ManifestFormat, ReadError, transcode};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) enum InputSource {
    Path(PathBuf),
    Temporary(File),
    /// A folder that cannot be listed.
    Unreadable(String),
}

pub(super) struct Input {
    pub(super) name: Arc<str>,
    pub(super) format: ManifestFormat,
    pub(super) source: InputSource,
}

impl Input {
    /// Bytes, as far as they are known.
    pub(super) fn size(&self) -> u64 {
        let meta = match &self.source {
            InputSource::Path(path) => fs::metadata(path),
            InputSource::Temporary(file) => file.metadata(),
            InputSource::Unreadable(_) => return 0,
        };
        meta.map_or(0, |meta| meta.len())
    }

    pub(super) fn of_path(path: PathBuf) -> Self {
        let format = ManifestFormat::of_extension(&extension_of(&path));
        Self { name: path.display().to_string().into(), format, source: InputSource::Path(path) }
    }

    /// The file in UTF-8, positioned after its byte order mark.
    pub(super) fn open(&self) -> Result<File, ReadError> {
        let mut file = match &self.source {
            InputSource::Path(path) => File::open(path)?,
            InputSource::Temporary(file) => file.try_clone()?,
            InputSource::Unreadable(why) => return Err(io::Error::other(why.clone()).into()),
        };
        file.rewind()?;
        let mut start = Vec::with_capacity(4);
        (&mut file).take(4).read_to_end(&mut start)?;
        match Encoding::of(&start) {
            Encoding::Utf8(mark) => file.seek(SeekFrom::Start(mark as u64)).map(drop)?,
            other => {
                file.rewind()?;
                let mut text = tempfile::tempfile()?;
                transcode(&mut io::BufReader::new(file), other, &mut text)?;
                text.rewind()?;
                return Ok(text);
            }
        }
        Ok(file)
    }
}

pub(super) fn cannot_read(path: &Path, source: io::Error) -> ManifestError {
    ManifestError::Read { place: path.display().to_string(), source }
}

fn extension_of(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Files of known formats, also in folders below; hidden ones and those that are excluded are left out.
pub(super) fn folder(path: &Path, below: &str, exclude: &Exclude, all: &mut Vec<Input>) {
    let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => {
            let (name, source) = (path.display().to_string().into(), InputSource::Unreadable(error.to_string()));
            return all.push(Input { name, format: ManifestFormat::Unknown, source });
        }
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let (path, relative) = (entry.path(), format!("{below}{name}"));
        // Links to folders are not followed: they may lead in circles. A link to nothing is a file that cannot be read.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if !exclude.leaves_out(&relative, true) {
                folder(&path, &format!("{relative}/"), exclude, all);
            }
        } else if ManifestFormat::of_extension(&extension_of(&path)) != ManifestFormat::Unknown
            && !path.is_dir()
            && !exclude.leaves_out(&relative, false)
        {
            all.push(Input::of_path(path));
        }
    }
}

pub(super) fn copy(input: &mut dyn Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(input, &mut file)?;
    Ok(file)
}
